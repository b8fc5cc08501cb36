#include "nn/module.h"

#include <doctest/doctest.h>

#include "autograd/ops/ops.h"
#include "nn/layers.h"
#include "nn/optim/optimizer.h"
#include "nn/transformer.h"
#include "tests/support.h"

namespace nabla {
namespace {

struct Leaf : Module {
  explicit Leaf(float start) : scale(parameter("scale", Tensor::full({2}, start))) {}
  Variable scale;
};

// A module's own parameters precede those of its children; children keep the order they were added in.
struct Tree : Module {
  Tree()
      : right(add<Leaf>("right", 1.0f)),
        left(add<Leaf>("left.inner", 2.0f)),
        drop(add<Dropout>("drop", 0.5)) {
    shift = parameter("shift", Tensor::zeros({3}));
  }
  Leaf& right;
  Leaf& left;
  Dropout& drop;
  Variable shift;
};

// Its output layer is its input layer's weight again, as language models have it.
struct Tied : Module {
  Tied() : in(add<Leaf>("in", 1.0f)), out(add<Leaf>("out", 2.0f)) { again = tie("again", in.scale); }
  Leaf& in;
  Leaf& out;
  Variable again;
};

std::map<std::string, Tensor> values_for(const Module& tree, double value) {
  std::map<std::string, Tensor> values;
  for (const auto& [name, tensor] : tree.state_dict()) values[name] = Tensor::full(tensor.shape(), value);
  return values;
}

std::vector<float> all_values(const Tree& tree) {
  std::vector<float> all;
  for (const auto& [name, tensor] : tree.state_dict()) {
    for (float value : tensor.to_vector<float>()) all.push_back(value);
  }
  return all;
}

}  // namespace

TEST_CASE("module: parameters are named by their path, in order of declaration") {
  Tree tree;
  std::vector<std::string> names;
  for (const auto& [name, parameter] : tree.named_parameters()) {
    names.push_back(name);
    CHECK(parameter.requires_grad());
  }
  CHECK(names == std::vector<std::string>{"shift", "right.scale", "left.inner.scale"});
  CHECK(tree.parameters().size() == 3);
  const Attention attention(4, 2);
  CHECK(attention.named_parameters()[0].first == "qkv.weight");
  CHECK(attention.named_parameters()[3].first == "proj.bias");
}

TEST_CASE("module: parameters know their paths, which errors name") {
  Tree tree;
  CHECK(tree.right.scale.name() == "right.scale");
  CHECK(tree.left.scale.name() == "left.inner.scale");
  CHECK(tree.shift.name() == "shift");
  struct Forest : Module {
    Forest() : tree(add<Tree>("oak")) {}
    Tree& tree;
  } forest;
  CHECK(forest.tree.left.scale.name() == "oak.left.inner.scale");
}

TEST_CASE(
    "module: a tied parameter is listed once, stands in the state under each name, and is trained once") {
  Tied tied;
  std::vector<std::string> names;
  for (const auto& [name, parameter] : tied.named_parameters()) names.push_back(name);
  CHECK(names == std::vector<std::string>{"again", "out.scale"});
  CHECK(tied.parameters().size() == 2);
  names.clear();
  for (const auto& [name, value] : tied.state_dict()) names.push_back(name);
  CHECK(names == std::vector<std::string>{"again", "in.scale", "out.scale"});

  sum(tied.in.scale * 3.0 + tied.again * 2.0).backward();  // both uses count
  CHECK(tied.again.grad().to_vector<float>() == std::vector<float>{5, 5});
  SGD(tied.parameters()).step(0.1);
  CHECK(tied.in.scale.value().to_vector<float>() == std::vector<float>{0.5f, 0.5f});

  tied.load_state_dict(values_for(tied, 3), "file");
  CHECK(tied.in.scale.value().to_vector<float>() == std::vector<float>{3, 3});
  tied.to(Dtype::f64);
  CHECK(tied.again.dtype() == Dtype::f64);
  auto values = values_for(tied, 4);
  values.erase("again");
  CHECK(one_line_with(input_error([&] { tied.load_state_dict(values, "file"); }), "1 missing: again"));
}

TEST_CASE("module: the state shares the parameters' memory") {
  Tree tree;
  tree.state_dict()[1].second.fill(7);
  CHECK(tree.right.scale.value().to_vector<float>() == std::vector<float>{7, 7});
}

TEST_CASE("module: loading replaces all values, converted, and keeps no tie to the source") {
  Tree tree;
  auto values = values_for(tree, 3);
  values["shift"] = Tensor::from<double>({1, 2, 3}, {3});
  tree.load_state_dict(values, "file");
  CHECK(all_values(tree) == std::vector<float>{1, 2, 3, 3, 3, 3, 3});
  CHECK(tree.shift.dtype() == Dtype::f32);
  values["right.scale"].fill(9);
  CHECK(tree.right.scale.value().to_vector<float>() == std::vector<float>{3, 3});
  CHECK(tree.right.scale.requires_grad());
}

TEST_CASE("module: what is missing, unexpected and misshapen is listed in one line, and nothing changes") {
  Tree tree;
  auto values = values_for(tree, 3);
  values.erase("shift");
  values["right.scale"] = Tensor::zeros({2, 1});
  values["stranger"] = Tensor::zeros({1});
  const std::vector<float> before = all_values(tree);
  const std::string message = input_error([&] { tree.load_state_dict(values, "some/file"); });
  CHECK(one_line_with(message, "some/file: "));
  CHECK(message.find("1 missing: shift") != std::string::npos);
  CHECK(message.find("1 misshapen: right.scale is (2, 1), not (2)") != std::string::npos);
  CHECK(message.find("1 unexpected: stranger") != std::string::npos);
  CHECK(all_values(tree) == before);

  // A long list is cut.
  auto many = values_for(tree, 3);
  for (int i = 0; i < 1000; ++i) many[fmt::format("extra.{}", i)] = Tensor::zeros({1});
  const std::string cut = input_error([&] { tree.load_state_dict(many, "file"); });
  CHECK(cut.find("1000 unexpected: extra.0") != std::string::npos);
  CHECK(cut.size() < 300);

  // Names of a file are hostile: they may hold anything.
  auto wild = values_for(tree, 3);
  wild[std::string("two\nlines") + std::string(10000, 'x')] = Tensor::zeros({1});
  const std::string shown = input_error([&] { tree.load_state_dict(wild, "file"); });
  CHECK(one_line_with(shown, "1 unexpected: two?lines"));
  CHECK(shown.size() < 300);
}

TEST_CASE("module: to(dtype) converts every parameter and gradients follow") {
  Tree tree;
  tree.to(Dtype::f64);
  for (const Variable& parameter : tree.parameters()) CHECK(parameter.dtype() == Dtype::f64);
  const Variable& scale = tree.right.scale;  // the member is the parameter itself
  sum(scale * 3.0).backward();
  CHECK(scale.grad().dtype() == Dtype::f64);
  CHECK(scale.grad().to_vector<double>() == std::vector<double>{3, 3});
  tree.to(Dtype::bf16);
  CHECK(tree.left.scale.value().to_vector<float>() == std::vector<float>{2, 2});
}

TEST_CASE("module: a buffer is saved and loaded, but neither trained nor converted") {
  struct Scaled : Module {
    Scaled() : limit(buffer("limit", Tensor::full({2}, 3.0))) {}
    Variable limit;
  };
  struct Holder : Module {
    Holder() : inner(add<Scaled>("inner")) { shift = parameter("shift", Tensor::zeros({2})); }
    Scaled& inner;
    Variable shift;
  } holder;
  CHECK(holder.parameters().size() == 1);
  const NamedTensors state = holder.state_dict();
  REQUIRE(state.size() == 2);
  CHECK(state[1].first == "inner.limit");
  holder.to(Dtype::bf16);
  CHECK(holder.inner.limit.dtype() == Dtype::f32);
  holder.load_state_dict({{"shift", Tensor::ones({2})}, {"inner.limit", Tensor::full({2}, 7.0)}}, "file");
  CHECK(holder.inner.limit.value().to_vector<float>() == std::vector<float>{7, 7});
  CHECK_FALSE(holder.inner.limit.requires_grad());
  CHECK_THROWS_WITH(holder.load_state_dict({{"shift", Tensor::ones({2})}}, "file"),
                    doctest::Contains("1 missing: inner.limit"));
}

TEST_CASE("module: train and eval reach every layer") {
  Tree tree;
  CHECK(tree.training());
  CHECK(tree.drop.training());
  tree.eval();
  CHECK_FALSE(tree.training());
  CHECK_FALSE(tree.drop.training());
  tree.train();
  CHECK(tree.drop.training());
}

TEST_CASE("module: set_requires_grad stops and starts the recording") {
  Tree tree;
  tree.set_requires_grad(false);
  CHECK_FALSE((tree.right.scale * 2.0).requires_grad());
  tree.set_requires_grad(true);
  CHECK((tree.right.scale * 2.0).requires_grad());
}

}  // namespace nabla
