// Drawings of the tape, and which kernels belong to its walk.
#include "autograd/graph.h"

#include <doctest/doctest.h>

#include <cstdlib>
#include <fstream>

#include "autograd/activation_checkpoint.h"
#include "autograd/ops/ops.h"
#include "tensor/profiler.h"
#include "tests/support.h"

using namespace nabla;

namespace {

Variable ones(const Shape& shape, bool requires_grad = true) {
  return Variable(Tensor::ones(shape), requires_grad);
}

// A small graph with a leaf, a constant that only the product holds in the end, and a view.
Variable small_graph(const Variable& weight) {
  const Variable x = ones({10, 20}, false);
  const Variable h = exp(matmul(x, weight));
  return sum(transpose(h, 0, 1) * 2.0);
}

}  // namespace

TEST_CASE("the whole drawing of a small graph") {
  const Variable weight = ones({20, 30});
  const std::string expected =
      "digraph tape {\n"
      "  leaf1 [shape=box, label=\"constant\\n(10, 20) f32\"];\n"
      "  leaf2 [shape=box, label=\"layer.\\\"w\\\"\\n(20, 30) f32\"];\n"
      "  op1 [label=\"matmul\\n(10, 30) f32\\nsaved 800 B\"];\n"
      "  op2 [label=\"exp\\n(10, 30) f32\\nsaved 1.2 kB\"];\n"
      "  op3 [label=\"transpose\\n(30, 10) f32\\nsaved 0 B\"];\n"
      "  op4 [label=\"affine\\n(30, 10) f32\\nsaved 0 B\"];\n"
      "  op5 [label=\"sum\\n() f32\\nsaved 0 B\"];\n"
      "  leaf1 -> op1;\n"
      "  leaf2 -> op1;\n"
      "  op1 -> op2;\n"
      "  op2 -> op3;\n"
      "  op3 -> op4;\n"
      "  op4 -> op5;\n"
      "}\n";
  CHECK(to_graphviz(small_graph(weight), {{"layer.\"w\"", weight}}) == expected);
}

TEST_CASE("what an op saved of a leaf that is still held is shown separately") {
  const Variable weight = ones({20, 30}), x = ones({10, 20}, false);
  CHECK(to_graphviz(matmul(x, weight)).find("saved 800 B, 800 B of it in leaves") != std::string::npos);
}

TEST_CASE("a block saved twice by an op counts once, and equal graphs give equal text") {
  const Variable x = ones({1000, 1000});
  const Variable y = exp(x);
  const std::string text = to_graphviz(y * y);
  CHECK(text.find("mul\\n(1000, 1000) f32\\nsaved 4.0 MB\"") != std::string::npos);
  CHECK(text.find("op1 -> op2;\n  op1 -> op2;\n") != std::string::npos);
  CHECK(to_graphviz(small_graph(ones({20, 30}))) == to_graphviz(small_graph(ones({20, 30}))));
}

TEST_CASE("a checkpoint keeps its inputs only; a leaf alone and a released variable are boxes") {
  const Variable x = ones({5, 50});
  const auto deep = [](const std::vector<Variable>& in) { return exp(sigmoid(tanh(in[0] * 2.0))); };
  CHECK(
      to_graphviz(activation_checkpoint(deep, {x * 3.0})).find("checkpoint\\n(5, 50) f32\\nsaved 1.0 kB\"") !=
      std::string::npos);
  CHECK(to_graphviz(x) == "digraph tape {\n  leaf1 [shape=box, label=\"leaf\\n(5, 50) f32\"];\n}\n");
  const Variable middle = x * 1.0;
  sum(middle).backward();
  CHECK(to_graphviz(middle).find("leaf1 [shape=box, label=\"released\\n") != std::string::npos);
  CHECK_THROWS_AS(to_graphviz(Variable()), Error);
}

TEST_CASE("drawing changes nothing: the graph can be walked afterwards, and a long one is drawn") {
  const Variable x = ones({2});
  Variable y = x;
  for (int i = 0; i < 20'000; ++i) y = y * 1.0;
  const std::string text = to_graphviz(y);
  CHECK(text.find("op20000 [") != std::string::npos);
  sum(y).backward();
  CHECK(x.grad().to_vector<float>() == std::vector<float>(2, 1.0f));
}

TEST_CASE("dot accepts the drawing") {
  if (std::system("dot -V > /dev/null 2>&1") != 0) return skip("Graphviz's dot is not installed");
  const TemporaryFolder folder;
  const Variable weight = ones({20, 30});
  std::ofstream(folder / "tape.dot") << to_graphviz(small_graph(weight), {{"layer.\"w\"", weight}});
  const std::string file = (folder / "tape").string();
  CHECK(std::system(fmt::format("dot -Tsvg {0}.dot > {0}.svg 2> {0}.err", file).c_str()) == 0);
  CHECK(std::filesystem::file_size(file + ".svg") > 1000);
  CHECK(std::filesystem::file_size(file + ".err") == 0);
}

TEST_CASE("kernels of a backward walk, a checkpoint's second run among them, are counted apart") {
  const Variable x = ones({4, 6}), w = ones({6, 8});
  Profiler profiler;
  const auto product = [w](const std::vector<Variable>& in) { return matmul(in[0], w); };
  matmul(x, w).backward(Tensor::ones({4, 8}));
  activation_checkpoint(product, {x}).backward(Tensor::ones({4, 8}));
  matmul(x, w);
  const double once = 2.0 * 4 * 6 * 8;
  int rows = 0;
  for (const KernelCost& cost : profiler.costs()) {
    if (cost.name != "matmul") continue;
    ++rows;
    CHECK(cost.calls == (cost.phase == Phase::backward ? 5 : 3));
    CHECK(cost.flops == (cost.phase == Phase::backward ? 5 : 3) * once);
  }
  CHECK(rows == 2);
}
