// Times each kernel at Dinomaly's shapes, as a share of what the machine can do.
//
//   bench_ops --benchmark_filter='base/.*threads:2' --benchmark_min_time=0.2
//
// Counters: GFLOP/s and percent of the multiply-add peak for products and attention; GB/s read and written
// and percent of a memcpy of as many bytes for everything else; GOP/s and percent of the peak of int8 for products of
// int8 (of x in f32 or bf16, which is made int8 on the way). bf16 products are also compared with the f32
// peak, which a processor with bf16 instructions may exceed.
#include <benchmark/benchmark.h>
#include <fmt/core.h>

#include <chrono>
#include <cmath>
#include <functional>
#include <memory>
#include <vector>

#include "bench/options.h"
#include "bench/peak.h"
#include "dinomaly/base/framework.h"
#include "tensor/elementwise.h"
#include "tensor/error.h"
#include "tensor/kernels.h"
#include "tensor/ops.h"
#include "tensor/threads.h"

using namespace dinomaly;

namespace {

// One image of 392 x 392 pixels.
constexpr int64_t side = 28, patches = side * side, tokens = patches + 5, pixels = 392, map_size = 256;
constexpr int64_t trained_rows = 4 * tokens;  // of a batch

struct Shapes {
  int64_t width, heads;
  Dtype dtype;
};

// A kernel with its tensors, and the work of one call. All numbers but one are 0: not used as the measure.
struct Case {
  std::function<void()> call;
  double flops = 0, bytes = 0, int8_ops = 0;
};

Tensor random(const Shape& shape, Dtype dtype = Dtype::f32, double std = 1) {
  static Generator generator(1);
  return Tensor::normal(shape, 0, std, generator).to(dtype);
}

double bytes_of(std::initializer_list<Tensor> tensors) {
  double sum = 0;
  for (const Tensor& tensor : tensors) sum += static_cast<double>(tensor.bytes());
  return sum;
}

Kernels& kernels() { return kernels_for(Device::cpu()); }

// What a linear layer does after its product.
Epilogue epilogue_of(Dtype dtype, int64_t out, bool gelu, bool residual) {
  Epilogue epilogue;
  epilogue.bias = random({out}, dtype);
  if (gelu) epilogue.activation = Epilogue::Activation::gelu;
  if (residual) {
    epilogue.residual = random({tokens, out}, dtype);
    epilogue.column_scale = random({out}, dtype);
  }
  return epilogue;
}

// (rows, in) x (out, in)^T with the epilogue that the layer has. frozen: the encoder's packed weights, of one image.
Case linear_case(const Shapes& s, int64_t in, int64_t out, bool gelu, bool residual, bool frozen) {
  // Sums of spread 1, as in a network: far out, GELU gives denormal numbers, which are slow.
  const double spread = 1 / std::sqrt(static_cast<double>(in));
  const int64_t rows = frozen ? tokens : trained_rows;
  const Tensor x = random({1, rows, in}, s.dtype), weight = random({1, out, in}, s.dtype, spread);
  const Tensor y = Tensor::empty({1, rows, out}, s.dtype);
  Epilogue epilogue = epilogue_of(s.dtype, out, gelu, residual);
  if (residual) epilogue.residual = epilogue.residual.unsqueeze(0);
  return {[=] { kernels().matmul(x, false, weight, true, y, epilogue, frozen); },
          2.0 * static_cast<double>(rows * in * out)};
}

// dx = dy W.
Case input_gradient_case(const Shapes& s, int64_t in, int64_t out) {
  const Tensor dy = random({1, trained_rows, out}, s.dtype), weight = random({1, out, in}, s.dtype);
  const Tensor dx = Tensor::empty({1, trained_rows, in}, s.dtype);
  return {[=] { kernels().matmul(dy, false, weight, false, dx); },
          2.0 * static_cast<double>(trained_rows * in * out)};
}

// The same with int8 weights, from x of one dtype to y of another.
Case int8_case(int64_t in, int64_t out, bool gelu, bool residual, Dtype from, Dtype to) {
  const double spread = 1 / std::sqrt(static_cast<double>(in));
  const Tensor x = random({tokens, in}, from), y = Tensor::empty({tokens, out}, to);
  const auto [weight, scale] = quantize_rows(random({out, in}, Dtype::f32, spread));
  const Tensor input_scale = random({in}, Dtype::f32);
  const Epilogue epilogue = epilogue_of(to, out, gelu, residual);
  return {[=, weight = weight, scale = scale] {
            kernels().quantized_matmul(x, input_scale, weight, scale, y, epilogue);
          },
          0, 0, 2.0 * static_cast<double>(tokens * in * out)};
}

// What of it is making x int8.
Case quantize_case(const Shapes& s, int64_t width) {
  const Tensor x = random({tokens, width}, s.dtype), q = Tensor::empty(x.shape(), Dtype::i8);
  const Tensor scale = Tensor::empty({tokens});
  return {[=] { kernels().quantize_rows(x, q, scale); }, 0, bytes_of({x, q})};
}

// dW = dy^T x.
Case weight_gradient_case(const Shapes& s, int64_t in, int64_t out) {
  const Tensor x = random({1, trained_rows, in}, s.dtype), dy = random({1, trained_rows, out}, s.dtype);
  const Tensor dweight = Tensor::empty({1, out, in}, s.dtype);
  return {[=] { kernels().matmul(dy, true, x, false, dweight); },
          2.0 * static_cast<double>(trained_rows * in * out)};
}

struct Heads {
  Tensor q, k, v, out, logsumexp;
};

// Views of a packed projection, as the model has them.
Heads heads_of(const Shapes& s) {
  const int64_t d = s.width / s.heads;
  const Tensor parts = random({1, tokens, 3, s.heads, d}, s.dtype).permute({2, 0, 3, 1, 4});
  const Tensor out = random({1, tokens, s.heads, d}, s.dtype).transpose(1, 2);
  return {parts.select(0, 0), parts.select(0, 1), parts.select(0, 2), out,
          Tensor::empty({1, s.heads, tokens})};
}

Case attention_case(const Shapes& s, bool allow_integers) {
  const Heads h = heads_of(s);
  const double ops = 4.0 * static_cast<double>(tokens * tokens * s.width);
  return {[=] { kernels().attention(h.q, h.k, h.v, 0.125, allow_integers, h.out, h.logsumexp); },
          allow_integers ? 0 : ops, 0, allow_integers ? ops : 0};
}

Case linear_attention_case(const Shapes& s, bool backward) {
  const Heads h = heads_of(s), gradient = heads_of(s);
  const double forward = 4.0 * static_cast<double>(tokens * s.width * (s.width / s.heads));
  if (!backward) return {[=] { kernels().linear_attention(h.q, h.k, h.v, 0, h.out); }, forward};
  return {[=] {
            kernels().linear_attention_backward(h.out, h.q, h.k, h.v, 0, gradient.q, gradient.k, gradient.v);
          },
          3 * forward};  // the forward products again, and two for each of them
}

Case layer_norm_case(const Shapes& s, bool backward) {
  const Tensor x = random({tokens, s.width}, s.dtype), y = random({tokens, s.width}, s.dtype);
  const Tensor weight = random({s.width}, s.dtype), bias = random({s.width}, s.dtype);
  const Tensor mean = Tensor::zeros({tokens, 2}), rstd = Tensor::ones({tokens});
  if (!backward)
    return {[=] { kernels().layer_norm(x, weight, bias, 1e-6, y, mean, rstd); }, 0, bytes_of({x, y})};
  const Tensor dx = Tensor::empty_like(x), dweight = Tensor::empty_like(weight),
               dbias = Tensor::empty_like(bias);
  return {[=] { kernels().layer_norm_backward(y, x, weight, mean, rstd, dx, dweight, dbias); }, 0,
          bytes_of({x, y, dx})};
}

Case gelu_case(const Shapes& s, bool backward) {
  const Tensor x = random({tokens, 4 * s.width}, s.dtype), y = random({tokens, 4 * s.width}, s.dtype);
  if (!backward) return {[=] { kernels().unary(Unary::gelu, x, {}, y); }, 0, bytes_of({x, y})};
  const Tensor dy = random(x.shape(), s.dtype), dx = Tensor::empty_like(x);
  return {[=] { kernels().unary_backward(Unary::gelu, dy, x, y, {}, dx); }, 0, bytes_of({x, y, dy, dx})};
}

Case add_case(const Shapes& s) {
  const Tensor a = random({tokens, s.width}, s.dtype), b = random({tokens, s.width}, s.dtype);
  const Tensor out = Tensor::empty_like(a);
  return {[=] { kernels().binary(Binary::add, a, b, out); }, 0, bytes_of({a, b, out})};
}

Case dropout_case(const Shapes& s) {
  const Tensor x = random({tokens, 4 * s.width}, s.dtype), y = Tensor::empty_like(x);
  return {[=] { kernels().dropout(x, 0.2, 1, 0, y); }, 0, bytes_of({x, y})};
}

Case cosine_case(const Shapes& s, bool backward) {
  const Tensor a = random({patches, s.width}, s.dtype), b = random({patches, s.width}, s.dtype);
  const Tensor out = random({patches}, s.dtype), db = Tensor::empty_like(b);
  if (!backward) return {[=] { kernels().cosine_similarity(a, b, 1e-8, out); }, 0, bytes_of({a, b})};
  return {[=] { kernels().cosine_similarity_backward(out, a, b, 1e-8, {}, db); }, 0, bytes_of({a, b, db})};
}

Case patch_embed_case(const Shapes& s) {
  const Tensor x = random({1, 3, pixels, pixels}, s.dtype), weight = random({s.width, 3, 14, 14}, s.dtype);
  const Tensor bias = random({s.width}, s.dtype), y = Tensor::empty({1, s.width, side, side}, s.dtype);
  const Conv2dArgs args{.stride_y = 14, .stride_x = 14};
  return {[=] { kernels().conv2d(x, weight, bias, args, y); },
          2.0 * static_cast<double>(patches * s.width) * 588};
}

Case interpolate_case(const Shapes& s) {
  const Tensor x = random({1, side, side}, s.dtype), y = Tensor::empty({1, pixels, pixels}, s.dtype);
  const InterpolateArgs args{.mode = InterpolateMode::bilinear, .align_corners = true};
  return {[=] { kernels().interpolate(x, args, y); }, 0, bytes_of({x, y})};
}

Case blur_case(const Shapes& s) {
  const Tensor x = random({1, 1, map_size, map_size}, s.dtype), y = Tensor::empty_like(x);
  const Tensor kernel = random({1, 1, 5, 5}, s.dtype);
  return {[=] { kernels().conv2d(x, kernel, {}, {.padding_y = 2, .padding_x = 2}, y); }, 0, bytes_of({x, y})};
}

Case topk_case(const Shapes& s) {
  constexpr int64_t k = map_size * map_size / 100;
  const Tensor x = random({1, map_size * map_size}, s.dtype), values = Tensor::empty({1, k}, s.dtype);
  const Tensor indices = Tensor::empty({1, k}, Dtype::i64);
  return {[=] { kernels().topk(x, k, true, values, indices); }, 0, bytes_of({x, values, indices})};
}

// All trained parameters: 24 D^2 in each of eight blocks, without the norms, and 8 D^2 in the bottleneck.
Case optimizer_case(const Shapes& s) {
  std::vector<AdamSlot> slots;
  double bytes = 0;
  const auto trained = [&](int64_t out, int64_t in) {
    const Shape shape{out, in};
    AdamSlot slot{random(shape, s.dtype), random(shape, s.dtype), Tensor::zeros(shape), Tensor::zeros(shape),
                  Tensor::zeros(shape)};
    if (s.dtype == Dtype::bf16) slot.master = slot.parameter.to(Dtype::f32);
    // The gradient is read twice: the size of the step must be known before it is made.
    bytes += 2 * bytes_of({slot.gradient}) + 2 * bytes_of({slot.first_moment, slot.second_moment}) +
             2 * bytes_of({slot.max_second_moment, slot.master.defined() ? slot.master : slot.parameter});
    slots.push_back(slot);
  };
  for (int block = 0; block < 8; ++block) trained(3 * s.width, s.width), trained(s.width, s.width);
  for (int mlp = 0; mlp < 9; ++mlp) trained(4 * s.width, s.width), trained(s.width, 4 * s.width);
  const Tensor rate_and_step = Tensor::from(std::vector<double>{2e-4, 100}, {2}),
               scale = Tensor::ones({1}, Dtype::f64);
  return {[=] { kernels().stable_adamw(slots, {0.9, 0.999, 1e-10, 1e-4}, rate_and_step, scale); }, 0, bytes};
}

Case gradient_norm_case(const Shapes& s) {
  std::vector<Tensor> gradients;
  double bytes = 0;
  for (int i = 0; i < 18; ++i) {
    gradients.push_back(random({4 * s.width, s.width}, s.dtype));
    bytes += bytes_of({gradients.back()});
  }
  const Tensor out = Tensor::empty({1}, Dtype::f64);
  return {[=] { kernels().sum_of_squares(gradients, out); }, 0, bytes};
}

void measure_op(benchmark::State& state, const std::function<Case()>& make, int threads) {
  nabla::set_num_threads(threads);
  const Case one = make();
  one.call();  // packs weights, builds primitives
  const auto start = std::chrono::steady_clock::now();
  for (auto _ : state) one.call();
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const double giga_a_second = 1e-9 * static_cast<double>(state.iterations()) / seconds;
  if (one.flops > 0) {
    state.counters["GFLOP/s"] = one.flops * giga_a_second;
    state.counters["percent"] = 100 * one.flops * giga_a_second / peak_gflops(threads);
  } else if (one.int8_ops > 0) {
    state.counters["GOP/s"] = one.int8_ops * giga_a_second;
    const double peak = peak_int8_gops(threads);
    if (peak > 0) state.counters["percent"] = 100 * one.int8_ops * giga_a_second / peak;
  } else {
    state.counters["GB/s"] = one.bytes * giga_a_second;
    state.counters["percent"] =
        100 * one.bytes * giga_a_second / peak_copy_gb(static_cast<size_t>(one.bytes), threads);
  }
}

void register_all(const std::string& arch, Dtype dtype, int threads) {
  const EncoderConfig config = encoder_config(arch);
  const Shapes s{config.width, config.heads, dtype};
  const int64_t width = s.width;
  const std::pair<const char*, std::function<Case()>> cases[] = {
      {"patch_embed", [=] { return patch_embed_case(s); }},
      {"qkv", [=] { return linear_case(s, width, 3 * width, false, false, true); }},
      {"proj+residual", [=] { return linear_case(s, width, width, false, true, true); }},
      {"fc1+gelu", [=] { return linear_case(s, width, 4 * width, true, false, true); }},
      {"fc2+residual", [=] { return linear_case(s, 4 * width, width, false, true, true); }},
      {"qkv_int8", [=] { return int8_case(width, 3 * width, false, false, s.dtype, Dtype::bf16); }},
      {"proj_int8+residual", [=] { return int8_case(width, width, false, true, Dtype::bf16, s.dtype); }},
      {"fc1_int8+gelu", [=] { return int8_case(width, 4 * width, true, false, s.dtype, s.dtype); }},
      {"fc2_int8+residual", [=] { return int8_case(4 * width, width, false, true, s.dtype, s.dtype); }},
      {"quantize", [=] { return quantize_case(s, width); }},
      {"quantize_hidden", [=] { return quantize_case(s, 4 * width); }},
      {"fc1_trained", [=] { return linear_case(s, width, 4 * width, false, false, false); }},
      {"fc1_dx", [=] { return input_gradient_case(s, width, 4 * width); }},
      {"fc1_dweight", [=] { return weight_gradient_case(s, width, 4 * width); }},
      {"fc2_dweight", [=] { return weight_gradient_case(s, 4 * width, width); }},
      {"proj_dweight", [=] { return weight_gradient_case(s, width, width); }},
      {"attention", [=] { return attention_case(s, false); }},
      {"attention_int8", [=] { return attention_case(s, true); }},
      {"linear_attention", [=] { return linear_attention_case(s, false); }},
      {"linear_attention_backward", [=] { return linear_attention_case(s, true); }},
      {"layer_norm", [=] { return layer_norm_case(s, false); }},
      {"layer_norm_backward", [=] { return layer_norm_case(s, true); }},
      {"gelu", [=] { return gelu_case(s, false); }},
      {"gelu_backward", [=] { return gelu_case(s, true); }},
      {"add", [=] { return add_case(s); }},
      {"dropout", [=] { return dropout_case(s); }},
      {"cosine_similarity", [=] { return cosine_case(s, false); }},
      {"cosine_similarity_backward", [=] { return cosine_case(s, true); }},
      {"interpolate", [=] { return interpolate_case(s); }},
      {"blur", [=] { return blur_case(s); }},
      {"topk", [=] { return topk_case(s); }},
      {"sum_of_squares", [=] { return gradient_norm_case(s); }},
      {"stable_adamw", [=] { return optimizer_case(s); }},
  };
  for (const auto& [name, make] : cases) {
    const std::string full = fmt::format("{}/{}/{}/threads:{}", name, arch, name_of(dtype), threads);
    benchmark::RegisterBenchmark(
        full.c_str(), [=, make = make](benchmark::State& state) { measure_op(state, make, threads); })
        ->UseRealTime()
        ->Unit(benchmark::kMicrosecond);
  }
}

}  // namespace

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  std::vector<int> counts{1};
  if (nabla::num_threads() > 1) counts.push_back(nabla::num_threads());
  for (int threads : counts) {
    benchmark::AddCustomContext(
        fmt::format("peak of {} threads", threads),
        fmt::format("{:.1f} GFLOP/s f32, {:.1f} GOP/s int8, copy {:.1f} GB/s in memory, {:.1f} GB/s of 1 MB",
                    peak_gflops(threads), peak_int8_gops(threads), peak_copy_gb(256 << 20, threads),
                    peak_copy_gb(1 << 20, threads)));
    for (const char* arch : {"small", "base"}) {
      for (Dtype dtype : {Dtype::f32, Dtype::bf16}) register_all(arch, dtype, threads);
    }
  }
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}
