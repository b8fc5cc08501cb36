// Writing into views: what is written, that nothing beside is, and what is refused.
#include <doctest/doctest.h>

#include <functional>
#include <vector>

#include "tensor/ops.h"
#include "tests/view_kinds.h"

namespace nabla {

namespace {

const std::vector<Shape> shapes = {{}, {1}, {5}, {3, 4}, {2, 3, 5}, {1, 37, 2}, {0, 3}, {2, 1, 3, 4}};
const std::vector<Dtype> dtypes = {Dtype::f32, Dtype::bf16, Dtype::f64, Dtype::i64, Dtype::u8, Dtype::i8};

Tensor some_values(const Shape& shape, Dtype dtype, int64_t start) {
  return (Tensor::arange(shape.numel(), Dtype::f64).reshape(shape) + static_cast<double>(start)).to(dtype);
}

std::string message_of(const std::function<void()>& call) {
  try {
    call();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

// Calls change(view) on a view of every kind that it takes and compares with change(contiguous).
void check_in_place(const std::function<void(const Tensor&)>& change, bool takes_strides = true) {
  for (const Shape& shape : shapes) {
    for (const Dtype dtype : dtypes) {
      const Tensor x = some_values(shape, dtype, 1), expected = x.clone();
      change(expected);
      for (const ViewKind& kind : views_of(x)) {
        INFO(kind.name, " of ", shape.to_string(), " ", std::string(name_of(dtype)));
        if (!takes_strides && !kind.view.is_contiguous()) {
          CHECK_THROWS_WITH_AS(change(kind.view), doctest::Contains("is not contiguous"), Error);
          CHECK(kind.view.to_vector<double>() == x.to_vector<double>());
          continue;
        }
        const uint64_t version = kind.view.version();
        change(kind.view);
        CHECK(kind.view.to_vector<double>() == expected.to_vector<double>());
        CHECK(kind.is_untouched_beside());
        CHECK((kind.buffer.version() > version) == (x.numel() > 0));  // views share the count
      }
    }
  }
}

}  // namespace

TEST_CASE("in place: fill, copy_from and add_ on views of every kind write the elements and nothing beside") {
  check_in_place([](const Tensor& x) { x.fill(7); });
  for (const Dtype from : dtypes) {
    check_in_place([&](const Tensor& x) {
      for (const ViewKind& source : views_of(some_values(x.shape(), from, 20))) x.copy_from(source.view);
    });
  }
  for (size_t i = 0; i < views_of(Tensor::zeros({2, 3, 4})).size(); ++i) {
    check_in_place(
        [&](const Tensor& x) {
          const std::vector<ViewKind> others = views_of(some_values(x.shape(), x.dtype(), 2));
          add_(x, others[i % others.size()].view);
        },
        false);
  }
  check_in_place(
      [](const Tensor& x) {  // broadcasts
        add_(x, some_values({}, x.dtype(), 3));
        if (x.rank() > 0) add_(x, some_values({x.shape().back()}, x.dtype(), 1).expand(x.shape()));
      },
      false);
}

TEST_CASE("in place: a tensor that shows one element twice is refused, and nothing is written") {
  const Tensor row = some_values({4}, Dtype::f32, 1), x = row.expand({3, 4});
  const Tensor column = some_values({3, 1}, Dtype::f32, 1);
  for (const Tensor& view : {x, x.transpose(0, 1), x.slice(1, 1, 3), x.unsqueeze(1), x.select(1, 2),
                             column.expand({3, 2}), row.slice(0, 0, 1).expand({4}).reshape({2, 2})}) {
    INFO(view.shape().to_string(), " ", view.strides().to_string());
    CHECK(view.repeats_elements());
    const std::string part = "an expanded tensor of shape " + view.shape().to_string();
    const Tensor ones = Tensor::ones(view.shape());
    const std::string copied = message_of([&] { view.copy_from(ones); });
    CHECK_MESSAGE(copied.find("copy: " + part) == 0, copied);
    const std::string filled = message_of([&] { view.fill(1); });
    CHECK_MESSAGE(filled.find("fill: " + part) == 0, filled);
    CHECK_THROWS_WITH_AS(add_(view, ones), doctest::Contains("is not contiguous"), Error);
  }
  CHECK(row.to_vector<float>() == std::vector<float>{1, 2, 3, 4});
  // What is repeated never, or once, or shows nothing, can be written.
  for (const Tensor& view : {row, row.expand({1, 4}), x.slice(0, 0, 1), x.slice(1, 0, 0), x.select(0, 1)}) {
    CHECK_FALSE(view.repeats_elements());
    view.fill(5);
  }
}

TEST_CASE("in place: what is read and written overlaps: every element is read before it is written") {
  struct Pair {
    const char* name;
    std::function<Tensor(const Tensor&)> target, source;
  };
  const auto rows = [](int64_t begin, int64_t end, int64_t step = 1) {
    return [=](const Tensor& x) { return x.slice(0, begin, end, step); };
  };
  const std::vector<Pair> pairs = {
      {"shifted on", rows(1, 60), rows(0, 59)},
      {"shifted back", rows(0, 59), rows(1, 60)},
      {"shifted far", rows(30, 60), rows(15, 45)},
      {"interleaved", rows(0, 60, 2), rows(1, 60, 2)},
      {"spread out", rows(0, 60, 2), rows(0, 30)},
      {"itself", rows(0, 60), rows(0, 60)},
      {"transposed", [](const Tensor& x) { return x; }, [](const Tensor& x) { return x.transpose(0, 1); }},
      {"its own row", rows(0, 60), [](const Tensor& x) { return x.slice(0, 7, 8).expand(x.shape()); }},
      {"its own column", rows(0, 60), [](const Tensor& x) { return x.slice(1, 3, 4).expand(x.shape()); }},
      {"its own element", rows(0, 60),
       [](const Tensor& x) { return x.slice(0, 2, 3).slice(1, 1, 2).expand(x.shape()); }},
  };
  for (const Pair& pair : pairs) {
    for (const Dtype dtype : dtypes) {
      INFO(pair.name, " ", std::string(name_of(dtype)));
      const Tensor start = some_values({60, 60}, Dtype::i64, 0).to(Dtype::f64) * 0.05;
      const Tensor x = start.to(dtype).clone(), y = start.to(dtype).clone();
      const Tensor source = pair.source(x).clone();
      const Tensor sums = pair.target(x) + source;
      const bool adds = pair.target(x).is_contiguous();
      pair.target(x).copy_from(pair.source(x));
      CHECK(pair.target(x).to_vector<double>() == source.to_vector<double>());
      if (!adds) continue;
      add_(pair.target(y), pair.source(y));
      CHECK(pair.target(y).to_vector<double>() == sums.to_vector<double>());
    }
  }
}

TEST_CASE("in place: two handles of one foreign memory overlap, too") {
  std::vector<float> memory{0, 1, 2, 3, 4, 5};
  const Tensor first = Tensor::wrap(memory.data(), {5}, Dtype::f32, nullptr);
  const Tensor second = Tensor::wrap(memory.data() + 1, {5}, Dtype::f32, nullptr);
  CHECK(first.overlaps(second));
  second.copy_from(first);
  CHECK(memory == std::vector<float>{0, 0, 1, 2, 3, 4});
}

TEST_CASE("in place: overlaps() and is_same_view() look at addresses, not at handles") {
  const Tensor x = Tensor::zeros({4, 6});
  CHECK(x.overlaps(x.transpose(0, 1)));
  CHECK_FALSE(x.slice(0, 0, 2).overlaps(x.slice(0, 2, 4)));
  CHECK_FALSE(x.slice(0, 1, 1).overlaps(x));  // no elements
  CHECK_FALSE(x.overlaps(x.clone()));
  CHECK_FALSE(x.overlaps(Tensor()));
  CHECK(x.is_same_view(x.slice(0, 0, 4)));
  CHECK_FALSE(x.is_same_view(x.slice(0, 0, 3)));
  CHECK_FALSE(x.is_same_view(x.clone()));
  CHECK_FALSE(x.slice(1, 0, 4).is_same_view(x.slice(1, 0, 4).transpose(0, 1)));
}

TEST_CASE("in place: changes are counted for all views of a storage, reading and failing are not") {
  const Tensor x = Tensor::zeros({3, 4}), view = x.slice(1, 0, 2).transpose(0, 1);
  const uint64_t start = x.version();
  CHECK(view.version() == start);
  x.to_vector<float>();
  x.clone();
  (x + x).fill(3);
  CHECK_THROWS_AS(x.copy_from(Tensor::zeros({3})), Error);
  CHECK(x.version() == start);
  view.fill(1);
  CHECK(x.version() == start + 1);
  x.mark_written();  // after a write through data()
  CHECK(view.version() == start + 2);
  CHECK(Tensor().version() == 0);
}

}  // namespace nabla
