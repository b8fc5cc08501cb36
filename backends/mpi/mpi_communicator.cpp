#include "backends/mpi/mpi_communicator.h"

#define OMPI_SKIP_MPICXX 1  // the C interface alone
#define MPICH_SKIP_MPICXX 1
#include <mpi.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <thread>

#include "tensor/error.h"

namespace nabla {

namespace {

// A call counts its elements in an int: what is longer goes in pieces.
constexpr int64_t most_elements = int64_t{1} << 30;

MPI_Datatype type_of(Dtype dtype) {
  switch (dtype) {
    case Dtype::f32:
      return MPI_FLOAT;
    case Dtype::f64:
      return MPI_DOUBLE;
    case Dtype::i64:
      return MPI_INT64_T;
    default:
      fail("all_reduce: no sums of {}", dtype);
  }
}

char* bytes_of(const Tensor& x) {
  check(x.device().is_cpu() && x.is_contiguous(),
        "communicator: a tensor {} that is not contiguous on the CPU", x.shape());
  return static_cast<char*>(x.raw_data());
}

int64_t size_in_bytes(const Tensor& x) { return static_cast<int64_t>(x.bytes()); }

// Adds the time from its construction to its end.
class Waiting {
 public:
  explicit Waiting(double& seconds) : seconds_(seconds) {}
  ~Waiting() { seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count(); }
  Waiting(const Waiting&) = delete;
  Waiting& operator=(const Waiting&) = delete;

 private:
  double& seconds_;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

class Requests : public Communicator::Pending {
 public:
  Requests(Tensor kept, double& seconds_waited) : kept_(std::move(kept)), seconds_waited_(seconds_waited) {}
  ~Requests() override { wait(); }
  MPI_Request* add() { return &requests_.emplace_back(MPI_REQUEST_NULL); }

  bool progress() override {
    int done = 0;
    MPI_Testall(count(), requests_.data(), &done, MPI_STATUSES_IGNORE);
    return done != 0;
  }
  void wait() override {
    const Waiting waiting(seconds_waited_);
    MPI_Waitall(count(), requests_.data(), MPI_STATUSES_IGNORE);
    requests_.clear();
  }

 private:
  int count() const { return static_cast<int>(requests_.size()); }
  Tensor kept_;
  std::vector<MPI_Request> requests_;
  double& seconds_waited_;
};

// MPI itself waits by asking, all the time: who has waited long leaves the processor to those that compute.
void wait_for(std::vector<MPI_Request>& requests) {
  using Clock = std::chrono::steady_clock;
  const Clock::time_point start = Clock::now();
  for (int done = 0;;) {
    MPI_Testall(static_cast<int>(requests.size()), requests.data(), &done, MPI_STATUSES_IGNORE);
    if (done != 0) return;
    if (Clock::now() - start > std::chrono::milliseconds(2))
      std::this_thread::sleep_for(std::chrono::microseconds(200));
  }
}

class MpiCommunicator : public Communicator {
 public:
  MpiCommunicator() {
    int is_ready = 0, level = 0;
    MPI_Initialized(&is_ready);
    // One thread at a time calls: the one that trains, or the one that takes predictions.
    if (is_ready == 0) MPI_Init_thread(nullptr, nullptr, MPI_THREAD_SERIALIZED, &level);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank_);
    MPI_Comm_size(MPI_COMM_WORLD, &size_);
    MPI_Comm machine;
    MPI_Comm_split_type(MPI_COMM_WORLD, MPI_COMM_TYPE_SHARED, 0, MPI_INFO_NULL, &machine);
    MPI_Comm_rank(machine, &rank_on_machine_);
    MPI_Comm_free(&machine);
  }
  ~MpiCommunicator() override {
    int is_over = 0;
    MPI_Finalized(&is_over);
    if (is_over == 0) MPI_Finalize();
  }

  int rank() const override { return rank_; }
  int size() const override { return size_; }
  int rank_on_machine() const override { return rank_on_machine_; }

  void prepare(Device device) override {
    check_input(device.is_cpu(),
                "--device: {} processes train on GPUs by NCCL, which this program was built without "
                "(-DDINOMALY_NCCL=ON)",
                size_);
  }

  std::unique_ptr<Pending> begin_all_reduce(const Tensor& x) override {
    auto requests = std::make_unique<Requests>(x, traffic_.seconds_waited);
    const MPI_Datatype type = type_of(x.dtype());
    char* const data = bytes_of(x);
    for (int64_t first = 0; first < x.numel(); first += most_elements) {
      const auto count = static_cast<int>(std::min(most_elements, x.numel() - first));
      MPI_Iallreduce(MPI_IN_PLACE, data + first * static_cast<int64_t>(size_of(x.dtype())), count, type,
                     MPI_SUM, MPI_COMM_WORLD, requests->add());
    }
    // As a ring sends it: all but one share, once to be added and once as the sum.
    traffic_.bytes += 2 * size_in_bytes(x) * (size_ - 1) / size_;
    return requests;
  }

  int64_t largest(int64_t value) override {
    const Waiting waiting(traffic_.seconds_waited);
    int64_t result = value;
    MPI_Allreduce(&value, &result, 1, MPI_INT64_T, MPI_MAX, MPI_COMM_WORLD);
    return result;
  }

  Tensor all_gather(const Tensor& x) override {
    const Waiting waiting(traffic_.seconds_waited);
    const int64_t rows = x.size(0);
    int64_t width = static_cast<int64_t>(size_of(x.dtype()));  // of a row, in bytes
    for (int axis = 1; axis < x.rank(); ++axis) width *= x.size(axis);
    std::vector<int64_t> all_rows(static_cast<size_t>(size_));
    MPI_Allgather(&rows, 1, MPI_INT64_T, all_rows.data(), 1, MPI_INT64_T, MPI_COMM_WORLD);
    std::vector<int> counts, starts;
    int64_t total = 0;
    for (const int64_t count : all_rows) {
      counts.push_back(static_cast<int>(count * width));
      starts.push_back(static_cast<int>(total * width));
      total += count;
    }
    check(total * width <= std::numeric_limits<int>::max(), "all_gather: {} rows of {} bytes are too many",
          total, width);
    Shape shape = x.shape();
    shape[0] = total;
    Tensor result = Tensor::empty(shape, x.dtype());
    MPI_Allgatherv(bytes_of(x), static_cast<int>(rows * width), MPI_BYTE, bytes_of(result), counts.data(),
                   starts.data(), MPI_BYTE, MPI_COMM_WORLD);
    traffic_.bytes += rows * width * (size_ - 1);
    return result;
  }

  void broadcast(const Tensor& x, int root) override {
    const Waiting waiting(traffic_.seconds_waited);
    for_pieces(x, [&](char* data, int count) { MPI_Bcast(data, count, MPI_BYTE, root, MPI_COMM_WORLD); });
    if (rank_ == root) traffic_.bytes += size_in_bytes(x) * (size_ - 1);
  }

  void exchange(const std::vector<Parcel>& sent, const std::vector<Parcel>& received) override {
    const Waiting waiting(traffic_.seconds_waited);
    std::vector<MPI_Request> requests;
    for (const auto& [rank, tensor] : received)
      for_pieces(tensor, [&, from = rank](char* data, int count) {
        MPI_Irecv(data, count, MPI_BYTE, from, 0, MPI_COMM_WORLD, &requests.emplace_back());
      });
    for (const auto& [rank, tensor] : sent) {
      for_pieces(tensor, [&, to = rank](char* data, int count) {
        MPI_Isend(data, count, MPI_BYTE, to, 0, MPI_COMM_WORLD, &requests.emplace_back());
      });
      traffic_.bytes += size_in_bytes(tensor);
    }
    wait_for(requests);
  }

  void barrier() override {
    const Waiting waiting(traffic_.seconds_waited);
    MPI_Barrier(MPI_COMM_WORLD);
  }

  [[noreturn]] void abort(int status) override {
    MPI_Abort(MPI_COMM_WORLD, status);
    std::_Exit(status);
  }

 private:
  template <class Function>
  static void for_pieces(const Tensor& x, const Function& function) {
    char* const data = bytes_of(x);
    const int64_t bytes = size_in_bytes(x);
    for (int64_t first = 0; first < bytes; first += most_elements)
      function(data + first, static_cast<int>(std::min(most_elements, bytes - first)));
  }

  int rank_ = 0, size_ = 1, rank_on_machine_ = 0;
};

}  // namespace

Communicator& mpi_communicator() {
  static MpiCommunicator all;
  return all;
}

}  // namespace nabla
