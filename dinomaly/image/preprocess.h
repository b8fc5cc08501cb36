// Prepares images for the encoder, and masks for the metrics: resize to a fixed size, centre crop, and for
// images /255 and normalisation.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "dinomaly/base/framework.h"
#include "dinomaly/image/image.h"
#include "tensor/tensor.h"

namespace dinomaly {

// The two published pipelines: PIL on bytes (the authors' code), torchvision on floats (anomalib).
enum class ImagePipeline { pil, torchvision };

// ImageNet's mean and standard deviation of R, G and B in [0, 1], which DINOv2 and DINOv3 were trained with. For other
// numbers of channels: of one their mean; otherwise they repeat, as the weights of the patch embedding do
// (input_channels.h).
std::vector<float> imagenet_mean(int64_t channels = 3);
std::vector<float> imagenet_std(int64_t channels = 3);

struct ImageConfig {
  int64_t resize_h = 448, resize_w = 448;  // the aspect ratio is not kept
  int64_t crop_h = 392, crop_w = 392;
  std::vector<float> mean = imagenet_mean(), std = imagenet_std();  // of pixels.channels channels
  ImagePipeline pipeline = ImagePipeline::pil;
  PixelRules pixels = {};  // how files are read, before anything else
  bool operator==(const ImageConfig&) const = default;
};

// Throws InputError unless sizes are in 1..16384, the crop fits into the resized image, there are 1 to 16 channels and
// as many means and stds, every std is positive and the bit depth is 0 or in 8..16.
void validate(const ImageConfig& config);

// What of an image the model is shown: all of it, or the centre crop alone, as in the paper.
enum class Area { whole, crop };
Area parse_area(const std::string& name);  // "whole" or "crop", else InputError
std::string name_of(Area area);

// Where a centre crop begins, (resized - crop) / 2 with halves rounded to even, as Python's round().
int64_t centre_crop_offset(int64_t resized, int64_t crop);

// An image of config.pixels.channels C -> (C, crop_h, crop_w) f32; RGB and the three channels of a depth picture ->
// (6, crop_h, crop_w). With `pil` the bits are those of PIL and torchvision's ToTensor and Normalize.
Tensor preprocess(const Image& image, const ImageConfig& config);

// The image (of any channels) resized as PIL and cropped, still bytes: what a heatmap is drawn on.
Image resize_and_crop(const Image& image, const ImageConfig& config);

// Grey mask -> (map_size, map_size) u8 of 0 and 1: resize_and_crop, nearest neighbour to the map's size
// (source = floor(i * crop / map_size)); what is more than `above` counts as anomalous. Both pipelines do the same.
Tensor preprocess_mask(const Image& grey, const ImageConfig& config, int64_t map_size = 256,
                       uint8_t above = 0);

}  // namespace dinomaly
