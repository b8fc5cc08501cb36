// What every OpCase does with views of its inputs, and with values that are changed between forward and backward.
#include <doctest/doctest.h>

#include <algorithm>

#include "autograd/tape.h"
#include "tests/ops/op_case.h"
#include "tests/view_kinds.h"

namespace nabla {

namespace {

using Tensors = std::vector<Tensor>;

void check_same(const std::string& what, const Evaluation& got, const Evaluation& expected,
                double tolerance) {
  CHECK_MESSAGE(relative_error(got.output, expected.output) <= tolerance, what, ": the output");
  for (size_t i = 0; i < got.gradients.size(); ++i) {
    REQUIRE(got.gradients[i].defined());
    CHECK_MESSAGE(relative_error(got.gradients[i], expected.gradients[i]) <= tolerance, what,
                  ": the gradient of input ", i);
  }
}

Tensors clones(const Tensors& tensors) {
  Tensors result;
  for (const Tensor& tensor : tensors) result.push_back(tensor.clone());
  return result;
}

template <class Body>
void for_each_op(const Body& body) {
  for (const OpCase& test : OpCase::all()) {
    INFO(test.name);
    try {
      body(test);
    } catch (const std::exception& error) {
      FAIL_CHECK(std::string(error.what()));
    }
  }
}

// The case with its output's backward still to come.
struct Forward {
  std::vector<Variable> leaves;
  Variable output;

  explicit Forward(const OpCase& test) {
    for (const Tensor& input : reference_inputs(test)) leaves.emplace_back(input.clone(), true);
    output = test.function(leaves);
  }
  // Goes backward; the message of the error, or empty.
  std::string backward(const Tensor& cotangent) const {
    try {
      output.backward(cotangent);
    } catch (const Error& error) {
      return error.what();
    }
    return "";
  }
};

// After a change of `changed`: an error that says so, or gradients as if nothing had happened.
void check_refused_or_right(const OpCase& test, const Forward& forward, const Evaluation& expected,
                            const Tensor& cotangent, int& refused) {
  const std::string message = forward.backward(cotangent);
  if (!message.empty()) {
    ++refused;
    CHECK_MESSAGE(message.find(" was changed in place after the op had saved it") != std::string::npos,
                  message);
    CHECK_MESSAGE(message.find("version") != std::string::npos, message);
    return;
  }
  for (size_t i = 0; i < forward.leaves.size(); ++i) {
    REQUIRE(forward.leaves[i].grad().defined());
    CHECK_MESSAGE(relative_error(forward.leaves[i].grad(), expected.gradients[i]) <= 1e-12, test.name,
                  ": the gradient of input ", i, " is wrong, silently");
  }
}

}  // namespace

TEST_CASE("inputs and cotangents that are views of every kind give what copies give, and are not written") {
  for_each_op([](const OpCase& test) {
    for (const Dtype dtype : {Dtype::f64, Dtype::f32}) {
      const double tolerance = dtype == Dtype::f64 ? 1e-12 : 1e-6;
      const Tensors inputs = converted(reference_inputs(test), dtype);
      const Tensor cotangent = reference(test.name + "/cotangent").to(dtype);
      const Evaluation expected = evaluate(test.function, inputs, cotangent);
      for (size_t which = 0; which <= inputs.size(); ++which) {  // the last one: the cotangent
        const Tensor& original = which < inputs.size() ? inputs[which] : cotangent;
        for (const ViewKind& kind : views_of(original)) {
          Tensors views = inputs;
          if (which < inputs.size()) views[which] = kind.view;
          const uint64_t version = kind.view.version();
          const std::string what = fmt::format("{} of {}, {}", which, dtype, kind.name);
          check_same(what, evaluate(test.function, views, which < inputs.size() ? cotangent : kind.view),
                     expected, tolerance);
          CHECK_MESSAGE(kind.is_untouched_beside(), what);
          CHECK_MESSAGE(kind.view.to_vector<double>() == original.to_vector<double>(), what);
          CHECK_MESSAGE(kind.view.version() == version, what);
        }
      }
    }
  });
}

TEST_CASE("inputs that are expanded along any axis, or overlap each other, give what copies give") {
  for_each_op([](const OpCase& test) {
    const Tensors inputs = reference_inputs(test);
    const Tensor cotangent = reference(test.name + "/cotangent");
    const auto check_views = [&](const std::string& what, const Tensors& views, const Tensor& seed) {
      check_same(what, evaluate(test.function, views, seed),
                 evaluate(test.function, clones(views), seed.clone()), 1e-12);
    };
    for (size_t which = 0; which < inputs.size(); ++which) {
      for (const Tensor& view : expanded_views(inputs[which])) {
        Tensors views = inputs;
        views[which] = view;
        check_views(fmt::format("input {} of strides {}", which, view.strides()), views, cotangent);
      }
    }
    for (const Tensor& view : expanded_views(cotangent)) {
      check_views(fmt::format("a cotangent of strides {}", view.strides()), inputs, view);
    }
    // In one piece of memory: each input begins one element after the one before.
    Tensor memory = Tensor::empty({0}, Dtype::f64);
    for (const Tensor& input : inputs) {
      if (input.numel() > memory.numel()) memory = input.flatten();
    }
    if (memory.numel() == 0) return;
    memory = cat(Tensors{memory, memory.slice(0, 0, 1).expand({8})}, 0);
    Tensors views;
    for (size_t i = 0; i < inputs.size(); ++i) {
      const int64_t begin = static_cast<int64_t>(i);
      views.push_back(memory.slice(0, begin, begin + inputs[i].numel()).reshape(inputs[i].shape()));
    }
    check_views("overlapping inputs", views, cotangent);
  });
}

TEST_CASE("a leaf's gradient shares no memory with anything else") {
  for_each_op([](const OpCase& test) {
    const Forward forward(test);
    const Tensor cotangent = reference(test.name + "/cotangent");
    REQUIRE(forward.backward(cotangent).empty());
    for (size_t i = 0; i < forward.leaves.size(); ++i) {
      const Tensor& gradient = forward.leaves[i].grad();
      CHECK_FALSE(gradient.overlaps(cotangent));
      CHECK_FALSE(gradient.overlaps(forward.output.value()));
      for (size_t j = 0; j < forward.leaves.size(); ++j) {
        CHECK_FALSE(gradient.overlaps(forward.leaves[j].value()));
        if (j != i) CHECK_FALSE(gradient.overlaps(forward.leaves[j].grad()));
      }
    }
  });
}

TEST_CASE("an input or an output changed in place before backward(): an error, never wrong gradients") {
  int refused = 0;
  for_each_op([&](const OpCase& test) {
    const Tensor cotangent = reference(test.name + "/cotangent");
    const Evaluation expected = evaluate(test.function, reference_inputs(test), cotangent);
    for (size_t which = 0; which <= test.shapes.size(); ++which) {  // the last one: the output
      const Forward forward(test);
      const Tensor& value =
          which < test.shapes.size() ? forward.leaves[which].value() : forward.output.value();
      if (value.numel() == 0) continue;
      // Through a view of it, and not by much: what is wrong then is not easily seen.
      const Tensor one = value.flatten().slice(0, 0, 1);
      if (!one.overlaps(value)) continue;
      add_(one, Tensor::full({1}, 0.25, Dtype::f64));
      check_refused_or_right(test, forward, expected, cotangent, refused);
    }
  });
  CHECK(refused >= 40);
}

TEST_CASE("every op that saved a tensor refuses to go backward once it has changed") {
  for_each_op([](const OpCase& test) {
    const Forward probe(test);
    REQUIRE(probe.output.state()->node);
    const std::vector<SavedTensor> saved = probe.output.state()->node->saved;
    for (size_t i = 0; i < saved.size(); ++i) {
      const Forward forward(test);
      const std::shared_ptr<Storage> storage = forward.output.state()->node->saved.at(i).storage.lock();
      REQUIRE(storage);
      storage->mark_written();
      const std::string message = forward.backward(reference(test.name + "/cotangent"));
      CHECK_MESSAGE(message.find(test.op() + ": ") == 0, message);
      CHECK_MESSAGE(message.find(saved[i].shape.to_string()) != std::string::npos, message);
    }
  });
}

}  // namespace nabla
