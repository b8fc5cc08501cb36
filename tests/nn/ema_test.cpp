#include "nn/ema.h"

#include <doctest/doctest.h>

#include "nn/layers.h"
#include "tests/support.h"

namespace nabla {

namespace {
double first_weight(const Linear& layer) {
  return layer.weight.value().to(Dtype::f32).select(0, 0).select(0, 0).item();
}
}  // namespace

TEST_CASE("moving average: each update moves it by 1 - decay of the distance") {
  Linear student(2, 1), teacher(2, 1);
  student.weight.value().fill(1);
  ExponentialMovingAverage average(student, 0.75);
  student.weight.value().fill(5);
  average.update(student);
  average.copy_to(teacher);
  CHECK(first_weight(teacher) == 2);  // 0.75 * 1 + 0.25 * 5
  average.update(student);
  average.copy_to(teacher);
  CHECK(first_weight(teacher) == 2.75);
  CHECK(first_weight(student) == 5);
}

TEST_CASE("moving average: small steps of bf16 weights add up") {
  Linear student(2, 1), teacher(2, 1);
  for (Linear* layer : {&student, &teacher}) layer->to(Dtype::bf16);
  student.weight.value().fill(1);
  ExponentialMovingAverage average(student, 0.999);
  student.weight.value().fill(2);
  for (int step = 0; step < 1000; ++step) average.update(student);
  average.copy_to(teacher);
  CHECK(first_weight(teacher) == doctest::Approx(2 - std::pow(0.999, 1000)).epsilon(0.005));
}

TEST_CASE("moving average: another module, decay or state is refused") {
  Linear student(2, 1), other(3, 1);
  ExponentialMovingAverage average(student, 0.5);
  CHECK_THROWS_AS(average.update(other), Error);
  CHECK_THROWS_AS(average.copy_to(other), Error);
  CHECK_THROWS_AS(ExponentialMovingAverage(student, 1), Error);
  const auto message = [&](const std::map<std::string, Tensor>& state) {
    return input_error([&] { average.load_state(state, "file"); });
  };
  const Tensor weight = Tensor::ones({1, 2}), bias = Tensor::ones({1});
  CHECK(one_line_with(message({{"weight", weight}}), "file: the average of 'bias' is missing"));
  CHECK(
      one_line_with(message({{"weight", bias}, {"bias", bias}}), "'weight' is f32 (1), expected f32 (1, 2)"));
  CHECK(
      one_line_with(message({{"weight", weight}, {"bias", bias}, {"more", bias}}), "1 averages are unknown"));
  average.load_state({{"weight", weight}, {"bias", bias}}, "file");
  average.copy_to(student);
  CHECK(first_weight(student) == 1);
}

}  // namespace nabla
