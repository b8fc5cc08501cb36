// Properties that hold for every graph, tried on hundreds of random ones.
#include <doctest/doctest.h>

#include <algorithm>
#include <set>

#include "autograd/gradcheck.h"
#include "autograd/tape.h"
#include "tensor/backend.h"
#include "tests/ops/op_case.h"

namespace nabla {

namespace {

// Draws ops from a generator: the same seed builds the same graph, however often it is called.
class GraphBuilder {
 public:
  GraphBuilder(uint64_t seed, const std::vector<Variable>& leaves) : random_(seed), pool_(leaves) {}

  // A graph of `count` ops, of which any may use any earlier result; all that nobody used are added up to ().
  Variable build(int count) {
    for (int i = 0; i < count; ++i) pool_.push_back(tamed(next()));
    Variable total = mean(pool_.back());
    for (const Variable& result : pool_) total = total + 0.25 * mean(result);
    return total;
  }

 private:
  const Variable& any() { return pool_[random_.below(pool_.size())]; }
  // A result that broadcasts against x: x's shape, or a vector along its last axis.
  Variable partner_of(const Variable& x) {
    const Variable other = any();
    if (other.shape() == x.shape()) return other;
    return x.shape().rank() == 0 ? mean(other) : expand(mean(other), {x.shape().back()});
  }
  // Keeps values within (-3, 3), where nothing overflows and differences stay accurate.
  static Variable tamed(const Variable& x) { return 3 * tanh(x * (1.0 / 3)); }

  Variable next() {
    const Variable x = any();
    switch (random_.below(4)) {
      case 0:
        return pointwise(x);
      case 1:
        return arithmetic(x);
      default:
        return x.shape().rank() == 2 ? matrix(x) : arithmetic(x);
    }
  }

  Variable pointwise(const Variable& x) {
    switch (random_.below(9)) {
      case 0:
        return exp(x * 0.3);
      case 1:
        return log(x * x + 0.5);
      case 2:
        return sqrt(x * x + 0.5);
      case 3:
        return rsqrt(pow(x, 2) + 0.5);
      case 4:
        return gelu(x);
      case 5:
        return silu(x);
      case 6:
        return sigmoid(neg(x));
      case 7:
        return elu(x);
      default:
        return tanh(2 - x);
    }
  }

  Variable arithmetic(const Variable& x) {
    const Variable other = partner_of(x);
    switch (random_.below(5)) {
      case 0:
        return x + other;
      case 1:
        return x - other;
      case 2:
        return other * x;
      case 3:
        return x / (other * other + 1);
      default:
        return mul(x, x);  // one variable used twice by one op
    }
  }

  Variable matrix(const Variable& x) {
    switch (random_.below(11)) {
      case 0:
        return transpose(x, 0, 1);
      case 1:
        return reshape(x, {x.size(1), x.size(0)});
      case 2:
        return slice(x, 0, 0, (x.size(0) + 1) / 2);
      case 3:
        return x.size(0) < 6 ? cat({x, sigmoid(x)}, 0) : softmax(x);
      case 4:
        return matmul(x, x, true, false);
      case 5:
        return matmul(x, x, false, true);
      case 6:
        return log_softmax(x);
      case 7: {
        const Variable row = mean(x, {0});
        return layer_norm(x, row, neg(row), 0.1);
      }
      case 8:
        return sum(x, {1}, true) * x;
      case 9:
        return linear(x, softmax(x), {});
      default:
        return expand(reshape(cosine_similarity(x, x * x + 1), {x.size(0), 1}), x.shape());
    }
  }

  Generator random_;
  std::vector<Variable> pool_;
};

Variable random_graph(uint64_t seed, Inputs leaves) { return GraphBuilder(seed, leaves).build(8); }

std::vector<Tensor> random_leaves(uint64_t seed) {
  Generator generator(seed);
  std::vector<Tensor> leaves;
  for (const Shape& shape : {Shape{3, 4}, Shape{4, 3}, Shape{1, 5}, Shape{}, Shape{4}}) {
    leaves.push_back(Tensor::uniform(shape, -1.5, 1.5, generator, Dtype::f64));
  }
  return leaves;
}

}  // namespace

TEST_CASE("gradients of 200 random graphs are the limits of finite differences") {
  Generator generator(5);
  double worst = 0;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    INFO("seed ", seed);
    try {
      const auto graph = [seed](Inputs leaves) { return random_graph(seed, leaves); };
      worst = std::max(worst, gradcheck(graph, random_leaves(seed), generator, 1e-5));
    } catch (const Error& error) {
      FAIL_CHECK(error.what());
    }
  }
  CHECK(worst > 0);  // something was compared
}

TEST_CASE("random graphs have enough ops, and every seed draws another one") {
  std::set<double> values;
  std::set<std::string> recorded;
  for (uint64_t seed = 0; seed < 200; ++seed) {
    std::vector<Variable> leaves;
    for (const Tensor& tensor : random_leaves(0)) leaves.emplace_back(tensor, true);
    const Variable graph = random_graph(seed, leaves);
    values.insert(graph.value().item());
    std::vector<std::shared_ptr<VariableState>> waiting{
        graph.state()};  // shared parts are met again, which is harmless for a set of names
    for (int visits = 0; !waiting.empty() && visits < 500; ++visits) {
      const std::shared_ptr<VariableState> state = waiting.back();
      waiting.pop_back();
      if (!state->node) continue;
      recorded.insert(state->node->name);
      for (const auto& input : state->node->inputs)
        if (input) waiting.push_back(input);
    }
  }
  CHECK(values.size() == 200);
  CHECK(recorded.size() >= 25);
}

TEST_CASE("random graphs dropped in any order, walked or not, leave nothing live") {
  CachingAllocator& allocator = backend_for(Device::cpu()).allocator();
  const int64_t blocks = allocator.counters().live_blocks, nodes = tape_size();
  {
    Generator generator(6);
    std::vector<Variable> kept;
    for (uint64_t seed = 0; seed < 200; ++seed) {
      for (const Tensor& tensor : random_leaves(seed)) kept.emplace_back(tensor, true);
      const std::vector<Variable> leaves(kept.end() - 5, kept.end());
      kept.push_back(random_graph(seed, leaves));
      if (generator.below(2)) kept.back().backward();
      while (kept.size() > 30)
        kept.erase(kept.begin() + static_cast<std::ptrdiff_t>(generator.below(kept.size())));
    }
    CHECK(allocator.counters().live_blocks > blocks);
  }
  CHECK(allocator.counters().live_blocks == blocks);
  CHECK(tape_size() == nodes);
}

TEST_CASE("the gradient of a sum is the sum of the gradients") {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    INFO("seed ", seed);
    const std::vector<Tensor> leaves = random_leaves(seed);
    const auto first = [seed](Inputs in) { return random_graph(seed, in); };
    const auto second = [seed](Inputs in) { return random_graph(seed + 1000, in); };
    const auto both = [&](Inputs in) { return first(in) + second(in); };
    const Evaluation a = evaluate(first, leaves, {}), b = evaluate(second, leaves, {}),
                     c = evaluate(both, leaves, {});
    for (size_t i = 0; i < leaves.size(); ++i) {
      CHECK(relative_error(c.gradients[i], a.gradients[i] + b.gradients[i]) <= 1e-12);
    }
  }
}

}  // namespace nabla
