#include "dinomaly/inference/for_each_prediction.h"

#include <future>
#include <utility>

#include "dinomaly/base/framework.h"

namespace dinomaly {

namespace {

// `next`: the images of the next batch, none at the end.
void loop(const Predictor& predictor, const std::function<std::vector<InputImage>()>& next,
          const std::vector<PredictionSink>& sinks) {
  const auto take = [&sinks](const std::vector<InputImage>& images, std::vector<Prediction> predictions) {
    for (size_t i = 0; i < images.size(); ++i) {
      // A map of the image's own size, if a sink asks for it, lives no longer than its turn.
      const Prediction prediction = std::exchange(predictions[i], {});
      for (const PredictionSink& sink : sinks) sink(images[i], prediction);
    }
  };
  std::future<void> taking;
  for (std::vector<InputImage> images = next(); !images.empty(); images = next()) {
    std::vector<Prediction> predictions = predictor.predict_each(images);
    if (taking.valid()) taking.get();
    for (InputImage& image : images) image.inputs = {};
    taking = std::async(std::launch::async, take, std::move(images), std::move(predictions));
  }
  if (taking.valid()) taking.get();
}

}  // namespace

void for_each_prediction(const Predictor& predictor, ReadAhead& images,
                         const std::vector<PredictionSink>& sinks) {
  loop(
      predictor, [&] { return images.next(predictor.batch()); }, sinks);
}

void for_each_prediction(const Predictor& predictor, const std::vector<Sample>& samples,
                         const std::vector<SampleSink>& sinks) {
  const size_t batch = static_cast<size_t>(predictor.batch());
  ReadAhead images(
      in_order(pictures_of(samples)), [&](const Image& rgb) { return predictor.inputs(rgb); },
      ReadAheadOptions{.most_ahead = batch,
                       .pixels = predictor.pixels(),
                       .tiling = predictor.tiling(),
                       .keep = no_pixels});
  const auto next = [&] {
    // Tiles of a large image fill batches by themselves, and those of many images would fill the memory.
    std::vector<InputImage> read =
        predictor.tiling().on() ? images.next(predictor.batch()) : images.next_batch(predictor.batch());
    check_readable(read);
    return read;
  };
  size_t done = 0;
  const PredictionSink all = [&](const InputImage& image, const Prediction& prediction) {
    check_input(image.error.empty(), "{}", image.error);
    const Sample& sample = samples[done++];
    for (const SampleSink& sink : sinks) sink(sample, image, prediction);
  };
  loop(predictor, next, {all});
}

}  // namespace dinomaly
