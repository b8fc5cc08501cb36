#include "dinomaly/training/quantize_trained.h"

#include <fmt/format.h>

#include "dinomaly/base/numbers.h"
#include "dinomaly/image/preprocess.h"
#include "dinomaly/image/read_ahead.h"
#include "dinomaly/model/quantized_weights.h"

namespace dinomaly {

void quantize_trained(Dinomaly& model, const std::vector<Sample>& samples) {
  constexpr size_t most = 32;
  check_input(!samples.empty(), "int8: there is no good image to find the scales with");
  const ImageConfig& config = model.config().image;
  ReadAhead images(in_order(pictures_of_some(samples, most)),
                   [&](const Image& rgb) { return preprocess(rgb, config).unsqueeze(0); },
                   {.pixels = config.pixels, .keep = no_pixels});
  std::vector<Tensor> batches;
  for (auto read = images.next(1); !read.empty(); read = images.next(1)) {
    check_input(read[0].error.empty(), "{}", read[0].error);
    batches.push_back(read[0].inputs);
  }
  fmt::print("int8: scales from {}\n", counted(static_cast<int64_t>(batches.size()), "training image"));
  quantize(model, batches);
}

}  // namespace dinomaly
