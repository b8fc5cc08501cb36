// The first value that is not finite is named with its op and the model's line.
#include "autograd/anomaly.h"

#include <doctest/doctest.h>

#include <cstdlib>
#include <limits>

#include "autograd/activation_checkpoint.h"
#include "autograd/ops/ops.h"
#include "tests/support.h"

using namespace nabla;

namespace {

Variable float_leaf(const std::vector<float>& values) {
  return Variable(Tensor::from(values, {static_cast<int64_t>(values.size())}), true);
}

// What the Error that `call` throws says; empty if there is none.
template <class Call>
std::string error_of(Call&& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

// "called at HERE, " with the line number given, as the innermost place.
std::string called_at(int line) { return fmt::format("called at tests/autograd/anomaly_test.cpp:{}", line); }

bool have_addr2line() { return std::system("addr2line --version > /dev/null 2>&1") == 0; }

// A layer of a model, not inlined, so that its caller is the second line.
[[gnu::noinline]] Variable layer(const Variable& x) { return log(x * 1.0); }
constexpr int layer_line = __LINE__ - 1;

}  // namespace

TEST_CASE("a forward op that gives -inf or NaN is named, with the element and the lines of the model") {
  const Variable x = float_leaf({1, 2, 3, 0, 0});
  const DetectAnomaly guard;
  int line = 0;
  const std::string message = error_of([&] {
    line = __LINE__ + 1;
    const Variable y = layer(x);
  });
  CAPTURE(message);
  CHECK(message.starts_with("log: the output holds -inf (first at index 3); "));
  CHECK(error_of([&] {
          sqrt(float_leaf({1, -4}));
        }).starts_with("sqrt: the output holds nan (first at index 1); "));
  if (!have_addr2line()) return skip("addr2line is not installed");
  CHECK(message.find(called_at(layer_line)) != std::string::npos);
  CHECK(message.find(fmt::format(", tests/autograd/anomaly_test.cpp:{}", line)) != std::string::npos);
  CHECK(message.find("autograd/ops") == std::string::npos);
}

TEST_CASE("a backward that gives infinity is named with the line of the forward call") {
  const Variable x = float_leaf({4, 0});
  const DetectAnomaly guard;
  const Variable root = sqrt(x);
  constexpr int line = __LINE__ - 1;
  const std::string message = error_of([&] { sum(root).backward(); });
  CAPTURE(message);
  CHECK(message.starts_with("sqrt: backward gave inf in the gradient of input 0 (first at index 1); "));
  CHECK_FALSE(x.grad().defined());
  if (!have_addr2line()) return skip("addr2line is not installed");
  CHECK(message.find("the op was " + called_at(line)) != std::string::npos);
}

TEST_CASE("a checkpoint's second run is also watched, and names the op inside") {
  const Variable x = float_leaf({4, 0});
  const DetectAnomaly guard;
  const Variable y = activation_checkpoint(
      [](const std::vector<Variable>& in) {
        return sqrt(in[0]);  // the line looked for
      },
      {x});
  constexpr int line = __LINE__ - 3;
  const std::string message = error_of([&] { sum(y).backward(); });
  CAPTURE(message);
  CHECK(message.starts_with("sqrt: backward gave inf"));
  if (!have_addr2line()) return skip("addr2line is not installed");
  CHECK(message.find(called_at(line)) != std::string::npos);
}

TEST_CASE("a graph made before the detector was switched on says so") {
  const Variable root = sum(sqrt(float_leaf({0})));
  const DetectAnomaly guard;
  CHECK(
      error_of([&] { root.backward(); }).ends_with("the op was called before the detector was switched on"));
}

TEST_CASE("finite numbers of every dtype pass, and constants are watched as well") {
  const DetectAnomaly guard;
  for (Dtype dtype : {Dtype::f32, Dtype::f64, Dtype::bf16}) {
    const Variable x(Tensor::full({3}, 2, dtype), true);
    sum(log(x) * x).backward();
    CHECK(x.grad().defined());
    CHECK(error_of([&] { no_grad([&] { return log(x * 0.0); }); }).starts_with("log: the output holds -inf"));
  }
}

TEST_CASE("off by default, and off again when the last guard has gone") {
  const Variable x = float_leaf({0});
  CHECK(error_of([&] { sum(sqrt(x)).backward(); }).empty());
  CHECK(x.grad().item() == std::numeric_limits<double>::infinity());
  {
    const DetectAnomaly guard;
    { const DetectAnomaly nested; }
    CHECK(DetectAnomaly::enabled());
    CHECK_FALSE(error_of([&] { log(x); }).empty());
  }
  CHECK_FALSE(DetectAnomaly::enabled());
  CHECK(error_of([&] { log(x); }).empty());
}

TEST_CASE("without addr2line the error names functions or says that there are no lines") {
  const std::string path = std::getenv("PATH");
  setenv("PATH", "/nowhere", 1);
  const DetectAnomaly guard;
  const std::string message = error_of([] { log(float_leaf({0})); });
  setenv("PATH", path.c_str(), 1);
  CAPTURE(message);
  CHECK(message.starts_with("log: the output holds -inf (first at index 0); called at "));
  CHECK(message.find("no source lines") != std::string::npos);
}
