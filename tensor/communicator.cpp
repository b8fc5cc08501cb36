#include "tensor/communicator.h"

#include <cstdlib>

#include "tensor/error.h"

namespace nabla {

namespace {

class Nothing : public Communicator::Pending {
 public:
  bool progress() override { return true; }
  void wait() override {}
};

class SingleProcess : public Communicator {
 public:
  int rank() const override { return 0; }
  int size() const override { return 1; }
  std::unique_ptr<Pending> begin_all_reduce(const Tensor&) override { return std::make_unique<Nothing>(); }
  void prepare(Device) override {}
  int64_t largest(int64_t value) override { return value; }
  Tensor all_gather(const Tensor& x) override { return x; }
  void broadcast(const Tensor&, int) override {}
  void exchange(const std::vector<Parcel>& sent, const std::vector<Parcel>& received) override {
    check(sent.empty() && received.empty(), "communicator: there is no other process");
  }
  void barrier() override {}
  [[noreturn]] void abort(int status) override { std::_Exit(status); }
};

Communicator*& chosen() {
  static Communicator* all = &single_process();
  return all;
}

}  // namespace

Communicator& single_process() {
  static SingleProcess process;
  return process;
}

Communicator& communicator() { return *chosen(); }
void use_communicator(Communicator& all) { chosen() = &all; }

}  // namespace nabla
