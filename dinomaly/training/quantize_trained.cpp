#include "dinomaly/training/quantize_trained.h"

#include <fmt/format.h>

#include <algorithm>

#include "dinomaly/base/numbers.h"
#include "dinomaly/image/preprocess.h"
#include "dinomaly/image/read_ahead.h"
#include "dinomaly/model/quantized_weights.h"

namespace dinomaly {

void quantize_trained(Dinomaly& model, const std::vector<Sample>& samples) {
  constexpr size_t most = 32;
  check_input(!samples.empty(), "int8: there is no good image to find the scales with");
  const size_t count = std::min(most, samples.size());
  std::vector<Picture> pictures;
  for (size_t i = 0; i < count; ++i) pictures.push_back(picture_of(samples[i * samples.size() / count]));
  const ImageConfig& config = model.config().image;
  ReadAhead images(in_order(std::move(pictures)),
                   [&](const Image& rgb) { return preprocess(rgb, config).unsqueeze(0); },
                   {.pixels = config.pixels, .keep = no_pixels});
  std::vector<Tensor> batches;
  for (auto read = images.next(1); !read.empty(); read = images.next(1)) {
    check_input(read[0].error.empty(), "{}", read[0].error);
    batches.push_back(read[0].inputs);
  }
  fmt::print("int8: scales from {}\n", counted(static_cast<int64_t>(count), "training image"));
  quantize(model, batches);
}

}  // namespace dinomaly
