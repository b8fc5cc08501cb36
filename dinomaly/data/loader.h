// Images of a data set as batches for the encoder, read and decoded ahead of the computation.
#pragma once

#include <cstdint>
#include <future>
#include <vector>

#include "dinomaly/base/framework.h"
#include "dinomaly/data/mvtec.h"
#include "dinomaly/image/preprocess.h"
#include "tensor/tensor.h"

namespace dinomaly {

// Goes through `samples`, `batch` at a time (the last one may be smaller), in their order or in a given one.
// While the caller computes on one batch, a thread of the loader decodes the next: two batches of images
// are the most it holds. Errors of a file are thrown by the next() that would have returned it. `samples`
// must outlive the loader.
class ImageLoader {
 public:
  ImageLoader(const std::vector<Sample>& samples, const ImageConfig& config, int64_t batch);
  // order: indices of samples; those it leaves out are not read.
  ImageLoader(const std::vector<Sample>& samples, const ImageConfig& config, int64_t batch,
              std::vector<int64_t> order);
  ~ImageLoader();
  ImageLoader(const ImageLoader&) = delete;
  ImageLoader& operator=(const ImageLoader&) = delete;

  bool done() const { return position_ >= order_.size(); }
  // (B, 3, crop_h, crop_w) f32.
  Tensor next();

 private:
  void start();
  Tensor load(size_t begin, size_t end) const;

  const std::vector<Sample>& samples_;
  ImageConfig config_;
  std::vector<int64_t> order_;
  size_t batch_, position_ = 0;
  std::future<Tensor> ahead_;
};

// The mask of an anomalous sample that has one, labels made 255; its image is width x height. Throws
// InputError as load_mask().
Image load_mask_of(const Sample& sample, int64_t width, int64_t height);

// The mask of a test sample as the maps see it, (map_size, map_size) u8 of 0 and 1; all 0 for a good one.
// `width` and `height` are the image's: a mask of another size throws InputError.
Tensor load_sample_mask(const Sample& sample, const ImageConfig& config, int64_t map_size);

// Decodes every image and mask once, so that a damaged file is told before hours of training and not after
// them.
void verify_images(const std::vector<Sample>& samples);

}  // namespace dinomaly
