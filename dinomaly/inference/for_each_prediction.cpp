#include "dinomaly/inference/for_each_prediction.h"

#include <utility>

#include "dinomaly/base/framework.h"
#include "dinomaly/inference/streams.h"

namespace dinomaly {

namespace {

// `next()`: images that are ready, none at the end.
template <class Next>
void run(const Predictor& predictor, const Next& next, const Streams::Sink& sink) {
  Streams streams(predictor, sink);
  for (std::vector<InputImage> images = next(); !images.empty(); images = next())
    streams.add(std::move(images));
  streams.finish();
}

}  // namespace

size_t most_read_ahead(const Predictor& predictor) { return 2 * Streams::wanted(predictor); }

void for_each_prediction(const Predictor& predictor, ReadAhead& images,
                         const std::vector<PredictionSink>& sinks) {
  const auto wanted = static_cast<int64_t>(Streams::wanted(predictor));
  run(
      predictor, [&] { return images.next(wanted); },
      [&](const InputImage& image, const Prediction& prediction) {
        for (const PredictionSink& sink : sinks) sink(image, prediction);
      });
}

void for_each_prediction(const Predictor& predictor, const std::vector<Sample>& samples,
                         const std::vector<SampleSink>& sinks) {
  ReadAhead images(
      in_order(pictures_of(samples)), [&](const Image& rgb) { return predictor.inputs(rgb); },
      ReadAheadOptions{.most_ahead = most_read_ahead(predictor),
                       .readers = predictor.on_cpu() ? 1 : readers_for(Device::cuda()),
                       .pixels = predictor.pixels(),
                       .tiling = predictor.tiling(),
                       .keep = no_pixels});
  const auto wanted = static_cast<int64_t>(Streams::wanted(predictor));
  const auto next = [&] {
    // On a GPU the same images meet in a batch every time. Tiles of a large image fill batches by themselves, and those
    // of many images would fill the memory.
    const bool whole_batches = !predictor.on_cpu() && !predictor.tiling().on();
    std::vector<InputImage> read = whole_batches ? images.next_batch(wanted) : images.next(wanted);
    check_readable(read);
    return read;
  };
  size_t done = 0;
  run(predictor, next, [&](const InputImage& image, const Prediction& prediction) {
    check_input(image.error.empty(), "{}", image.error);
    const Sample& sample = samples[done++];
    for (const SampleSink& sink : sinks) sink(sample, image, prediction);
  });
}

}  // namespace dinomaly
