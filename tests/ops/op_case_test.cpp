// Every OpCase is put through every check of op_checks.h.
#include <doctest/doctest.h>

#include "tests/ops/op_checks.h"
#include "tests/support.h"

namespace nabla {

namespace {

template <class Check>
void for_each_case(const Check& check) {
  for (const OpCase& test : OpCase::all()) {
    try {
      for (const std::string& complaint : check(test)) FAIL_CHECK(complaint);
    } catch (const std::exception& error) {
      FAIL_CHECK(test.name, ": ", error.what());
    }
  }
}

}  // namespace

TEST_CASE("values and gradients are PyTorch's, in f64, f32 and bf16") {
  for_each_case([](const OpCase& test) {
    if (!has_reference(test))
      skip("no numbers of PyTorch's for " + test.name +
           " in tests/reference/ops.safetensors (make_ops.py): " +
           "its values are compared with f64's, its gradients with differences");
    Complaints all = check_against_reference(test, Dtype::f64, Device::cpu(), 1e-10);
    for (const auto& [dtype, tolerance] :
         {std::pair{Dtype::f32, test.options.f32}, std::pair{Dtype::bf16, test.options.bf16}}) {
      const Complaints more = check_against_reference(test, dtype, Device::cpu(), tolerance);
      all.insert(all.end(), more.begin(), more.end());
    }
    return all;
  });
}

TEST_CASE("values and gradients on CUDA are PyTorch's, in f32 and bf16") {
  if (!has_cuda("values and gradients of the ops")) return;
  for (const Dtype dtype : {Dtype::f32, Dtype::bf16}) {
    const auto tolerance = [&](const OpCase& test) {
      return dtype == Dtype::f32 ? test.options.f32 : test.options.bf16;
    };
    for_each_case([&](const OpCase& test) {
      return check_against_reference(test, dtype, Device::cuda(), tolerance(test));
    });
    for_each_case([&](const OpCase& test) {
      return check_further_shapes(test, dtype, Device::cuda(), tolerance(test));
    });
  }
  for_each_case(
      [](const OpCase& test) { return check_strided(test, Dtype::f32, Device::cuda(), test.options.f32); });
  for_each_case([](const OpCase& test) { return check_large_values(test, Device::cuda()); });
}

TEST_CASE("gradients are the limits of finite differences") { for_each_case(check_differences); }

TEST_CASE("further shapes in f32 and bf16 agree with f64") {
  for_each_case([](const OpCase& test) {
    return check_further_shapes(test, Dtype::f32, Device::cpu(), test.options.f32);
  });
  for_each_case([](const OpCase& test) {
    return check_further_shapes(test, Dtype::bf16, Device::cpu(), test.options.bf16);
  });
}

TEST_CASE("strided inputs and cotangents of all shapes give what contiguous ones give") {
  for_each_case([](const OpCase& test) { return check_strided(test, Dtype::f64, Device::cpu(), 1e-12); });
  for_each_case([](const OpCase& test) { return check_strided(test, Dtype::f32, Device::cpu(), 1e-6); });
}

TEST_CASE("expanded inputs, which read one element many times, give what their copies give") {
  for_each_case(check_expanded);
}

TEST_CASE("large values overflow nowhere where the function does not") {
  for_each_case([](const OpCase& test) { return check_large_values(test, Device::cpu()); });
}

TEST_CASE("a NaN in an input is one in the output") {
  for_each_case([](const OpCase& test) { return check_nan(test, Device::cpu()); });
}

TEST_CASE("a NaN in an input is one in the output on CUDA, too") {
  if (!has_cuda("NaN in the inputs of the ops")) return;
  for_each_case([](const OpCase& test) { return check_nan(test, Device::cuda()); });
}

TEST_CASE("a cotangent without memory of its own (an expanded scalar) gives what ones give") {
  for_each_case(check_expanded_cotangent);
}

TEST_CASE("inputs used twice receive both contributions") { for_each_case(check_used_twice); }

TEST_CASE("one variable as several inputs of an op receives the sum") {
  int tried = 0;
  for_each_case([&](const OpCase& test) { return check_same_variable(test, tried); });
  CHECK(tried >= 5);
}

TEST_CASE("each gradient is right when it is the only one wanted") { for_each_case(check_wanted_alone); }

TEST_CASE("an op is recorded under its name, and not at all under no_grad or for constants") {
  for_each_case(check_recorded);
}

TEST_CASE("operands of two dtypes are refused, whichever op meets them") {
  for_each_case(check_mixed_dtypes);
}

TEST_CASE("wrong shapes are named in the error") { for_each_case(check_wrong_shapes); }

}  // namespace nabla
