#include "dinomaly/model/anomaly_map.h"

#include <algorithm>
#include <cmath>

#include "autograd/ops/ops.h"
#include "dinomaly/base/framework.h"
#include "tensor/ops.h"

namespace dinomaly {

namespace {

// Extends x along `axis` by reflection, without repeating the border: 2 1 | 0 1 2 .. .
Tensor reflect(const Tensor& x, int axis, int64_t margin) {
  const int64_t size = x.size(axis);
  std::vector<Tensor> parts;
  for (int64_t i = margin; i > 0; --i) parts.push_back(x.slice(axis, i, i + 1));
  parts.push_back(x);
  for (int64_t i = 1; i <= margin; ++i) parts.push_back(x.slice(axis, size - 1 - i, size - i));
  return cat(parts, axis);
}

// maps (B, S, S) -> the same shape.
Tensor blur(const Tensor& maps, const Config& config) {
  const int64_t margin = config.blur_size / 2;
  Tensor x = maps.unsqueeze(1);
  Conv2dArgs args{.padding_y = margin, .padding_x = margin};
  if (config.blur_reflects) {
    x = reflect(reflect(x, 2, margin), 3, margin);
    args = {};
  }
  const Tensor kernel =
      gaussian_kernel(config.blur_size, config.blur_sigma).to(maps.dtype()).to(maps.device());
  return conv2d(Variable(x), Variable(kernel), {}, args).value().squeeze(1);
}

}  // namespace

Tensor gaussian_kernel(int64_t size, double sigma) {
  std::vector<double> values;
  double sum = 0;
  for (int64_t y = 0; y < size; ++y) {
    for (int64_t x = 0; x < size; ++x) {
      const double dy = static_cast<double>(y - size / 2), dx = static_cast<double>(x - size / 2);
      values.push_back(std::exp(-(dx * dx + dy * dy) / (2 * sigma * sigma)));
      sum += values.back();
    }
  }
  for (double& value : values) value /= sum;
  return Tensor::from(values, {1, 1, size, size});
}

Tensor anomaly_score(const Tensor& blurred, double ratio) {
  const Tensor flat = blurred.reshape({blurred.size(0), -1});
  const int64_t k = ratio == 0 ? 1 : static_cast<int64_t>(ratio * static_cast<double>(flat.size(1)));
  return reduce(Reduce::mean, topk(flat, std::max<int64_t>(k, 1)).first, {1});
}

AnomalyMaps anomaly_maps(const Reconstruction& reconstruction, int64_t height, int64_t width,
                         const Config& config) {
  NoGrad no_recording;
  const InterpolateArgs to_input{.mode = InterpolateMode::bilinear, .align_corners = true};
  const InterpolateArgs to_map{.mode = InterpolateMode::bilinear};
  Variable sum;
  for (size_t g = 0; g < reconstruction.encoded.size(); ++g) {
    const Variable encoded(reconstruction.encoded[g]);
    const Variable decoded = reconstruction.decoded[g].detach();
    const Variable distance = reshape(1.0 - cosine_similarity(encoded, decoded),
                                      {encoded.size(0), reconstruction.rows, reconstruction.columns});
    const Variable resized = interpolate(distance, height, width, to_input);
    sum = sum.defined() ? sum + resized : resized;
  }
  const Variable map = sum * (1.0 / static_cast<double>(reconstruction.encoded.size()));
  const Tensor blurred = blur(interpolate(map, config.map_size, config.map_size, to_map).value(), config);
  return {map.value(), blurred, anomaly_score(blurred, config.score_ratio)};
}

}  // namespace dinomaly
