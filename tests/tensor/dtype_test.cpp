#include "tensor/dtype.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

#include "tensor/device.h"

using namespace nabla;

TEST_CASE("dtype: names there and back, sizes") {
  for (Dtype dtype : {Dtype::f32, Dtype::f64, Dtype::bf16, Dtype::i64, Dtype::u8, Dtype::i8}) {
    CHECK(parse_dtype(name_of(dtype)) == dtype);
    visit(dtype, [&](auto type) {
      CHECK(sizeof(type) == size_of(dtype));
      CHECK(dtype_of<decltype(type)>() == dtype);
    });
  }
  CHECK_THROWS_WITH_AS(parse_dtype("f16"), "unknown dtype 'f16': expected f32, f64, bf16, i64, u8 or i8",
                       InputError);
  CHECK_THROWS_AS(visit_floating(Dtype::i64, [](auto) {}), Error);
}

TEST_CASE("bfloat16: rounds to nearest, ties to even") {
  const float step = 0x1p-7f;  // between neighbours in [1, 2)
  CHECK(float(BFloat16(1.0f)) == 1.0f);
  CHECK(float(BFloat16(1.0f + 0.5f * step)) == 1.0f);                // tie: 1 is even
  CHECK(float(BFloat16(1.0f + 1.5f * step)) == 1.0f + 2.0f * step);  // tie: the upper one is even
  CHECK(float(BFloat16(1.0f + 0.51f * step)) == 1.0f + step);
  CHECK(float(BFloat16(-1.0f - 0.51f * step)) == -1.0f - step);
}

TEST_CASE("bfloat16: infinities, overflow and NaN") {
  const float infinity = std::numeric_limits<float>::infinity();
  CHECK(float(BFloat16(infinity)) == infinity);
  CHECK(float(BFloat16(std::numeric_limits<float>::max())) == infinity);
  uint32_t bits = 0x7f800001u;  // a NaN whose upper half alone would be infinity
  float nan;
  memcpy(&nan, &bits, sizeof nan);
  CHECK(std::isnan(float(BFloat16(nan))));
}

TEST_CASE("bfloat16: every one of its values survives the way through float") {
  int changed = 0;
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    BFloat16 value;
    value.bits = static_cast<uint16_t>(bits);
    if (!std::isnan(float(value)) && BFloat16(float(value)).bits != bits) ++changed;
  }
  CHECK(changed == 0);
}

TEST_CASE("device: parsing") {
  CHECK(parse_device("cpu") == Device::cpu());
  CHECK(parse_device("cuda") == Device::cuda(0));
  CHECK(parse_device("cuda:3") == Device::cuda(3));
  CHECK(parse_device("cuda:3").to_string() == "cuda:3");
  for (const char* text : {"", "gpu", "cuda:", "cuda:-1", "cuda:1x", "cuda:99999999999", "CPU"}) {
    CHECK_THROWS_AS(parse_device(text), InputError);
  }
}
