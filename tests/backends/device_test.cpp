// A GPU that cannot be used: no CUDA in the program, no driver, no such GPU. Each is one line and says
// what to do.
#include <doctest/doctest.h>

#include "backends/cuda/algorithm_cache.h"
#include "tensor/backend.h"
#include "tests/support.h"

namespace nabla {

TEST_CASE("devices: a missing GPU is one line with its name") {
  const std::string fault = input_error([] { backend_for(Device::cuda(999)); });
  CHECK_MESSAGE(one_line_with(fault, "device cuda:999: "), fault);
  CHECK(input_error([] { backend_for(Device::cuda(999)); }) == fault);  // and stays so
  CHECK(input_error([] { Tensor::zeros({2}, Dtype::f32, Device::cuda(999)); }) == fault);
}

TEST_CASE("devices: without a GPU the line says what to do about it") {
  const std::string fault = input_error([] { backend_for(Device::cuda()); });
  if (fault.empty()) return skip("a GPU is here: what is said where there is none");
  CHECK_MESSAGE(one_line_with(fault, "device cuda:0: "), fault);
  const bool without_cuda = fault.find("built without CUDA") != std::string::npos;
  CHECK_MESSAGE((without_cuda || fault.find("--device cpu") != std::string::npos), fault);
}

TEST_CASE("algorithm cache: made once per key, the least recently used goes first") {
  AlgorithmCache<int> cache(2);
  int made = 0;
  const auto ask = [&](int64_t key) {
    return *cache.get({key}, [&] { return std::make_shared<int>(++made); });
  };
  CHECK(ask(10) == 1);
  CHECK(ask(20) == 2);
  CHECK(ask(10) == 1);
  CHECK(ask(30) == 3);  // 20 goes
  CHECK(cache.size() == 2);
  CHECK(ask(10) == 1);
  CHECK(ask(30) == 3);
  CHECK(ask(20) == 4);
  CHECK(cache.made() == 4);
}

TEST_CASE("algorithm cache: what could not be made is not kept, and what is in use outlives its entry") {
  AlgorithmCache<int> cache(1);
  CHECK_THROWS_AS(cache.get({1}, []() -> std::shared_ptr<int> { fail("none"); }), Error);
  CHECK(cache.size() == 0);
  const auto held = cache.get({1}, [] { return std::make_shared<int>(7); });
  cache.get({2}, [] { return std::make_shared<int>(8); });
  CHECK(cache.size() == 1);
  CHECK(*held == 7);
}

}  // namespace nabla
