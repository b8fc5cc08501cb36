// What processes send each other arrives.
#include "tensor/communicator.h"

#include <doctest/doctest.h>

#include <vector>

#include "tensor/ops.h"

namespace nabla {

TEST_CASE("communicator: there are others, and each has a rank of its own") {
  const Communicator& all = communicator();
  REQUIRE(all.size() > 1);
  CHECK(all.rank() >= 0);
  CHECK(all.rank() < all.size());
  CHECK(all.is_first() == (all.rank() == 0));
}

TEST_CASE("communicator: sums, of several dtypes, several under way at once") {
  Communicator& all = communicator();
  const double ranks = all.size() * (all.size() - 1) / 2.0;
  std::vector<Tensor> tensors;
  std::vector<std::unique_ptr<Communicator::Pending>> pending;
  for (const Dtype dtype : {Dtype::f32, Dtype::f64, Dtype::i64}) {
    tensors.push_back(Tensor::full({3, 1000}, all.rank(), dtype));
    pending.push_back(all.begin_all_reduce(tensors.back()));
  }
  for (size_t i = 0; i < tensors.size(); ++i) {
    pending[i]->progress();
    pending[i]->wait();
    CHECK(pending[i]->progress());
    CHECK(tensors[i].to_vector<double>() == std::vector<double>(3000, ranks));
  }
}

TEST_CASE("communicator: the largest value, everywhere") {
  CHECK(communicator().largest(-communicator().rank()) == 0);
  CHECK(communicator().largest(10 * communicator().rank()) == 10 * (communicator().size() - 1));
}

TEST_CASE("communicator: rows of all processes, of which some have none") {
  Communicator& all = communicator();
  const Tensor own = Tensor::full({all.rank(), 2}, all.rank(), Dtype::f64);
  const Tensor rows = all.all_gather(own);
  std::vector<double> expected;
  for (int rank = 0; rank < all.size(); ++rank)
    expected.insert(expected.end(), static_cast<size_t>(2 * rank), rank);
  CHECK(rows.shape() == Shape{static_cast<int64_t>(expected.size()) / 2, 2});
  CHECK(rows.to_vector<double>() == expected);
}

TEST_CASE("communicator: a tensor of the last process, everywhere") {
  Communicator& all = communicator();
  const Tensor x = Tensor::full({5}, all.rank());
  all.broadcast(x, all.size() - 1);
  CHECK(x.to_vector<float>() == std::vector<float>(5, static_cast<float>(all.size() - 1)));
}

TEST_CASE("communicator: tensors for the next process arrive in their order") {
  Communicator& all = communicator();
  const int next = (all.rank() + 1) % all.size(), before = (all.rank() + all.size() - 1) % all.size();
  const Tensor first = Tensor::full({4}, all.rank()),
               second = Tensor::full({2, 3}, 100 + all.rank(), Dtype::f64);
  const Tensor got_first = Tensor::empty({4}), got_second = Tensor::empty({2, 3}, Dtype::f64);
  all.exchange({{next, first}, {next, second}}, {{before, got_first}, {before, got_second}});
  CHECK(got_first.to_vector<float>() == std::vector<float>(4, static_cast<float>(before)));
  CHECK(got_second.to_vector<double>() == std::vector<double>(6, 100 + before));
}

}  // namespace nabla
