// Everything a device must be able to compute. Callers (autograd/ops, optim) check shapes,
// allocate the outputs and broadcast; a kernel only computes.
//
// Unless a line says otherwise: all tensors of a call live on the kernel's device, share one floating dtype
// (f32, bf16; f64 on the CPU) and are contiguous; outputs are allocated by the caller and must not overlap
// inputs; sums and statistics are accumulated in f32 or wider (f64 for f64); empty tensors are legal.
#pragma once

#include <cstdint>
#include <span>

#include "tensor/backend.h"
#include "tensor/kernel_args.h"
#include "tensor/tensor.h"

namespace nabla {

class Kernels : public Backend {
 public:
  // --- copy: any strides, any dtypes, same shape. Floats to integers truncate. On a GPU backend one side may
  // live on the CPU.
  virtual void copy(const Tensor& from, const Tensor& to) = 0;
  virtual void fill(const Tensor& out, double value) = 0;  // any strides and dtype

  // --- elementwise: inputs of any strides and of the output's shape; out contiguous, may be an input.
  virtual void unary(Unary op, const Tensor& x, UnaryArgs args, const Tensor& y) = 0;
  // dx = dy * f'(x); y = f(x) is given because many derivatives are simplest in it.
  virtual void unary_backward(Unary op, const Tensor& dy, const Tensor& x, const Tensor& y, UnaryArgs args,
                              const Tensor& dx) = 0;
  virtual void binary(Binary op, const Tensor& a, const Tensor& b,
                      const Tensor& out) = 0;  // integers too: they wrap around
  virtual void compare(Compare op, const Tensor& a, const Tensor& b,
                       const Tensor& out) = 0;  // out u8: 0 or 1
  virtual void where(const Tensor& condition, const Tensor& a, const Tensor& b,
                     const Tensor& out) = 0;  // cond u8

  // --- reduce: x (outer, n, inner) -> out (outer, inner). op is sum or max; max of n = 0 is an
  // error of the caller.
  virtual void reduce(Reduce op, const Tensor& x, const Tensor& out) = 0;
  virtual void arg_max(const Tensor& x, const Tensor& out) = 0;  // out i64, the first of equals
  // Sorts each row of x (rows, n), stably, NaN last; indices i64.
  virtual void sort(const Tensor& x, bool descending, const Tensor& values, const Tensor& indices) = 0;
  // The k largest (or smallest) of each row, in order; values and indices are (rows, k).
  virtual void topk(const Tensor& x, int64_t k, bool largest, const Tensor& values,
                    const Tensor& indices) = 0;
  // out (1) = the k-th largest element of x (n), in the order of sort(); k (1) i64, from 1 to n.
  virtual void kth_largest(const Tensor& x, const Tensor& k, const Tensor& out) = 0;

  // --- matmul: out (batch, M, N) = op(a) op(b), op(a) of (batch, M, K), op(b) of (batch, K, N). A
  // `transposed` operand is stored with its last two axes exchanged. An operand's batch may be 1: it
  // is shared. out of f32 from bf16 operands is allowed. frozen_b: b changes rarely, so a packed
  // copy may be kept; the version of its storage says when it has. The epilogue's tensors are of out's dtype, or of a's.
  virtual void matmul(const Tensor& a, bool a_transposed, const Tensor& b, bool b_transposed,
                      const Tensor& out, const Epilogue& epilogue = {}, bool frozen_b = false) = 0;

  // --- int8 with one scale for each row, formulas in backends/common/quantize.h.
  // x (rows, n) f32 or bf16 -> quantized (rows, n) i8 and scale (rows) f32, with x about scale * quantized.
  virtual void quantize_rows(const Tensor& x, const Tensor& quantized, const Tensor& scale) = 0;
  // out (M, N) = residual + column_scale * act(a b^T + bias); a (M, K) and out f32 or bf16. The rows of a,
  // multiplied by input_scale (K) f32 where that is defined, are quantised here; b about scale * quantized_b, i8 (N, K) and f32 (N). Integers are summed in i32: K at most quantized_depth.
  // The epilogue's tensors may be of f32 or out's dtype.
  virtual void quantized_matmul(const Tensor& a, const Tensor& input_scale, const Tensor& quantized_b,
                                const Tensor& scale, const Tensor& out, const Epilogue& epilogue) = 0;

  // --- layer_norm over the rows of x (rows, D); weight and bias (D). In Wide<dtype>: rstd (rows) and mean (rows, 2), whose
  // two numbers add up to the mean.
  virtual void layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, double eps,
                          const Tensor& y, const Tensor& mean, const Tensor& rstd) = 0;
  virtual void layer_norm_backward(const Tensor& dy, const Tensor& x, const Tensor& weight,
                                   const Tensor& mean, const Tensor& rstd, const Tensor& dx,
                                   const Tensor& dweight, const Tensor& dbias) = 0;

  // --- softmax over the rows of x (rows, n), or its logarithm.
  virtual void softmax(const Tensor& x, bool logarithm, const Tensor& y) = 0;
  virtual void softmax_backward(const Tensor& dy, const Tensor& y, bool logarithm, const Tensor& dx) = 0;
  // loss[r] = -log softmax(logits[r])[labels[r]]; probabilities (rows, n) are kept for the backward pass.
  virtual void cross_entropy(const Tensor& logits, const Tensor& labels, const Tensor& loss,
                             const Tensor& probabilities) = 0;
  virtual void cross_entropy_backward(const Tensor& dloss, const Tensor& probabilities, const Tensor& labels,
                                      const Tensor& dlogits) = 0;

  // --- attention: q (B, H, N, d), k (B, H, M, d), v (B, H, M, d), out (B, H, N, d), all with last stride 1
  // and any other strides (so they may be views of one packed qkv). out = softmax(scale q k^T) v; the N
  // x M matrix is never stored whole. logsumexp (B, H, N) in Wide<dtype>: the rows' normalisers, for
  // the backward pass. With allow_integers, rows of f32 and bf16 may be multiplied as integers of 16 bits, each with a scale
  // of its own, where that is faster; a row that is not finite then makes all NaN that it is multiplied into.
  virtual void attention(const Tensor& q, const Tensor& k, const Tensor& v, double scale, bool allow_integers,
                         const Tensor& out, const Tensor& logsumexp) = 0;
  virtual void attention_backward(const Tensor& dout, const Tensor& q, const Tensor& k, const Tensor& v,
                                  const Tensor& out, const Tensor& logsumexp, double scale, const Tensor& dq,
                                  const Tensor& dk, const Tensor& dv) = 0;

  // --- linear attention, same layout with M = N: with f(x) = elu(x) + 1, per head
  // out = f(q) (f(k)^T v) / (f(q) . sum_n f(k_n) + eps).
  virtual void linear_attention(const Tensor& q, const Tensor& k, const Tensor& v, double eps,
                                const Tensor& out) = 0;
  virtual void linear_attention_backward(const Tensor& dout, const Tensor& q, const Tensor& k,
                                         const Tensor& v, double eps, const Tensor& dq, const Tensor& dk,
                                         const Tensor& dv) = 0;

  // --- rope: x (B, H, N, d) -> y, both with last stride 1 and any other strides; y may be x. cosines and sines (P,
  // d/2) of the last P rows' angles; the inverse turns back. Formula in autograd/ops/rope.cpp.
  virtual void rope(const Tensor& x, const Tensor& cosines, const Tensor& sines, bool inverse,
                    const Tensor& y) = 0;

  // --- dropout: y[i] = x[i] / (1 - p) where uniform number i of the stream (word i % 4 of block offset + i /
  // 4) is >= p, else 0. Its own backward: the same call on dy.
  virtual void dropout(const Tensor& x, double p, uint64_t seed, uint64_t offset, const Tensor& y) = 0;

  // --- conv2d: x (B, C, H, W), weight (O, C / groups, kh, kw), bias (O) or undefined, y (B, O, H', W').
  virtual void conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias, const Conv2dArgs& args,
                      const Tensor& y) = 0;
  virtual void conv2d_backward_data(const Tensor& dy, const Tensor& weight, const Conv2dArgs& args,
                                    const Tensor& dx) = 0;
  virtual void conv2d_backward_weight(const Tensor& dy, const Tensor& x, const Conv2dArgs& args,
                                      const Tensor& dweight) = 0;

  // --- interpolate: x (planes, H, W) -> y (planes, H', W').
  virtual void interpolate(const Tensor& x, const InterpolateArgs& args, const Tensor& y) = 0;
  virtual void interpolate_backward(const Tensor& dy, const InterpolateArgs& args, const Tensor& dx) = 0;

  // --- cosine similarity of rows: a, b (rows, n) -> out (rows); each norm clamped from below at eps.
  virtual void cosine_similarity(const Tensor& a, const Tensor& b, double eps, const Tensor& out) = 0;
  // da or db may be undefined: not wanted.
  virtual void cosine_similarity_backward(const Tensor& dout, const Tensor& a, const Tensor& b, double eps,
                                          const Tensor& da, const Tensor& db) = 0;

  // --- optimizers.
  // Sum of squares over all elements of all tensors, accumulated in f64, into out (1) of f64.
  virtual void sum_of_squares(std::span<const Tensor> tensors, const Tensor& out) = 0;
  // out (2) of f64 = {norm, min(1, max_norm / (norm + 1e-6))} with norm = sqrt(squares); squares (1) of f64. The
  // factor of a norm that is not finite is NaN.
  virtual void clip_factor(const Tensor& squares, double max_norm, const Tensor& out) = 0;
  // One step of StableAdamW with AMSGrad on every slot; gradients are first multiplied by gradient_scale.
  // rate_and_step (2) of f64: the learning rate, and the step's number from 1; gradient_scale (1) of f64:
  // tensors, so that a recorded step finds there the values of the day. A gradient_scale of NaN changes nothing.
  // Without AMSGrad a slot's max_second_moment is its second_moment, the same tensor. Formula in
  // nn/optim/optimizer.h.
  virtual void stable_adamw(std::span<const AdamSlot> slots, const StableAdamWArgs& args,
                            const Tensor& rate_and_step, const Tensor& gradient_scale) = 0;
};

// The kernels of a device. Throws where the program was built without it or the device is absent.
Kernels& kernels_for(Device device);
inline Kernels& kernels_for(const Tensor& tensor) { return kernels_for(tensor.device()); }

}  // namespace nabla
