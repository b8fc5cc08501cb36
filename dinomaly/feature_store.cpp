#include "dinomaly/feature_store.h"

#include "dinomaly/data/loader.h"
#include "tensor/ops.h"

namespace dinomaly {

namespace {
// A tensor of `count` rows like those of `batch`.
Tensor room_for(int64_t count, const Tensor& batch) {
  Shape shape = batch.shape();
  shape[0] = count;
  return Tensor::empty(shape, batch.dtype(), batch.device());
}
}  // namespace

FeatureStore::FeatureStore(const Dinomaly& model, const std::vector<Sample>& samples, int64_t batch) {
  const int64_t count = static_cast<int64_t>(samples.size());
  ImageLoader loader(samples, model.config().image, batch);
  for (int64_t begin = 0; !loader.done();) {
    const Features features = model.encode(loader.next());
    if (begin == 0) {
      all_ = {room_for(count, features.bottleneck_input), {}, features.rows, features.columns};
      for (const Tensor& group : features.encoded) all_.encoded.push_back(room_for(count, group));
    }
    const int64_t end = begin + features.batch();
    all_.bottleneck_input.slice(0, begin, end).copy_from(features.bottleneck_input);
    for (size_t g = 0; g < all_.encoded.size(); ++g) {
      all_.encoded[g].slice(0, begin, end).copy_from(features.encoded[g]);
    }
    begin = end;
  }
}

size_t FeatureStore::bytes() const {
  if (size() == 0) return 0;
  size_t bytes = all_.bottleneck_input.bytes();
  for (const Tensor& group : all_.encoded) bytes += group.bytes();
  return bytes;
}

Features FeatureStore::gather(const std::vector<int64_t>& indices) const {
  Features features{gather_rows(all_.bottleneck_input, indices), {}, all_.rows, all_.columns};
  for (const Tensor& group : all_.encoded) features.encoded.push_back(gather_rows(group, indices));
  return features;
}

}  // namespace dinomaly
