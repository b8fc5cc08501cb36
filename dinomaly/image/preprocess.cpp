#include "dinomaly/image/preprocess.h"

#include <cmath>
#include <numeric>

#include "dinomaly/base/framework.h"
#include "dinomaly/base/numbers.h"
#include "dinomaly/base/option_error.h"
#include "dinomaly/image/resize.h"
#include "tensor/error.h"

namespace dinomaly {

namespace {

constexpr int64_t max_size = 16384;

ResizeWindow window_of(const ImageConfig& config) {
  validate(config);
  return {.resize_h = config.resize_h,
          .resize_w = config.resize_w,
          .top = centre_crop_offset(config.resize_h, config.crop_h),
          .left = centre_crop_offset(config.resize_w, config.crop_w),
          .crop_h = config.crop_h,
          .crop_w = config.crop_w};
}

// The three values of ImageNet for so many channels.
std::vector<float> for_channels(const std::vector<float>& three, int64_t channels) {
  if (channels == 1) return {std::accumulate(three.begin(), three.end(), 0.0f) / 3};
  std::vector<float> values;
  for (int64_t c = 0; c < channels; ++c) values.push_back(three[static_cast<size_t>(c % 3)]);
  return values;
}

void check_normalisation(const ImageConfig& config) {
  const int64_t channels = config.pixels.channels;
  check_option(channels >= 1 && channels <= most_channels, "channels", "{} is not within 1..{}", channels,
               most_channels);
  const auto check_count = [channels](const char* name, const std::vector<float>& values) {
    const auto count = static_cast<int64_t>(values.size());
    check_option(count == channels, name, "{}, but images have {}", counted(count, "value"),
                 counted(channels, "channel"));
  };
  check_count("mean", config.mean), check_count("std", config.std);
  for (const float mean : config.mean) check_option(std::isfinite(mean), "mean", "{} is not a number", mean);
  for (const float std : config.std)
    check_option(std::isfinite(std) && std > 0, "std", "{} is not positive", std);
}

}  // namespace

std::vector<float> imagenet_mean(int64_t channels) {
  return for_channels({0.485f, 0.456f, 0.406f}, channels);
}

std::vector<float> imagenet_std(int64_t channels) { return for_channels({0.229f, 0.224f, 0.225f}, channels); }

void validate(const ImageConfig& config) {
  const auto legal = [](int64_t size) { return size >= 1 && size <= max_size; };
  check_option(legal(config.resize_h) && legal(config.resize_w), "resize", "{} x {} is not within 1..{}",
               config.resize_h, config.resize_w, max_size);
  check_option(legal(config.crop_h) && legal(config.crop_w), "crop", "{} x {} is not within 1..{}",
               config.crop_h, config.crop_w, max_size);
  check_option(config.crop_h <= config.resize_h && config.crop_w <= config.resize_w, "crop",
               "{} x {} does not fit into images resized to {} x {}", config.crop_h, config.crop_w,
               config.resize_h, config.resize_w);
  const int64_t depth = config.pixels.bit_depth;
  check_option(depth == 0 || (depth >= 8 && depth <= 16), "bit_depth", "{} is neither 0 nor within 8..16",
               depth);
  check_normalisation(config);
}

Area parse_area(const std::string& name) {
  if (name == "whole") return Area::whole;
  if (name == "crop") return Area::crop;
  fail_input("--area: '{}' is not one of whole, crop", name);
}

std::string name_of(Area area) { return area == Area::whole ? "whole" : "crop"; }

int64_t centre_crop_offset(int64_t resized, int64_t crop) {
  const int64_t margin = resized - crop;
  const int64_t half = margin / 2;
  return margin % 2 == 0 ? half : half + half % 2;
}

Tensor preprocess(const Image& image, const ImageConfig& config) {
  const int64_t channels = config.pixels.channels;
  const bool with_depth = channels == 3 && image.channels == 6;
  check((image.channels == channels || with_depth) && image.width > 0 && image.height > 0,
        "preprocess: an image of {} x {} x {}, {} channels are expected", image.height, image.width,
        image.channels, channels);
  const ResizeWindow window = window_of(config);
  Tensor result = Tensor::empty({image.channels, config.crop_h, config.crop_w});
  const int64_t area = config.crop_h * config.crop_w;
  const auto fill = [&](int64_t c, auto value_of) {
    float* plane = result.data<float>() + c * area;
    const auto place = static_cast<size_t>(c % channels);
    const float mean = config.mean[place], std = config.std[place];
    for (int64_t i = 0; i < area; ++i) plane[i] = (value_of(i * image.channels + c) - mean) / std;
  };
  if (config.pipeline == ImagePipeline::pil) {
    const Image small = resize_pil(image, window);
    for (int64_t c = 0; c < image.channels; ++c) {
      fill(c, [&](int64_t i) { return static_cast<float>(small.pixels[i]) / 255.0f; });
    }
  } else {
    const std::vector<float> small = resize_torch(image, window);
    for (int64_t c = 0; c < image.channels; ++c) fill(c, [&](int64_t i) { return small[i]; });
  }
  return result;
}

Image resize_and_crop(const Image& image, const ImageConfig& config) {
  return resize_pil(image, window_of(config));
}

Tensor preprocess_mask(const Image& grey, const ImageConfig& config, int64_t map_size, uint8_t above) {
  check(grey.channels == 1 && grey.width > 0 && grey.height > 0, "preprocess_mask: an image of {} x {} x {}",
        grey.height, grey.width, grey.channels);
  check_input(map_size >= 1 && map_size <= max_size, "map size: {} is not within 1..{}", map_size, max_size);
  const Image small = resize_and_crop(grey, config);
  Tensor result = Tensor::empty({map_size, map_size}, Dtype::u8);
  uint8_t* out = result.data<uint8_t>();
  for (int64_t y = 0; y < map_size; ++y) {
    const uint8_t* row = small.row(y * config.crop_h / map_size);
    for (int64_t x = 0; x < map_size; ++x) *out++ = row[x * config.crop_w / map_size] > above;
  }
  return result;
}

}  // namespace dinomaly
