// What happens to many tensors of very different sizes at once: all are cut into pieces of a fixed size,
// the pieces run in parallel, and sums over pieces are added in order. Results do not depend on the
// number of threads.
#include <cmath>
#include <span>
#include <vector>

#include "backends/common/convert.h"
#include "tensor/kernel_args.h"
#include "tensor/tensor.h"
#include "tensor/threads.h"

namespace nabla::cpu {

namespace {

constexpr int64_t piece_size = 16384;

struct Piece {
  size_t tensor;
  int64_t begin, end;
};

template <class SizeOf>
std::vector<Piece> pieces_of(size_t tensors, const SizeOf& size_of) {
  std::vector<Piece> pieces;
  for (size_t i = 0; i < tensors; ++i) {
    const int64_t size = size_of(i);
    for (int64_t begin = 0; begin < size; begin += piece_size) {
      pieces.push_back({i, begin, std::min(begin + piece_size, size)});
    }
  }
  return pieces;
}

template <class Body>
void for_each_piece(const std::vector<Piece>& pieces, const Body& body) {
  parallel_for(static_cast<int64_t>(pieces.size()), 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) body(static_cast<size_t>(i), pieces[static_cast<size_t>(i)]);
  });
}

// What changes from step to step.
struct StepScalars {
  double learning_rate, number, gradient_scale;
};

// Scalars of one step in the state's type S; each is computed in double first.
template <class S>
struct StepFactors {
  S gradient_scale, beta1, one_minus_beta1, beta2, one_minus_beta2, bias2, eps, decay;
};

template <class S>
StepFactors<S> step_factors(const StableAdamWArgs& args, const StepScalars& step) {
  const auto to_state = [](double value) { return static_cast<S>(value); };
  return {to_state(step.gradient_scale),
          to_state(args.beta1),
          to_state(1.0 - args.beta1),
          to_state(args.beta2),
          to_state(1.0 - args.beta2),
          to_state(std::sqrt(1.0 - std::pow(args.beta2, step.number))),
          to_state(args.eps),
          to_state(1.0 - step.learning_rate * args.weight_decay)};
}

// First pass: the moments. Returns the sum of (gradient / denominator)^2.
template <class G, class S>
double update_moments(const AdamSlot& slot, const Piece& piece, const StepFactors<S>& factors) {
  const G* gradient = slot.gradient.data<G>();
  S* first = slot.first_moment.data<S>();
  S* second = slot.second_moment.data<S>();
  S* largest = slot.max_second_moment.data<S>();
  const StepFactors<S> f = factors;
  double sum = 0;
#pragma omp simd reduction(+ : sum)
  for (int64_t i = piece.begin; i < piece.end; ++i) {
    const S g = static_cast<S>(gradient[i]) * f.gradient_scale;
    first[i] = f.beta1 * first[i] + f.one_minus_beta1 * g;
    const S v = f.beta2 * second[i] + f.one_minus_beta2 * g * g;
    second[i] = v;
    const S before = largest[i];
    const S most = before > v ? before : v;
    largest[i] = most;
    const S ratio = g / (std::sqrt(most) / f.bias2 + f.eps);
    sum += static_cast<double>(ratio) * static_cast<double>(ratio);
  }
  return sum;
}

// Second pass: the parameters; `rate` is lr / (1 - beta1^t) / r.
template <class P, class S>
void update_parameters(const AdamSlot& slot, const Piece& piece, const StepFactors<S>& factors, S rate) {
  P* parameter = slot.parameter.data<P>();
  S* master = slot.master.defined() ? slot.master.data<S>() : nullptr;
  const S* first = slot.first_moment.data<S>();
  const S* largest = slot.max_second_moment.data<S>();
  const StepFactors<S> f = factors;
#pragma omp simd
  for (int64_t i = piece.begin; i < piece.end; ++i) {
    const S denominator = std::sqrt(largest[i]) / f.bias2 + f.eps;
    const S before = master ? master[i] : static_cast<S>(parameter[i]);
    const S after = before * f.decay - rate * first[i] / denominator;
    if (master) master[i] = after;
    store(parameter[i], after);
  }
}

// One pass over one piece with the slot's own types: parameters and gradients may be bf16, the
// state is wider.
double first_pass(const AdamSlot& slot, const Piece& piece, const StableAdamWArgs& args,
                  const StepScalars& step) {
  return visit_floating(slot.gradient.dtype(), [&](auto type) {
    using G = decltype(type);
    return update_moments<G>(slot, piece, step_factors<Wide<G>>(args, step));
  });
}

void second_pass(const AdamSlot& slot, const Piece& piece, const StableAdamWArgs& args,
                 const StepScalars& step, double rate) {
  visit_floating(slot.parameter.dtype(), [&](auto type) {
    using P = decltype(type);
    update_parameters<P>(slot, piece, step_factors<Wide<P>>(args, step), static_cast<Wide<P>>(rate));
  });
}

}  // namespace

void sum_of_squares(std::span<const Tensor> tensors, const Tensor& out) {
  for (const Tensor& tensor : tensors) {
    check(is_floating(tensor.dtype()), "sum_of_squares: expected a floating dtype, got {}", tensor.dtype());
  }
  const std::vector<Piece> pieces = pieces_of(tensors.size(), [&](size_t i) { return tensors[i].numel(); });
  std::vector<double> partial(pieces.size());
  for_each_piece(pieces, [&](size_t number, const Piece& piece) {
    const Tensor& tensor = tensors[piece.tensor];
    visit_floating(tensor.dtype(), [&](auto type) {
      using T = decltype(type);
      const T* values = tensor.data<T>();
      double sum = 0;
#pragma omp simd reduction(+ : sum)
      for (int64_t i = piece.begin; i < piece.end; ++i) {
        const double value = static_cast<double>(static_cast<Wide<T>>(values[i]));
        sum += value * value;
      }
      partial[number] = sum;
    });
  });
  double total = 0;
  for (double sum : partial) total += sum;
  *out.data<double>() = total;
}

void clip_factor(const Tensor& squares, double max_norm, const Tensor& out) {
  const double norm = std::sqrt(*squares.data<double>());
  out.data<double>()[0] = norm;
  const double factor = std::isfinite(norm) ? max_norm / (norm + 1e-6) : std::nan("");
  out.data<double>()[1] = factor > 1 ? 1 : factor;
}

void stable_adamw(std::span<const AdamSlot> slots, const StableAdamWArgs& args, const Tensor& rate_and_step,
                  const Tensor& gradient_scale) {
  const double* scalars = rate_and_step.data<double>();
  const StepScalars step{scalars[0], scalars[1], *gradient_scale.data<double>()};
  if (std::isnan(step.gradient_scale)) return;
  for (const AdamSlot& slot : slots) {
    const Dtype state = slot.parameter.dtype() == Dtype::f64 ? Dtype::f64 : Dtype::f32;
    const Dtype gradient = slot.gradient.dtype() == Dtype::f64 ? Dtype::f64 : Dtype::f32;
    check(is_floating(slot.parameter.dtype()) && is_floating(slot.gradient.dtype()) &&
              slot.first_moment.dtype() == state && slot.second_moment.dtype() == state &&
              slot.max_second_moment.dtype() == state && gradient == state &&
              (!slot.master.defined() || slot.master.dtype() == state),
          "stable_adamw: gradient {} and state {} do not fit a parameter of {}", slot.gradient.dtype(),
          slot.first_moment.dtype(), slot.parameter.dtype());
  }
  const std::vector<Piece> pieces =
      pieces_of(slots.size(), [&](size_t i) { return slots[i].parameter.numel(); });
  std::vector<double> partial(pieces.size());
  for_each_piece(pieces, [&](size_t number, const Piece& piece) {
    partial[number] = first_pass(slots[piece.tensor], piece, args, step);
  });
  std::vector<double> squares(slots.size());
  for (size_t i = 0; i < pieces.size(); ++i) squares[pieces[i].tensor] += partial[i];
  const double base_rate = step.learning_rate / (1.0 - std::pow(args.beta1, step.number));
  for_each_piece(pieces, [&](size_t, const Piece& piece) {
    const AdamSlot& slot = slots[piece.tensor];
    const double rms = std::sqrt(squares[piece.tensor] / static_cast<double>(slot.parameter.numel()));
    second_pass(slot, piece, args, step, base_rate / std::max(1.0, rms));
  });
}

}  // namespace nabla::cpu
