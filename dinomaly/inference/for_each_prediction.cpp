#include "dinomaly/inference/for_each_prediction.h"

#include "dinomaly/base/framework.h"
#include "dinomaly/inference/shared_predictions.h"
#include "dinomaly/inference/streams.h"

namespace dinomaly {

size_t most_read_ahead(const Predictor& predictor) { return 2 * Streams::wanted(predictor); }

void for_each_prediction(const Predictor& predictor, const NextPicture& pictures,
                         const std::vector<PredictionSink>& sinks) {
  for_each_picture(predictor, pictures, {.with_pixels = true},
                   [&](const InputImage& image, const Prediction& prediction) {
                     for (const PredictionSink& sink : sinks) sink(image, prediction);
                   });
}

void for_each_prediction(const Predictor& predictor, const std::vector<Sample>& samples,
                         const std::vector<SampleSink>& sinks) {
  size_t done = 0;
  for_each_picture(predictor, in_order(pictures_of(samples)), {.whole_batches = true},
                   [&](const InputImage& image, const Prediction& prediction) {
                     check_input(image.error.empty(), "{}", image.error);
                     const Sample& sample = samples[done++];
                     for (const SampleSink& sink : sinks) sink(sample, image, prediction);
                   });
}

}  // namespace dinomaly
