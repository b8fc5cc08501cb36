#include "tensor/random.h"

#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <utility>
#include <vector>

#include "tensor/tensor.h"

using namespace nabla;

namespace {

void check_block(uint64_t seed, uint64_t counter, std::array<uint32_t, 4> expected) {
  const Philox4 block = philox(seed, counter);
  for (int i = 0; i < 4; ++i) CHECK(block.word[i] == expected[i]);
}

}  // namespace

// The first vector is Random123's known answer; the others come from an independent implementation that
// gives all three known answers of that library (two of them have upper counter words, which this generator
// keeps at 0).
TEST_CASE("philox: known answers") {
  check_block(0, 0, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8});
  check_block(0x299f31d0a4093822, 0x85a308d3243f6a88, {0xe69c9c31, 0xb5a3d762, 0xe733bfc1, 0x341a787c});
  check_block(1234567890123, 0x100000007, {0xa2816217, 0xd8b181ec, 0x526f13f0, 0x5ffd0057});
  check_block(UINT64_MAX, UINT64_MAX, {0x4d18d7d2, 0x430ac65a, 0xbd2fa22a, 0x0afae10d});
}

TEST_CASE("generator: (seed, offset) is the whole state") {
  Generator first(5);
  for (int i = 0; i < 10; ++i) first.uniform();
  Generator second(first.seed(), first.offset());
  CHECK(first.uniform() == second.uniform());
  CHECK(first.normal() == second.normal());
  CHECK(first.below(1000) == second.below(1000));
}

TEST_CASE("generator: reserve counts whole blocks of four words") {
  Generator generator(1, 10);
  CHECK(generator.reserve(5) == 10);
  CHECK(generator.offset() == 12);
  CHECK(generator.reserve(0) == 12);
  CHECK(generator.offset() == 12);
}

TEST_CASE("generator: moments of uniform, normal and below") {
  Generator generator(2024);
  const int count = 100000;
  double uniform = 0, normal = 0, squares = 0, fourth = 0;
  std::array<int, 7> seen{};
  for (int i = 0; i < count; ++i) {
    const double u = generator.uniform(), n = generator.normal();
    CHECK_UNARY(u >= 0 && u < 1);
    uniform += u;
    normal += n;
    squares += n * n;
    fourth += n * n * n * n;
    ++seen[generator.below(7)];
  }
  // Five standard errors each.
  CHECK(std::abs(uniform / count - 0.5) < 5 * std::sqrt(1.0 / 12 / count));
  CHECK(std::abs(normal / count) < 5 / std::sqrt(count));
  CHECK(std::abs(squares / count - 1) < 5 * std::sqrt(2.0 / count));
  CHECK(std::abs(fourth / count - 3) < 5 * std::sqrt(96.0 / count));
  for (int hits : seen) CHECK(std::abs(hits - count / 7.0) < 5 * std::sqrt(count / 7.0));
}

TEST_CASE("random tensors: the stream in row-major order, inside the interval") {
  Generator generator(3), same(3);
  const Tensor x = Tensor::uniform({4, 5}, -2, 2, generator, Dtype::f64);
  for (double value : x.to_vector<double>()) CHECK(value == -2 + 4 * same.uniform());
  // bf16 has few values: rounding up to the open end must not happen.
  for (float value : Tensor::uniform({20000}, 0, 1, generator, Dtype::bf16).to_vector<float>())
    CHECK_UNARY(value < 1.0f);
  CHECK_THROWS_AS(Tensor::uniform({2}, 1, 0, generator), Error);
  CHECK_THROWS_WITH_AS(Tensor::normal({2}, 0, 1, generator, Dtype::i64),
                       "normal: expected a floating dtype, got i64", Error);
}

TEST_CASE("generator: the parts of a batch draw what one generator draws for all of it") {
  Generator whole(3, 10);
  const uint64_t first = whole.reserve(6 * 8);
  for (const auto& [begin, own] : std::vector<std::pair<int64_t, int64_t>>{{0, 1}, {1, 2}, {3, 3}}) {
    Generator part(3, 10);
    part.take_part(begin, own, 6);
    CHECK(part.reserve(static_cast<uint64_t>(own * 8)) == first + static_cast<uint64_t>(begin * 8 / 4));
    CHECK(part.offset() == whole.offset());
  }
  Generator part(3);
  part.take_part(1, 2, 6);
  CHECK_THROWS_WITH(part.reserve(2 * 3), doctest::Contains("whole block"));  // 3 numbers an image
  CHECK_THROWS_WITH(part.take_part(4, 3, 6), doctest::Contains("no part"));
}
