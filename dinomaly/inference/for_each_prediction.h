// The one loop over predictions: images are read ahead, go through the model once, and whatever is wanted of
// a prediction (statistics, metrics, files, lines) is a sink.
#pragma once

#include <functional>
#include <vector>

#include "dinomaly/data/dataset.h"
#include "dinomaly/image/read_ahead.h"
#include "dinomaly/inference/predict.h"

namespace dinomaly {

using PredictionSink = std::function<void(const InputImage&, const Prediction&)>;

// How many images are worth reading ahead of the model.
size_t most_read_ahead(const Predictor& predictor);

// Calls the sinks one after the other for each picture, in order, on a thread of their own, while the model computes the next
// ones (Streams). Takes the images that are ready, so that an image that arrives alone does not wait for others.
// One that could not be read, or whose map is not finite, comes with its error and an
// empty prediction. An exception of a sink is rethrown. Of several processes all judge, and the sinks are called in the first
// (shared_predictions.h).
void for_each_prediction(const Predictor& predictor, const NextPicture& pictures,
                         const std::vector<PredictionSink>& sinks);

using SampleSink = std::function<void(const Sample&, const InputImage&, const Prediction&)>;

// The same for images of a data set; on a GPU and without tiles each batch but the last is full, so that the same images
// meet in it every time. InputImage::rgb is empty. Throws the InputError of an image that cannot be read, or whose map
// is not finite.
void for_each_prediction(const Predictor& predictor, const std::vector<Sample>& samples,
                         const std::vector<SampleSink>& sinks);

}  // namespace dinomaly
