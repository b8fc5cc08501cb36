// The number of threads changes no bit of any op. Every OpCase, a later one's too, is computed on shapes large enough to
// be divided among threads, in a process for each number of threads: what is made once and kept must not hide a difference.
#include <doctest/doctest.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <map>
#include <memory>
#include <set>

#include "tests/ops/op_case.h"

namespace nabla {

namespace {

constexpr int64_t enough = 34'000;      // elements: above parallel_grain
constexpr int64_t longest_axis = 1200;  // attention is quadratic

// The elements of all inputs broadcast against each other: no input and hardly an output has more.
int64_t joint_numel(const Shapes& shapes) {
  std::map<int64_t, int64_t> sizes;  // from the last axis on
  for (const Shape& shape : shapes) {
    for (int64_t axis = 0; axis < shape.rank(); ++axis) {
      int64_t& size = sizes.try_emplace(shape.rank() - axis, 1).first->second;
      size = std::max(size, shape[axis]);
    }
  }
  int64_t product = 1;
  for (const auto& [axis, size] : sizes) product *= size;
  return product;
}

// The shapes with each axis of a size in `chosen` made longer, by one factor, so that there are about `enough` elements. Axes that have to agree still do, and what had to be a multiple of something still is.
Shapes enlarged(const Shapes& shapes, const std::set<int64_t>& chosen) {
  const auto scaled = [&](int64_t factor) {
    Shapes result;
    for (const Shape& shape : shapes) {
      result.emplace_back();
      for (const int64_t size : shape) result.back().push_back(chosen.contains(size) ? size * factor : size);
    }
    return result;
  };
  const int64_t longest = *chosen.rbegin();
  int64_t factor = 1;
  while (longest * (factor + 1) <= longest_axis && joint_numel(scaled(factor)) < enough) ++factor;
  return scaled(factor);
}

// All ways to enlarge a case: every size alone, and all of them.
std::vector<Shapes> large_shapes(const OpCase& test) {
  std::set<int64_t> sizes;
  for (const Shape& shape : test.shapes) {
    for (const int64_t size : shape) {
      if (size > 1) sizes.insert(size);
    }
  }
  std::vector<Shapes> result;
  for (const int64_t size : sizes) result.push_back(enlarged(test.shapes, {size}));
  if (sizes.size() > 1) result.push_back(enlarged(test.shapes, sizes));
  return result;
}

uint64_t digest(const Tensor& x, uint64_t hash) {
  const Tensor whole = x.contiguous();
  const auto* bytes = static_cast<const unsigned char*>(whole.raw_data());
  for (size_t i = 0; i < whole.bytes(); i += 8) {
    uint64_t word = 0;
    std::memcpy(&word, bytes + i, std::min<size_t>(8, whole.bytes() - i));
    hash = (hash ^ word) * 1099511628211u;
    hash ^= hash >> 29;
  }
  return hash;
}

// One line with the digests of the output and the gradients; empty where the function refuses the shapes.
std::string digests(const OpCase& test, const Shapes& shapes, Dtype dtype, bool strided) {
  Generator generator(11);
  std::vector<Tensor> inputs = converted(random_inputs(shapes, test.options, generator), dtype);
  if (strided) {
    for (Tensor& input : inputs) input = strided_copy(input);
  }
  Shape output;
  try {
    std::vector<Variable> constants(inputs.begin(), inputs.end());
    output = no_grad([&] { return test.function(constants); }).shape();
  } catch (const Error&) {
    return "";
  }
  const Tensor cotangent = Tensor::normal(output, 0, 1, generator, Dtype::f64).to(dtype);
  const Evaluation got = evaluate(test.function, inputs, cotangent);
  std::string line = fmt::format("{} {}{}", test.name, name_of(dtype), strided ? " strided" : "");
  for (const Shape& shape : shapes) line += " " + shape.to_string();
  line += fmt::format(": {:x}", digest(got.output, 1));
  for (const Tensor& gradient : got.gradients) line += fmt::format(" {:x}", digest(gradient, 1));
  return line;
}

// Products and convolutions at sizes where libraries change how they add up.
struct Large {
  OpCase test;
  std::vector<Shapes> shapes;
};
std::vector<Large> large_products() {
  const auto product = [](Inputs in) { return matmul(in[0], in[1]); };
  const auto layer = [](Inputs in) { return linear(in[0], in[1], in[2]); };
  const auto convolution = [](Inputs in) {
    return conv2d(in[0], in[1], in[2], {.stride_y = 2, .stride_x = 2, .padding_y = 1, .padding_x = 1});
  };
  return {{OpCase::unregistered("matmul", {}, product),
           {{{5, 20000}, {20000, 7}},
            {{64, 5000}, {5000, 64}},
            {{20000, 5}, {5, 7}},
            {{7, 300}, {300, 1200}},
            {{3, 40, 3000}, {3, 3000, 50}},
            {{200, 17, 30}, {200, 30, 11}}}},
          {OpCase::unregistered("linear", {}, layer),
           {{{3000, 64}, {48, 64}, {48}}, {{789, 192}, {576, 192}, {576}}, {{1, 500}, {900, 500}, {900}}}},
          {OpCase::unregistered("conv2d", {}, convolution),
           {{{5, 3, 64, 64}, {16, 3, 3, 3}, {16}},
            {{1, 16, 90, 90}, {130, 16, 3, 3}, {130}},
            {{40, 2, 16, 16}, {8, 2, 5, 5}, {8}},
            {{1, 1, 200, 200}, {1, 1, 9, 9}, {1}}}}};
}

void print_digests(const OpCase& test, const Shapes& shapes, Dtype dtype, bool strided = false) {
  const std::string line = digests(test, shapes, dtype, strided);
  if (!line.empty()) fmt::print("digest {}\n", line);
}

// The lines that this program prints with so many threads.
std::vector<std::string> lines_with(int threads) {
  const std::string command =
      fmt::format("OMP_NUM_THREADS={} '{}' --no-skip --minimal --test-case='digests of all ops' 2>&1",
                  threads, std::filesystem::read_symlink("/proc/self/exe").string());
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(popen(command.c_str(), "r"), pclose);
  std::vector<std::string> lines;
  std::array<char, 4096> line;
  while (pipe && std::fgets(line.data(), line.size(), pipe.get())) {
    if (std::strncmp(line.data(), "digest ", 7) == 0) lines.emplace_back(line.data());
  }
  return lines;
}

}  // namespace

TEST_CASE("digests of all ops" * doctest::skip()) {
  for (const OpCase& test : OpCase::all()) {
    const std::vector<Shapes> all_shapes = large_shapes(test);
    for (const Shapes& shapes : all_shapes) {
      print_digests(test, shapes, Dtype::f32);
      print_digests(test, shapes, Dtype::bf16);
    }
    if (all_shapes.empty()) continue;
    print_digests(test, all_shapes.back(), Dtype::f32, true);
    print_digests(test, all_shapes.back(), Dtype::f64);
  }
  for (const Large& large : large_products()) {
    for (const Shapes& shapes : large.shapes) {
      for (const Dtype dtype : {Dtype::f32, Dtype::bf16, Dtype::f64})
        print_digests(large.test, shapes, dtype);
    }
  }
}

TEST_CASE("every op gives the same bits forward and backward with 1 to 7 threads") {
  const std::vector<std::string> expected = lines_with(1);
  for (const OpCase& test : OpCase::all()) {
    const bool tried = std::any_of(expected.begin(), expected.end(), [&](const std::string& line) {
      const std::string name = "digest " + test.op();
      return line.rfind(name + ' ', 0) == 0 || line.rfind(name + '.', 0) == 0;
    });
    CHECK_MESSAGE(tried, test.op(), ": no case of it takes longer axes than its own");
  }
  for (int threads = 2; threads <= 7; ++threads) {
    const std::vector<std::string> got = lines_with(threads);
    CHECK(got.size() == expected.size());
    for (size_t i = 0; i < std::min(got.size(), expected.size()); ++i) {
      if (got[i] != expected[i]) FAIL_CHECK(threads, " threads: ", got[i], "1 thread:  ", expected[i]);
    }
  }
}

}  // namespace nabla
