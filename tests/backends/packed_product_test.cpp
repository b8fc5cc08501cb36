// The product of many rows with a packed matrix, at the edges of its tiles, panels and depths.
#include "backends/cpu/packed_product.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <vector>

#include "backends/cpu/amx.h"
#include "backends/cpu/register_product.h"
#include "tensor/kernels.h"
#include "tensor/ops.h"
#include "tensor/threads.h"
#include "tests/support.h"

namespace nabla {

namespace {

struct Problem {
  int64_t m, k, n;
  bool transposed, gelu, with_vectors, with_residual;
};

// Rows that fill tiles of 6 or 32 or do not, columns that fill panels of 64 or do not, depths beyond
// one part (1024, of AMX 512) and within a step.
const std::vector<Problem> problems = {
    {6, 2, 1, false, false, false, false},    {7, 8, 64, true, true, true, true},
    {23, 48, 65, true, true, true, false},    {131, 1024, 96, false, false, true, true},
    {800, 1026, 70, true, false, true, true}, {61, 2500, 128, true, true, false, true},
    {1601, 16, 192, false, true, true, true}, {64, 512, 1100, true, false, true, true},
    {33, 34, 33, true, true, false, true},    {95, 606, 161, false, true, true, false},
};

double worst_difference(const Tensor& x, const Tensor& expected) {
  const auto a = x.to_vector<double>(), b = expected.to_vector<double>();
  double worst = 0;
  for (size_t i = 0; i < a.size(); ++i) worst = std::max(worst, std::abs(a[i] - b[i]) / (1 + std::abs(b[i])));
  return worst;
}

Tensor widened(const Tensor& x) { return x.defined() ? x.to(Dtype::f64) : x; }

// What the packed product gives, and the kernel interface in f64 of the same numbers.
struct Both {
  Tensor got, expected;
};

Both multiply(const Problem& p, Dtype dtype, Dtype out_dtype, bool in_place) {
  Generator generator(static_cast<uint64_t>(p.m * p.n));
  const auto draw = [&](const Shape& shape, double std) {
    return Tensor::normal(shape, 0, std, generator).to(dtype);
  };
  const double spread = 1 / std::sqrt(static_cast<double>(p.k));
  const Tensor a = draw({p.m, p.k}, 1), b = draw(p.transposed ? Shape{p.n, p.k} : Shape{p.k, p.n}, spread);
  Epilogue epilogue;
  if (p.gelu) epilogue.activation = Epilogue::Activation::gelu;
  if (p.with_vectors) epilogue.bias = draw({p.n}, 1), epilogue.column_scale = draw({p.n}, 1);
  const Tensor out = Tensor::empty({p.m, p.n}, out_dtype);
  if (p.with_residual) epilogue.residual = draw({p.m, p.n}, 1).to(out_dtype);

  Epilogue wide{widened(epilogue.bias), epilogue.activation, widened(epilogue.column_scale),
                widened(epilogue.residual)};
  if (p.with_residual) wide.residual = wide.residual.unsqueeze(0);
  const Tensor expected = Tensor::empty({1, p.m, p.n}, Dtype::f64);
  kernels_for(a).matmul(widened(a).unsqueeze(0), false, widened(b).unsqueeze(0), p.transposed, expected,
                        wide);

  const Tensor packed =
      Tensor::empty({static_cast<int64_t>(packed_bytes(dtype, p.k, p.n))}, Dtype::u8, Device::cpu());
  pack(b, p.transposed, p.k, p.n, packed.raw_data());
  const Tensor target = in_place && p.with_residual ? epilogue.residual : out;
  packed_product(a, p.m, p.k, p.n, packed.raw_data(), target, epilogue);
  return {target, expected.reshape({p.m, p.n})};
}

}  // namespace

TEST_CASE("packed product: any number of rows, columns and depth, with any epilogue") {
  for (const Dtype dtype : {Dtype::f32, Dtype::bf16}) {
    if (!has_packed_product(dtype, 6, 2)) {
      skip("this processor has no packed product of " + std::string(name_of(dtype)));
      continue;
    }
    for (const Problem& p : problems) {
      CAPTURE(p.m);
      for (const bool in_place : {false, true}) {
        const Both same = multiply(p, dtype, dtype, in_place);
        CHECK(worst_difference(same.got, same.expected) < (dtype == Dtype::f32 ? 1e-5 : 8e-3));
      }
      const Both wide = multiply(p, dtype, Dtype::f32, false);
      CHECK(worst_difference(wide.got, wide.expected) < 1e-5);
    }
  }
}

#ifdef __AVX512BF16__
TEST_CASE("packed product: pairs of bf16 have the bits of the instruction for them, multiplied in f32") {
  Generator generator(4);
  for (const int64_t depth : {2, 30, 256, 600}) {
    for (const bool tiny : {false, true}) {
      // Tiny ones have products and sums that are subnormal in f32, as the first of all is itself.
      const auto draw = [&](int64_t count) {
        std::vector<BFloat16> values{BFloat16(1e-39F)};
        while (static_cast<int64_t>(values.size()) < count) {
          const double size = std::exp2(tiny ? -60 - 10 * generator.uniform() : 8 * generator.uniform());
          values.emplace_back(static_cast<float>((2 * generator.uniform() - 1) * size));
        }
        return values;
      };
      const int64_t columns = register_columns<float>, sums = register_rows * columns;
      const std::vector<BFloat16> a = draw(register_rows * depth), b = draw(columns * depth);
      std::vector<float> start(static_cast<size_t>(columns));
      for (float& value : start) value = static_cast<float>(generator.normal());
      start[0] = 1e-40F;
      std::vector<float> direct(static_cast<size_t>(sums)), widened(direct), chosen(direct);
      for (const float* from :
           {static_cast<const float*>(nullptr), static_cast<const float*>(start.data())}) {
        direct_product<false>(a.data(), depth, b.data(), depth, direct.data(), columns, from, 0);
        {
          const NoSubnormals mode;
          widened_product<false>(a.data(), depth, b.data(), depth, widened.data(), columns, from, 0);
        }
        CAPTURE(depth);
        CAPTURE(tiny);
        CHECK(std::memcmp(direct.data(), widened.data(), direct.size() * sizeof(float)) == 0);
        register_product(a.data(), depth, b.data(), depth, chosen.data(), columns, from, 0);
        CHECK(std::memcmp(direct.data(), chosen.data(), direct.size() * sizeof(float)) == 0);
      }
    }
  }
}
#endif

TEST_CASE("packed product: a row has the same bits alone with others, and with one thread or several") {
  for (const Dtype dtype : {Dtype::f32, Dtype::bf16}) {
    if (!has_packed_product(dtype, 6, 2)) {
      skip("this processor has no packed product of " + std::string(name_of(dtype)));
      continue;
    }
    const Problem all{1601, 1100, 192, true, true, true, false};
    const Tensor together = multiply(all, dtype, Dtype::f32, false).got;
    const int before = num_threads();
    set_num_threads(1);
    const Tensor alone = multiply(all, dtype, Dtype::f32, false).got;
    set_num_threads(before);
    CHECK(together.to_vector<float>() == alone.to_vector<float>());

    Generator generator(1);
    const Tensor a = Tensor::normal({50, 32}, 0, 1, generator).to(dtype);
    const Tensor b = Tensor::normal({32, 64}, 0, 1, generator).to(dtype);
    const Tensor packed = Tensor::empty({static_cast<int64_t>(packed_bytes(dtype, 32, 64))}, Dtype::u8);
    pack(b, false, 32, 64, packed.raw_data());
    const Tensor whole = Tensor::empty({50, 64}), part = Tensor::empty({7, 64});
    packed_product(a, 50, 32, 64, packed.raw_data(), whole, {});
    packed_product(a.slice(0, 20, 27), 7, 32, 64, packed.raw_data(), part, {});
    CHECK(part.to_vector<float>() == whole.slice(0, 20, 27).to_vector<float>());
  }
}

TEST_CASE(
    "packed product: a frozen weight gives the same bits at its first use, its second, and after trim()") {
  Generator generator(2);
  Kernels& kernels = kernels_for(Device::cpu());
  for (const Dtype dtype : {Dtype::f32, Dtype::bf16}) {
    const Tensor a = Tensor::normal({1, 40, 96}, 0, 1, generator).to(dtype);
    const Tensor weight = Tensor::normal({1, 80, 96}, 0, 1, generator).to(dtype);
    const auto product = [&] {
      const Tensor out = Tensor::empty({1, 40, 80}, dtype);
      kernels.matmul(a, false, weight, true, out, {}, true);
      return out.to_vector<double>();
    };
    const size_t before = kernels.allocator().counters().live_bytes;
    const std::vector<double> first = product();
    CHECK(kernels.allocator().counters().live_bytes == before);  // nothing is kept of one use
    CHECK(product() == first);
    if (has_packed_product(dtype, 40, 96))
      CHECK(kernels.allocator().counters().live_bytes > before);
    else
      skip("this processor has no packed product of " + std::string(name_of(dtype)) +
           ": oneDNN may want no copy");
    CHECK(product() == first);
    kernels.trim();
    CHECK(kernels.allocator().counters().live_bytes == before);
    CHECK(product() == first);
  }
}

TEST_CASE("packed product: a frozen weight in the memory of one that is gone is packed anew") {
  Generator generator(3);
  Kernels& kernels = kernels_for(Device::cpu());
  const Tensor a = Tensor::normal({1, 40, 96}, 0, 1, generator), out = Tensor::empty({1, 40, 80});
  const auto product = [&](const Tensor& weight, bool frozen) {
    kernels.matmul(a, false, weight, true, out, {}, frozen);
    return out.to_vector<float>();
  };
  const Tensor values[] = {Tensor::normal({1, 80, 96}, 0, 1, generator),
                           Tensor::normal({1, 80, 96}, 0, 1, generator)};
  const void* place = nullptr;
  for (const Tensor& value : values) {
    const std::vector<float> expected = product(value, false);
    const Tensor weight = value.clone();
    REQUIRE((place == nullptr || weight.raw_data() == place));
    place = weight.raw_data();
    for (int use = 0; use < 3; ++use) {
      const std::vector<float> found = product(weight, true);
      // Sums may be ordered otherwise; another weight's products differ by about 10.
      CHECK(std::equal(found.begin(), found.end(), expected.begin(), expected.end(),
                       [](float x, float y) { return std::abs(x - y) < 1e-3f; }));
    }
  }
  kernels.trim();
}

TEST_CASE("packed product: too few rows, odd depths of bf16 without AMX and other dtypes are for others") {
  CHECK_FALSE(has_packed_product(Dtype::f32, 5, 64));
  CHECK(has_packed_product(Dtype::bf16, 64, 63) == has_amx());
  CHECK_FALSE(has_packed_product(Dtype::f64, 64, 64));
}

}  // namespace nabla
