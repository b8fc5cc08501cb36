// The batch rules of matmul; the product itself is the backend's.
#include "tensor/kernels.h"
#include "tensor/ops.h"

namespace nabla {

namespace {

// Sizes before the last two axes.
Shape leading(const Tensor& x) { return Shape(x.shape().begin(), x.shape().end() - 2); }

Tensor as_batch(const Tensor& x, int64_t batch) {
  return x.contiguous().reshape({batch, x.size(-2), x.size(-1)});
}

void check_epilogue(const Epilogue& epilogue, const Tensor& a, const Shape& out) {
  const Shape row{out.back()};
  for (const Tensor* vector : {&epilogue.bias, &epilogue.column_scale}) {
    check(!vector->defined() || (vector->shape() == row && vector->device() == a.device()),
          "matmul: bias or column scale of shape {} does not fit the product {}", vector->shape(), out);
  }
  for (const Tensor* tensor : {&epilogue.bias, &epilogue.column_scale, &epilogue.residual})
    check(!tensor->defined() || tensor->dtype() == a.dtype(),
          "matmul: bias, column scale or residual of {} does not fit a product of {}", tensor->dtype(),
          a.dtype());
  const Tensor& residual = epilogue.residual;
  check(!residual.defined() || (residual.shape() == out && residual.device() == a.device()),
        "matmul: residual of shape {} does not fit the product {}", residual.shape(), out);
}

}  // namespace

Tensor matmul(const Tensor& a, bool a_transposed, const Tensor& b, bool b_transposed,
              const Epilogue& epilogue, bool frozen_b) {
  check(a.defined() && b.defined(), "matmul: an operand is undefined");
  check(a.dtype() == b.dtype() && a.device() == b.device(),
        "matmul: operands {} {} on {} and {} {} on {} are not alike", a.dtype(), a.shape(), a.device(),
        b.dtype(), b.shape(), b.device());
  check(is_floating(a.dtype()), "matmul: expected a floating dtype, got {}", a.dtype());
  check(a.rank() >= 2 && b.rank() >= 2, "matmul: shapes {} and {}: both need two axes", a.shape(), b.shape());
  const int64_t rows = a.size(a_transposed ? -1 : -2), inner = a.size(a_transposed ? -2 : -1);
  const int64_t columns = b.size(b_transposed ? -2 : -1);
  check(inner == b.size(b_transposed ? -1 : -2), "matmul: shapes {}{} and {}{} do not multiply", a.shape(),
        a_transposed ? "^T" : "", b.shape(), b_transposed ? "^T" : "");
  const Shape lead = a.rank() > 2 ? leading(a) : leading(b);
  check(a.rank() == 2 || b.rank() == 2 || leading(b) == lead, "matmul: leading axes of {} and {} differ",
        a.shape(), b.shape());
  Shape shape = lead;
  shape.push_back(rows);
  shape.push_back(columns);
  check_epilogue(epilogue, a, shape);
  Tensor result = Tensor::empty(shape, a.dtype(), a.device());
  if (result.numel() == 0) return result;

  // With one shared b the batch is but more rows of a.
  const bool fold = b.rank() == 2 && !a_transposed;
  const int64_t batch = fold ? 1 : lead.numel();
  const Tensor left =
      fold ? a.contiguous().reshape({1, lead.numel() * rows, inner}) : as_batch(a, a.rank() == 2 ? 1 : batch);
  const Tensor right = as_batch(b, b.rank() == 2 ? 1 : batch);
  const Tensor product = result.reshape({batch, fold ? lead.numel() * rows : rows, columns});
  Epilogue after = epilogue;
  if (after.bias.defined()) after.bias = after.bias.contiguous();
  if (after.column_scale.defined()) after.column_scale = after.column_scale.contiguous();
  if (after.residual.defined()) after.residual = after.residual.contiguous().reshape(product.shape());
  kernels_for(a).matmul(left, a_transposed, right, b_transposed, product, after,
                        frozen_b && b.is_contiguous());  // a copy's address means nothing to a cache
  return result;
}

}  // namespace nabla
