// Dinomaly's loss: global cosine distance whose gradient is weakened at points that are
// already well reconstructed.
#pragma once

#include "dinomaly/model/config.h"
#include "dinomaly/model/model.h"
#include "tensor/communicator.h"

namespace dinomaly {

// The share p of easy points at `step`, counted from 0: min(share * step / steps, share), in double.
double mining_share(const Config& config, int64_t step);

// Per group, with encoder features e and decoder features d, both (B, N, D):
//   point distance = 1 - cos(e, d) over D, (B, N), without gradient;
//   k = max(1, int(B N (1 - p))), threshold = the k-th largest point distance of the whole batch;
//   loss = mean over images of 1 - cos(e, d) over all of N D;
//   a hook on d multiplies the gradient by `factor` at points with distance < threshold.
// Returns the mean over groups, a scalar. The hook changes the gradient, never the value.
Variable hard_mining_cosine_loss(const Reconstruction& reconstruction, double p, double factor);
// The k above, for batches of `points` = B N.
int64_t mined_points(int64_t points, double p);
// The same with k (1) i64 on the features' device in place of p. It is read when the work runs, not when it
// is enqueued, so that a recorded step can use a different k each time.
Variable hard_mining_cosine_loss(const Reconstruction& reconstruction, const Tensor& k, double factor);

// What one of several processes has of a batch: its images [first, first + own) of all.
struct BatchShare {
  int64_t first = 0, own = 0, all = 0;
};
// Shares that differ by at most one image. Throws InputError where there are more processes than images.
BatchShare share_of_batch(int64_t images, int rank, int processes);
// What this process's images add to the loss of the whole batch: the sum over all processes is the loss, and of gradients the
// gradient. The threshold is the k-th largest distance of the whole batch, of all processes' points.
Variable hard_mining_cosine_loss(const Reconstruction& reconstruction, const Tensor& k, double factor,
                                 const BatchShare& share, Communicator& processes);

}  // namespace dinomaly
