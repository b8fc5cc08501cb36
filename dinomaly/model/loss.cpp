#include "dinomaly/model/loss.h"

#include <algorithm>

#include "autograd/ops/ops.h"
#include "dinomaly/base/framework.h"
#include "tensor/elementwise.h"
#include "tensor/ops.h"

namespace dinomaly {

double mining_share(const Config& config, int64_t step) {
  const double ramp =
      config.mining_share * static_cast<double>(step) / static_cast<double>(config.mining_steps);
  return std::min(ramp, config.mining_share);
}

namespace {

// (B, N, 1): `factor` at the easy points, 1 elsewhere.
Tensor gradient_weights(const Tensor& encoded, const Tensor& decoded, const Tensor& k, double factor,
                        Communicator& processes) {
  const Tensor distance =
      no_grad([&] { return 1.0 - cosine_similarity(Variable(encoded), Variable(decoded)); }).value();
  const Tensor of_all = processes.all_gather(distance);
  const Tensor easy = compare(Compare::less, distance, kth_largest(of_all, k)).unsqueeze(-1);
  const Tensor one = Tensor::ones({1}, decoded.dtype(), decoded.device());
  return where(easy, one * factor, one);
}

Variable group_loss(const Tensor& encoded, const Variable& decoded, const Tensor& k, double factor,
                    Communicator& processes) {
  const Tensor weights = gradient_weights(encoded, decoded.value(), k, factor, processes);
  if (decoded.requires_grad()) {
    decoded.register_hook([weights](const Tensor& gradient) { return gradient * weights; });
  }
  const Shape flat{encoded.size(0), encoded.size(1) * encoded.size(2)};
  return 1.0 - mean(cosine_similarity(Variable(encoded.reshape(flat)), reshape(decoded, flat)));
}

}  // namespace

int64_t mined_points(int64_t points, double p) {
  return std::max<int64_t>(1, static_cast<int64_t>(static_cast<double>(points) * (1 - p)));
}

Variable hard_mining_cosine_loss(const Reconstruction& reconstruction, double p, double factor) {
  const Tensor& encoded = reconstruction.encoded.at(0);
  const double k = static_cast<double>(mined_points(encoded.size(0) * encoded.size(1), p));
  return hard_mining_cosine_loss(reconstruction, Tensor::full({1}, k, Dtype::i64, encoded.device()), factor);
}

Variable hard_mining_cosine_loss(const Reconstruction& reconstruction, const Tensor& k, double factor) {
  return hard_mining_cosine_loss(reconstruction, k, factor, {0, 1, 1}, single_process());
}

BatchShare share_of_batch(int64_t images, int rank, int processes) {
  check_input(images >= processes, "--batch: {} images for {} processes: each needs one", images, processes);
  const int64_t first = images * rank / processes;
  return {first, images * (rank + 1) / processes - first, images};
}

Variable hard_mining_cosine_loss(const Reconstruction& reconstruction, const Tensor& k, double factor,
                                 const BatchShare& share, Communicator& processes) {
  const size_t groups = reconstruction.encoded.size();
  Variable loss;
  for (size_t g = 0; g < groups; ++g) {
    const Variable one =
        group_loss(reconstruction.encoded[g], reconstruction.decoded[g], k, factor, processes);
    loss = loss.defined() ? loss + one : one;
  }
  return loss *
         (static_cast<double>(share.own) / static_cast<double>(share.all * static_cast<int64_t>(groups)));
}

}  // namespace dinomaly
