// Kernels over many tensors of very different sizes at once: all are cut into pieces of a fixed size, each
// block takes one piece, and sums over pieces are added in order. The list of pieces is sent to the GPU with
// each call, or once with a recording. The scalars that differ from step to step are in the GPU's memory.
#include <cmath>
#include <vector>

#include "backends/common/convert.h"
#include "backends/cuda/cuda_kernels.h"
#include "backends/cuda/launch.cuh"
#include "tensor/elementwise.h"

namespace nabla {

namespace {

constexpr int64_t piece_size = 16384;

// f32 or bf16, as the flag says.
struct Values {
  void* data;
  bool bf16;

  explicit Values(const Tensor& tensor) : data(tensor.raw_data()), bf16(tensor.dtype() == Dtype::bf16) {}
  __device__ float load(int64_t i) const {
    return bf16 ? static_cast<float>(static_cast<const BFloat16*>(data)[i])
                : static_cast<const float*>(data)[i];
  }
  __device__ void keep(int64_t i, float value) const {
    if (bf16)
      store(static_cast<BFloat16*>(data)[i], value);
    else
      static_cast<float*>(data)[i] = value;
  }
};

struct Piece {
  Values values;
  int64_t begin, end;
};

// One tensor's part in a step, and its pieces [first_piece, last_piece).
struct Slot {
  Values parameter, gradient;
  float *first, *second, *largest, *master;  // master may be null
  int64_t first_piece, last_piece, size;
};
struct SlotPiece {
  int64_t slot, begin, end;
};

// What a step reads from the GPU's memory.
struct StepScalars {
  const double *rate_and_step, *gradient_scale;
};

// Scalars of one step; each is computed in double first.
struct StepFactors {
  float gradient_scale, beta1, one_minus_beta1, beta2, one_minus_beta2, bias2, eps, decay;

  __device__ StepFactors(const StableAdamWArgs& args, const StepScalars& step)
      : gradient_scale(static_cast<float>(*step.gradient_scale)),
        beta1(static_cast<float>(args.beta1)),
        one_minus_beta1(static_cast<float>(1.0 - args.beta1)),
        beta2(static_cast<float>(args.beta2)),
        one_minus_beta2(static_cast<float>(1.0 - args.beta2)),
        bias2(static_cast<float>(sqrt(1.0 - pow(args.beta2, step.rate_and_step[1])))),
        eps(static_cast<float>(args.eps)),
        decay(static_cast<float>(1.0 - step.rate_and_step[0] * args.weight_decay)) {}
};

__global__ void square_kernel(const Piece* pieces, double* partial) {
  const Piece& piece = pieces[blockIdx.x];
  double sum = 0;
  for (int64_t i = piece.begin + threadIdx.x; i < piece.end; i += blockDim.x) {
    const double value = piece.values.load(i);
    sum += value * value;
  }
  sum = block_reduce(sum, elementwise::Add{});
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

// One block for all pieces.
__global__ void total_kernel(const double* partial, int64_t count, double* out) {
  double sum = 0;
  for (int64_t i = threadIdx.x; i < count; i += blockDim.x) sum += partial[i];
  sum = block_reduce(sum, elementwise::Add{});
  if (threadIdx.x == 0) *out = sum;
}

__global__ void clip_kernel(const double* squares, double max_norm, double* out) {
  const double norm = sqrt(*squares), factor = std::isfinite(norm) ? max_norm / (norm + 1e-6) : std::nan("");
  out[0] = norm;
  out[1] = factor > 1 ? 1 : factor;
}

// First pass: the moments, and each piece's sum of (gradient / denominator)^2.
__global__ void moment_kernel(const Slot* slots, const SlotPiece* pieces, StableAdamWArgs args,
                              StepScalars step, double* partial) {
  if (std::isnan(*step.gradient_scale)) return;
  const StepFactors f(args, step);
  const SlotPiece& piece = pieces[blockIdx.x];
  const Slot& slot = slots[piece.slot];
  double sum = 0;
  for (int64_t i = piece.begin + threadIdx.x; i < piece.end; i += blockDim.x) {
    const float g = slot.gradient.load(i) * f.gradient_scale;
    slot.first[i] = f.beta1 * slot.first[i] + f.one_minus_beta1 * g;
    const float v = f.beta2 * slot.second[i] + f.one_minus_beta2 * g * g;
    slot.second[i] = v;
    const float before = slot.largest[i];
    const float most = before > v ? before : v;
    slot.largest[i] = most;
    const float ratio = g / (std::sqrt(most) / f.bias2 + f.eps);
    sum += static_cast<double>(ratio) * static_cast<double>(ratio);
  }
  sum = block_reduce(sum, elementwise::Add{});
  if (threadIdx.x == 0) partial[blockIdx.x] = sum;
}

// rates[slot] = lr / (1 - beta1^t) / max(1, rms of the slot's ratios); one thread a slot.
__global__ void rate_kernel(const Slot* slots, int64_t count, const double* partial, StableAdamWArgs args,
                            StepScalars step, float* rates) {
  const double base_rate = step.rate_and_step[0] / (1.0 - pow(args.beta1, step.rate_and_step[1]));
  for (int64_t i = first_index(); i < count; i += index_step()) {
    double sum = 0;
    for (int64_t p = slots[i].first_piece; p < slots[i].last_piece; ++p) sum += partial[p];
    const double rms = sqrt(sum / static_cast<double>(slots[i].size));
    rates[i] = static_cast<float>(base_rate / (1.0 < rms ? rms : 1.0));
  }
}

// Second pass: the parameters.
__global__ void parameter_kernel(const Slot* slots, const SlotPiece* pieces, StableAdamWArgs args,
                                 StepScalars step, const float* rates) {
  if (std::isnan(*step.gradient_scale)) return;
  const StepFactors f(args, step);
  const SlotPiece& piece = pieces[blockIdx.x];
  const Slot& slot = slots[piece.slot];
  const float rate = rates[piece.slot];
  for (int64_t i = piece.begin + threadIdx.x; i < piece.end; i += blockDim.x) {
    const float denominator = std::sqrt(slot.largest[i]) / f.bias2 + f.eps;
    const float before = slot.master ? slot.master[i] : slot.parameter.load(i);
    const float after = before * f.decay - rate * slot.first[i] / denominator;
    if (slot.master) slot.master[i] = after;
    slot.parameter.keep(i, after);
  }
}

void check_slot(const AdamSlot& slot) {
  const auto computed = [](Dtype dtype) { return dtype == Dtype::f32 || dtype == Dtype::bf16; };
  check(computed(slot.parameter.dtype()) && computed(slot.gradient.dtype()) &&
            slot.first_moment.dtype() == Dtype::f32 && slot.second_moment.dtype() == Dtype::f32 &&
            slot.max_second_moment.dtype() == Dtype::f32 &&
            (!slot.master.defined() || slot.master.dtype() == Dtype::f32),
        "stable_adamw: gradient {} and state {} do not fit a parameter of {} on a GPU", slot.gradient.dtype(),
        slot.first_moment.dtype(), slot.parameter.dtype());
}

}  // namespace

void CudaKernels::sum_of_squares(std::span<const Tensor> tensors, const Tensor& out) {
  std::vector<Piece> pieces;
  for (const Tensor& tensor : tensors) {
    check(tensor.dtype() == Dtype::f32 || tensor.dtype() == Dtype::bf16,
          "sum_of_squares: expected f32 or bf16 on a GPU, got {}", tensor.dtype());
    for (int64_t begin = 0; begin < tensor.numel(); begin += piece_size) {
      pieces.push_back({Values(tensor), begin, std::min(begin + piece_size, tensor.numel())});
    }
  }
  const int64_t count = static_cast<int64_t>(pieces.size());
  const Tensor list = upload(std::span<const Piece>(pieces));
  const Tensor partial = Tensor::empty({count}, Dtype::f64, device());
  double* sums = static_cast<double*>(partial.raw_data());
  launch("sum_of_squares", stream_, count, block_threads, 0, square_kernel,
         static_cast<const Piece*>(list.raw_data()), sums);
  launch("sum_of_squares", stream_, 1, block_threads, 0, total_kernel, sums, count, out.data<double>());
}

void CudaKernels::clip_factor(const Tensor& squares, double max_norm, const Tensor& out) {
  launch("clip_factor", stream_, 1, 1, 0, clip_kernel, squares.data<double>(), max_norm, out.data<double>());
}

void CudaKernels::stable_adamw(std::span<const AdamSlot> slots, const StableAdamWArgs& args,
                               const Tensor& rate_and_step, const Tensor& gradient_scale) {
  std::vector<Slot> list;
  std::vector<SlotPiece> pieces;
  for (const AdamSlot& slot : slots) {
    check_slot(slot);
    const int64_t size = slot.parameter.numel(), number = static_cast<int64_t>(list.size());
    const int64_t first_piece = static_cast<int64_t>(pieces.size());
    for (int64_t begin = 0; begin < size; begin += piece_size) {
      pieces.push_back({number, begin, std::min(begin + piece_size, size)});
    }
    list.push_back({Values(slot.parameter), Values(slot.gradient), slot.first_moment.data<float>(),
                    slot.second_moment.data<float>(), slot.max_second_moment.data<float>(),
                    slot.master.defined() ? slot.master.data<float>() : nullptr, first_piece,
                    static_cast<int64_t>(pieces.size()), size});
  }
  const char* op = "stable_adamw";
  const int64_t count = static_cast<int64_t>(pieces.size()), tensors = static_cast<int64_t>(list.size());
  const Tensor slot_list = upload(std::span<const Slot>(list));
  const Tensor piece_list = upload(std::span<const SlotPiece>(pieces));
  const auto* device_slots = static_cast<const Slot*>(slot_list.raw_data());
  const auto* device_pieces = static_cast<const SlotPiece*>(piece_list.raw_data());
  const Tensor partial = Tensor::empty({count}, Dtype::f64, device());
  const Tensor rates = Tensor::empty({tensors}, Dtype::f32, device());
  double* sums = static_cast<double*>(partial.raw_data());
  const StepScalars step{rate_and_step.data<double>(), gradient_scale.data<double>()};
  launch(op, stream_, count, block_threads, 0, moment_kernel, device_slots, device_pieces, args, step, sums);
  launch(op, stream_, blocks_for(tensors), block_threads, 0, rate_kernel, device_slots, tensors, sums, args,
         step, rates.data<float>());
  launch(op, stream_, count, block_threads, 0, parameter_kernel, device_slots, device_pieces, args, step,
         rates.data<float>());
}

}  // namespace nabla
