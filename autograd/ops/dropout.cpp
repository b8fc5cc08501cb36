// y = x m / (1 - p), m_i = 1 where uniform number i of the generator's stream is >= p, else 0 (Srivastava et
// al., 2014). x of any shape. dx = dy m / (1 - p): the same function of dy. Saved: seed and offset, from
// which the mask is made again; not the mask. y can be made again where x is a leaf, which somebody keeps, or
// can be made again itself.
#include "autograd/ops/common.h"
#include "autograd/ops/ops.h"

namespace nabla {

Variable dropout(const Variable& x, double p, Generator& generator) {
  check_alike("dropout", x);
  check(p >= 0 && p < 1, "dropout: the probability {} is not in [0, 1)", p);
  const uint64_t seed = generator.seed();
  const uint64_t offset = generator.reserve(static_cast<uint64_t>(x.value().numel()));
  const auto apply = [p, seed, offset](const Tensor& input) {
    const Tensor dense = input.contiguous();
    Tensor output = Tensor::empty_like(dense);
    kernels_for(dense).dropout(dense, p, seed, offset, output);
    return output;
  };
  std::function<Tensor()> again;
  if (x.is_leaf() || x.again()) again = [apply, x = Saved(x)] { return apply(x.get()); };
  return record(
      "dropout", apply(x.value()), {x}, [apply](const Tensor& dy) -> Gradients { return apply(dy); }, again);
}

}  // namespace nabla
