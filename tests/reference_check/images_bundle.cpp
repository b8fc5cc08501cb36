#include <algorithm>
#include <cstring>

#include "bundle.h"
#include "dinomaly/image/preprocess.h"

namespace dinomaly {

namespace {

Image image_of(const Tensor& pixels) {
  Image image(pixels.size(1), pixels.size(0), pixels.rank() == 3 ? pixels.size(2) : 1);
  const std::vector<uint8_t> values = pixels.to_vector<uint8_t>();
  std::copy(values.begin(), values.end(), image.pixels.begin());
  return image;
}

// 0 where all bits are equal, else the share of elements that differ.
Tensor differing(const Tensor& x, const Tensor& expected) {
  check(x.shape() == expected.shape(), "images: {} where the bundle has {}", x.shape(), expected.shape());
  const auto a = x.to_vector<float>(), b = expected.to_vector<float>();
  int64_t count = 0;
  for (size_t i = 0; i < a.size(); ++i) count += std::memcmp(&a[i], &b[i], sizeof(float)) != 0;
  return Tensor::full({1}, static_cast<double>(count) / static_cast<double>(std::max<size_t>(a.size(), 1)),
                      Dtype::f64);
}

}  // namespace

void check_images_bundle(const SafeTensors& bundle, const nlohmann::json& config, Verdict& verdict) {
  const Tensor none = Tensor::zeros({1}, Dtype::f64);
  const auto& items = config.at("items");
  for (size_t n = 0; n < items.size(); ++n) {
    const Image image = image_of(bundle.get(fmt::format("{}/image", n)));
    const Image mask = image_of(bundle.get(fmt::format("{}/mask", n)));
    ImageConfig pipeline;
    pipeline.resize_h = pipeline.resize_w = items[n].at("resize").get<int64_t>();
    pipeline.crop_h = pipeline.crop_w = items[n].at("crop").get<int64_t>();
    verdict.absolute("images paper (share of differing bits)",
                     differing(preprocess(image, pipeline), bundle.get(fmt::format("{}/expect/paper", n))),
                     none, 0);
    verdict.absolute("mask (share of differing pixels)",
                     differing(preprocess_mask(mask, pipeline), bundle.get(fmt::format("{}/expect/mask", n))),
                     none, 0);
    pipeline.pipeline = ImagePipeline::torchvision;
    verdict.relative("images anomalib", preprocess(image, pipeline),
                     bundle.get(fmt::format("{}/expect/anomalib", n)), 1e-6);
  }
}

}  // namespace dinomaly
