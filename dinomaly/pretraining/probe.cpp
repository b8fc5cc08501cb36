#include "dinomaly/pretraining/probe.h"

#include <algorithm>
#include <cmath>

#include "autograd/grad_mode.h"
#include "dinomaly/evaluation/ranking.h"
#include "dinomaly/image/preprocess.h"
#include "tensor/ops.h"

namespace dinomaly {

namespace {

constexpr int64_t images_at_once = 16;

std::vector<Tensor> read_images(const std::vector<Sample>& samples) {
  ImageConfig config;
  config.resize_h = config.resize_w = 256;
  config.crop_h = config.crop_w = 224;
  std::vector<Tensor> images;
  for (const Sample& sample : samples)
    images.push_back(preprocess(load_image(sample.image, config.pixels), config));
  return images;
}

// (images * patches, D) f32.
Tensor features_of(const std::vector<Tensor>& images, const Encoder& encoder,
                   const std::vector<int64_t>& targets, Dtype dtype) {
  const NoGrad guard;
  std::vector<Tensor> parts;
  for (size_t begin = 0; begin < images.size(); begin += images_at_once) {
    std::vector<Tensor> batch;
    for (size_t i = begin; i < std::min(begin + images_at_once, images.size()); ++i)
      batch.push_back(images[i].unsqueeze(0));
    Tensor sum;
    encoder.features(Variable(cat(batch, 0).to(dtype)), targets, [&](size_t, const Variable& tokens) {
      const Tensor patches = tokens.value().slice(1, encoder.prefix_tokens(), tokens.size(1)).to(Dtype::f32);
      sum = sum.defined() ? sum + patches : patches;
    });
    parts.push_back(
        (sum * (1.0 / static_cast<double>(targets.size()))).contiguous().reshape({-1, sum.size(2)}));
  }
  return cat(parts, 0);
}

// The largest over an image's patches of the distance to the nearest row of `known`.
std::vector<float> largest_distances(const Tensor& patches, const Tensor& known, int64_t images) {
  const auto squares = [](const Tensor& x) { return reduce(Reduce::sum, x * x, {1}, true); };
  const Tensor half = squares(known) * -0.5;
  const int64_t per_image = patches.size(0) / images, rows = 4096;
  std::vector<float> scores;
  for (int64_t image = 0; image < images; ++image) {
    const Tensor own = patches.slice(0, image * per_image, (image + 1) * per_image).contiguous();
    Tensor nearest;  // the largest a . b - |b|^2 / 2
    for (int64_t begin = 0; begin < known.size(0); begin += rows) {
      const int64_t end = std::min(begin + rows, known.size(0));
      const Tensor closeness = matmul(own, false, known.slice(0, begin, end).contiguous(), true) +
                               half.slice(0, begin, end).contiguous().reshape({1, end - begin});
      const Tensor best = reduce(Reduce::max, closeness, {1}, true);
      nearest = nearest.defined() ? binary(Binary::maximum, nearest, best) : best;
    }
    const double farthest = reduce(Reduce::max, squares(own) + nearest * -2.0).item();
    scores.push_back(static_cast<float>(std::sqrt(std::max(farthest, 0.0))));
  }
  return scores;
}

}  // namespace

Probe::Probe(const Category& category)
    : train_(read_images(category.train)), test_(read_images(category.test)) {
  check_input(missing_classes(category).empty() && !train_.empty(), "{}: cannot be probed: {}", category.name,
              missing_classes(category));
  for (const Sample& sample : category.test) labels_.push_back(sample.anomalous);
}

ProbeResult Probe::operator()(const Encoder& encoder, const std::vector<int64_t>& targets,
                              Dtype dtype) const {
  const Tensor train = features_of(train_, encoder, targets, dtype),
               test = features_of(test_, encoder, targets, dtype);
  const auto images = static_cast<int64_t>(test_.size());
  const Tensor centred = train - reduce(Reduce::mean, train, {0}, true);
  const Tensor scale = unary(Unary::rsqrt, reduce(Reduce::mean, centred * centred, {0}, true) + 1e-12);
  return {roc_auc(largest_distances(test, train, images), labels_),
          roc_auc(largest_distances(test * scale, train * scale, images), labels_)};
}

}  // namespace dinomaly
