// Each of the processes that mpirun starts has an emulated GPU and runs all test cases.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <cstdlib>
#include <memory>
#include <vector>

#include "backends/cuda/nccl/nccl_communicator.h"
#include "backends/mpi/mpi_communicator.h"
#include "tensor/backend.h"
#include "tensor/communicator.h"
#include "tensor/threads.h"

namespace {

using nabla::Communicator;
using nabla::Tensor;

// A GPU works on while its host waits for others; the emulated one has to be asked to.
class WithWorkingGpu : public Communicator {
 public:
  explicit WithWorkingGpu(Communicator& processes) : processes_(processes) {}
  int rank() const override { return processes_.rank(); }
  int size() const override { return processes_.size(); }
  void prepare(nabla::Device device) override { processes_.prepare(device); }
  std::unique_ptr<Pending> begin_all_reduce(const Tensor& x) override {
    return working().begin_all_reduce(x);
  }
  int64_t largest(int64_t value) override { return working().largest(value); }
  Tensor all_gather(const Tensor& x) override { return working().all_gather(x); }
  void broadcast(const Tensor& x, int root) override { working().broadcast(x, root); }
  void exchange(const std::vector<Parcel>& sent, const std::vector<Parcel>& received) override {
    working().exchange(sent, received);
  }
  void barrier() override { working().barrier(); }
  [[noreturn]] void abort(int status) override {
    processes_.abort(status);
    std::_Exit(status);
  }

 private:
  Communicator& working() const {
    nabla::backend_for(nabla::Device::cuda()).synchronize();
    return processes_;
  }
  Communicator& processes_;
};

}  // namespace

int main(int argc, char** argv) {
  nabla::set_num_threads(1);
  // Not connect_processes(), which gives NCCL the processes as they are where it is part of the program.
  WithWorkingGpu by_host(nabla::mpi_communicator());
  nabla::use_communicator(nabla::with_nccl(by_host));
  doctest::Context context(argc, argv);
  if (!nabla::communicator().is_first()) context.setOption("minimal", true);
  const int status = context.run();
  if (status != 0) nabla::communicator().abort(status);
  return status;
}
