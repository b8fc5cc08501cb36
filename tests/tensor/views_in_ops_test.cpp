// Every function of tensor/ops.h on views of every kind gives what it gives on contiguous copies.
#include <doctest/doctest.h>

#include <fstream>
#include <functional>
#include <map>
#include <regex>
#include <set>
#include <sstream>

#include "tensor/elementwise.h"
#include "tensor/ops.h"
#include "tests/view_kinds.h"

namespace nabla {

namespace {

using Tensors = std::vector<Tensor>;

struct TensorOp {
  std::string name;  // as declared
  std::vector<Shape> shapes;
  std::function<Tensors(const Tensors&)> call;
  Dtype dtype = Dtype::f32;
};

Tensors both(const std::pair<Tensor, Tensor>& results) { return {results.first, results.second}; }

const Tensor half_of(const Tensor& x) { return compare(Compare::greater, x, 0.5); }

const std::vector<TensorOp>& tensor_ops() {
  static const std::vector<TensorOp> ops = {
      {"binary",
       {{3, 4}, {3, 4}},
       [](const Tensors& in) { return Tensors{binary(Binary::maximum, in[0], in[1])}; }},
      {"binary",
       {{2, 1, 5}, {3, 1}},
       [](const Tensors& in) { return Tensors{binary(Binary::sub, in[0], in[1])}; }},
      {"unary", {{2, 3, 5}}, [](const Tensors& in) { return Tensors{unary(Unary::exp, in[0])}; }},
      {"operator+",
       {{5, 7}, {7}},
       [](const Tensors& in) {
         return Tensors{in[0] + in[1], in[0] + 2.0};
       }},
      {"operator-",
       {{5, 7}, {5, 1}},
       [](const Tensors& in) {
         return Tensors{in[0] - in[1], -in[0]};
       }},
      {"operator*",
       {{5, 7}, {}},
       [](const Tensors& in) {
         return Tensors{in[0] * in[1], in[0] * 2.0, 3.0 * in[0]};
       }},
      {"operator/", {{5, 7}, {5, 7}}, [](const Tensors& in) { return Tensors{in[0] / in[1]}; }},
      {"add_",
       {{5, 7}, {5, 7}},
       [](const Tensors& in) {
         const Tensor target = in[0].clone();
         add_(target, in[1]);
         return Tensors{target};
       }},
      {"compare",
       {{4, 5}, {5}},
       [](const Tensors& in) {
         return Tensors{compare(Compare::less, in[0], in[1]), half_of(in[0])};
       }},
      {"where",
       {{4, 5}, {4, 5}, {4, 1}},
       [](const Tensors& in) { return Tensors{where(half_of(in[0]), in[1], in[2])}; }},
      {"reduce",
       {{3, 4, 5}},
       [](const Tensors& in) {
         Tensors results;
         for (const std::vector<int>& axes : {std::vector<int>{}, {0}, {1}, {2}, {0, 2}, {1, 2}}) {
           for (const Reduce op : {Reduce::sum, Reduce::mean, Reduce::max})
             results.push_back(reduce(op, in[0], axes));
         }
         return results;
       }},
      {"sum_to",
       {{3, 4, 5}},
       [](const Tensors& in) {
         return Tensors{sum_to(in[0], {4, 1}), sum_to(in[0], {3, 4, 5})};
       }},
      {"as_rows", {{3, 4, 5}}, [](const Tensors& in) { return Tensors{as_rows(in[0])}; }},
      {"sort", {{4, 9}}, [](const Tensors& in) { return both(sort(in[0], 0, true)); }},
      {"sort", {{4, 9}}, [](const Tensors& in) { return both(sort(in[0])); }},
      {"topk", {{4, 9}}, [](const Tensors& in) { return both(topk(in[0], 3)); }},
      {"topk", {{4, 9}}, [](const Tensors& in) { return both(topk(in[0], 2, 0, false)); }},
      {"kth_largest",
       {{4, 9}},
       [](const Tensors& in) { return Tensors{kth_largest(in[0], Tensor::full({1}, 4, Dtype::i64))}; }},
      {"argmax",
       {{3, 4, 5}},
       [](const Tensors& in) {
         return Tensors{argmax(in[0], 1), argmax(in[0])};
       }},
      {"matmul",
       {{3, 4}, {4, 5}},
       [](const Tensors& in) { return Tensors{matmul(in[0], false, in[1], false)}; }},
      {"matmul",
       {{2, 4, 3}, {2, 5, 4}},
       [](const Tensors& in) { return Tensors{matmul(in[0], true, in[1], true)}; }},
      {"matmul",
       {{2, 3, 4}, {4, 5}, {5}, {5}, {2, 3, 5}},
       [](const Tensors& in) {
         return Tensors{
             matmul(in[0], false, in[1], false, {in[2], Epilogue::Activation::gelu, in[3], in[4]}, true)};
       }},
      {"quantize_rows",
       {{4, 9}},
       [](const Tensors& in) { return both(quantize_rows(in[0].to(Dtype::f32))); }},
      {"cat", {{2, 3}, {2, 4}}, [](const Tensors& in) { return Tensors{cat(in, 1)}; }},
      {"gather_rows",
       {{4, 3, 2}},
       [](const Tensors& in) {
         return Tensors{gather_rows(in[0], {2, 0, 2})};
       }},
  };
  return ops;
}

void check_same(const Tensors& got, const Tensors& expected, Dtype dtype) {
  REQUIRE(got.size() == expected.size());
  for (size_t i = 0; i < got.size(); ++i) {
    INFO("result ", i);
    CHECK(got[i].dtype() == expected[i].dtype());
    REQUIRE(got[i].shape() == expected[i].shape());
    const std::vector<double> a = got[i].to_vector<double>(), b = expected[i].to_vector<double>();
    // Vector and scalar code may round the last bit in two ways.
    const double tolerance = dtype == Dtype::bf16 ? 1e-2 : dtype == Dtype::f64 ? 1e-14 : 1e-6;
    for (size_t j = 0; j < a.size(); ++j)
      CHECK(std::abs(a[j] - b[j]) <= tolerance * std::max(1.0, std::abs(b[j])));
  }
}

Tensors drawn(const TensorOp& op, Dtype dtype, Generator& generator) {
  Tensors inputs;
  for (const Shape& shape : op.shapes)
    inputs.push_back(Tensor::uniform(shape, 0.1, 2, generator, Dtype::f64).to(dtype));
  return inputs;
}

Tensors clones(const Tensors& tensors) {
  Tensors result;
  for (const Tensor& tensor : tensors) result.push_back(tensor.clone());
  return result;
}

}  // namespace

TEST_CASE("views in ops: every function of tensor/ops.h is tried here") {
  std::ifstream file(DINOMALY_SOURCE_DIR "/tensor/ops.h");
  std::stringstream text;
  text << file.rdbuf();
  const std::string source = text.str();
  const std::regex declaration(R"re(\n(?:Tensor|void|std::pair<Tensor, Tensor>) (operator.|\w+)\()re");
  std::set<std::string> declared, tried;
  for (std::sregex_iterator match(source.begin(), source.end(), declaration), end; match != end; ++match)
    declared.insert((*match)[1]);
  for (const TensorOp& op : tensor_ops()) tried.insert(op.name);
  CHECK(declared.size() >= 18);
  CHECK(tried == declared);
}

TEST_CASE("views in ops: views of every kind give what copies give, and are not written") {
  Generator generator(5);
  for (const TensorOp& op : tensor_ops()) {
    for (const Dtype dtype : {Dtype::f32, Dtype::f64, Dtype::bf16}) {
      const Tensors inputs = drawn(op, dtype, generator);
      const Tensors expected = op.call(inputs);
      for (size_t which = 0; which < inputs.size(); ++which) {
        for (const ViewKind& kind : views_of(inputs[which])) {
          INFO(op.name, " in ", std::string(name_of(dtype)), ": input ", which, " is ", kind.name);
          Tensors views = inputs;
          views[which] = kind.view;
          const uint64_t version = kind.view.version();
          check_same(op.call(views), expected, dtype);
          CHECK(kind.is_untouched_beside());
          CHECK(kind.view.to_vector<double>() == inputs[which].to_vector<double>());
          CHECK(kind.view.version() == version);
        }
      }
    }
  }
}

TEST_CASE("views in ops: expanded and overlapping inputs give what copies give") {
  Generator generator(6);
  for (const TensorOp& op : tensor_ops()) {
    const Tensors inputs = drawn(op, op.dtype, generator);
    for (size_t which = 0; which < inputs.size(); ++which) {
      for (const Tensor& view : expanded_views(inputs[which])) {
        INFO(op.name, ": input ", which, " of strides ", view.strides().to_string());
        Tensors views = inputs;
        views[which] = view;
        check_same(op.call(views), op.call(clones(views)), op.dtype);
      }
    }
    // All inputs start one element apart in one piece of memory.
    int64_t most = 0;
    for (const Shape& shape : op.shapes) most = std::max(most, shape.numel());
    const Tensor memory = Tensor::uniform({most + 8}, 0.1, 2, generator, Dtype::f64).to(op.dtype);
    Tensors views;
    for (size_t i = 0; i < op.shapes.size(); ++i) {
      const int64_t begin = static_cast<int64_t>(i);
      views.push_back(memory.slice(0, begin, begin + op.shapes[i].numel()).reshape(op.shapes[i]));
    }
    INFO(op.name, " on overlapping inputs");
    check_same(op.call(views), op.call(clones(views)), op.dtype);
  }
}

TEST_CASE("views in ops: conversions, item and to_vector read views") {
  const Tensor x = Tensor::arange(24, Dtype::f32).reshape({2, 3, 4});
  const std::vector<float> expected = x.to_vector<float>();
  for (const ViewKind& kind : views_of(x)) {
    INFO(kind.name);
    CHECK(kind.view.to_vector<float>() == expected);
    CHECK(kind.view.contiguous().to_vector<float>() == expected);
    CHECK(kind.view.clone().is_contiguous());
    CHECK(kind.view.flatten().to_vector<float>() == expected);
    for (const Dtype dtype : {Dtype::bf16, Dtype::f64, Dtype::i64, Dtype::u8, Dtype::i8})
      CHECK(kind.view.to(dtype).to_vector<float>() == expected);
    CHECK(kind.view.select(0, 1).select(0, 2).select(0, 3).item() == 23);
    CHECK(kind.view.slice(0, 1, 2).slice(1, 0, 1).slice(2, 2, 3).item() == 14);
  }
  CHECK(Tensor::full({1}, 3).expand({1, 1}).item() == 3);
  CHECK_THROWS_AS(Tensor::full({1}, 3).expand({2}).item(), Error);
}

}  // namespace nabla
