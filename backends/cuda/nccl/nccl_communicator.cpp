#include "backends/cuda/nccl/nccl_communicator.h"

#include <nccl.h>

#include <cstdlib>
#include <cstring>
#include <memory>
#include <utility>
#include <vector>

#include "backends/cuda/cuda.h"
#include "backends/cuda/cuda_kernels.h"
#include "backends/cuda/cuda_registry.h"
#include "tensor/error.h"

namespace nabla {

namespace {

void check_nccl(ncclResult_t result, const char* what) {
  if (result != ncclSuccess) fail("{}: NCCL: {}", what, ncclGetErrorString(result));
}

ncclDataType_t type_of(Dtype dtype) {
  switch (dtype) {
    case Dtype::f32:
      return ncclFloat32;
    case Dtype::f64:
      return ncclFloat64;
    case Dtype::i64:
      return ncclInt64;
    default:
      fail("all_reduce: no sums of {}", dtype);
  }
}

// What a stream was asked for so far, for another one to wait for.
class Event {
 public:
  Event() { check_cuda(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming), "nccl"); }
  ~Event() { cudaEventDestroy(event_); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;

  void record(cudaStream_t stream) { check_cuda(cudaEventRecord(event_, stream), "nccl"); }
  void hold(cudaStream_t stream) const { check_cuda(cudaStreamWaitEvent(stream, event_, 0), "nccl"); }
  bool has_come() const { return is_done(event_); }

 private:
  cudaEvent_t event_ = nullptr;
};

class Sums : public Communicator::Pending {
 public:
  Sums(Tensor kept, cudaStream_t sending, cudaStream_t computing)
      : kept_(std::move(kept)), computing_(computing) {
    done_.record(sending);
  }
  ~Sums() override { wait(); }
  bool progress() override { return done_.has_come(); }
  void wait() override {
    if (!kept_.defined()) return;
    done_.hold(computing_);
    kept_ = {};  // its memory is used again in the order of the stream that computes
  }

 private:
  Tensor kept_;
  cudaStream_t computing_;
  Event done_;
};

class NcclCommunicator : public Communicator {
 public:
  explicit NcclCommunicator(Communicator& processes) : processes_(processes) {}

  int rank() const override { return processes_.rank(); }
  int size() const override { return processes_.size(); }
  int rank_on_machine() const override { return processes_.rank_on_machine(); }
  int64_t largest(int64_t value) override { return processes_.largest(value); }
  void barrier() override { processes_.barrier(); }
  [[noreturn]] void abort(int status) override {
    processes_.abort(status);
    std::_Exit(status);
  }

  Traffic traffic() const override {
    const Traffic by_host = processes_.traffic();
    return {traffic_.bytes + by_host.bytes, by_host.seconds_waited};
  }

  // All processes at once. The backends' streams live as long as the program, and so does what is made here.
  void prepare(Device device) override {
    if (device.is_cpu() || size() == 1) return processes_.prepare(device);
    if (links_ != nullptr) {
      check_input(device == device_, "communicator: {} after {}: a process has one GPU", device, device_);
      return;
    }
    ncclUniqueId id{};
    if (is_first()) check_nccl(ncclGetUniqueId(&id), "nccl");
    const Tensor bytes = Tensor::empty({static_cast<int64_t>(sizeof id)}, Dtype::u8);
    std::memcpy(bytes.raw_data(), &id, sizeof id);
    processes_.broadcast(bytes, 0);
    std::memcpy(&id, bytes.raw_data(), sizeof id);
    device_ = device;
    computing_ = static_cast<CudaKernels&>(cuda_kernels(device.index)).stream();
    check_cuda(cudaStreamCreateWithFlags(&sending_, cudaStreamNonBlocking), "nccl");
    order_ = std::make_unique<Event>();
    check_nccl(ncclCommInitRank(&links_, size(), id, rank()), "nccl");
  }

  std::unique_ptr<Pending> begin_all_reduce(const Tensor& x) override {
    if (x.device().is_cpu()) return processes_.begin_all_reduce(x);
    begin(x);
    check_nccl(ncclAllReduce(x.raw_data(), x.raw_data(), static_cast<size_t>(x.numel()), type_of(x.dtype()),
                             ncclSum, links_, sending_),
               "all_reduce");
    traffic_.bytes += 2 * bytes_of(x) * (size() - 1) / size();
    return std::make_unique<Sums>(x, sending_, computing_);
  }

  Tensor all_gather(const Tensor& x) override {
    if (x.device().is_cpu()) return processes_.all_gather(x);
    const std::vector<int64_t> rows =
        processes_.all_gather(Tensor::from(std::vector<int64_t>{x.size(0)}, {1})).to_vector<int64_t>();
    Shape shape = x.shape();
    shape[0] = 0;
    for (const int64_t count : rows) shape[0] += count;
    const Tensor result = Tensor::empty(shape, x.dtype(), x.device());
    begin(x);
    check_nccl(ncclGroupStart(), "all_gather");
    int64_t first = 0;
    for (int root = 0; root < size(); ++root) {
      const int64_t end = first + rows[static_cast<size_t>(root)];
      const Tensor part = result.slice(0, first, end);
      if (end > first) broadcast_bytes(root == rank() ? x : part, part, root);
      first = end;
    }
    check_nccl(ncclGroupEnd(), "all_gather");
    end();
    traffic_.bytes += bytes_of(x) * (size() - 1);
    return result;
  }

  void broadcast(const Tensor& x, int root) override {
    if (x.device().is_cpu()) return processes_.broadcast(x, root);
    begin(x);
    broadcast_bytes(x, x, root);
    end();
    if (rank() == root) traffic_.bytes += bytes_of(x) * (size() - 1);
  }

  void exchange(const std::vector<Parcel>& sent, const std::vector<Parcel>& received) override {
    std::vector<Parcel> sent_by_host, received_by_host;
    for (const Parcel& parcel : sent) {
      if (parcel.tensor.device().is_cpu())
        sent_by_host.push_back(parcel);
      else
        begin(parcel.tensor);
    }
    for (const Parcel& parcel : received) {
      if (parcel.tensor.device().is_cpu())
        received_by_host.push_back(parcel);
      else
        begin(parcel.tensor);
    }
    processes_.exchange(sent_by_host, received_by_host);
    if (sent_by_host.size() + received_by_host.size() == sent.size() + received.size()) return;
    check_nccl(ncclGroupStart(), "exchange");
    for (const auto& [to, tensor] : sent) {
      if (tensor.device().is_cpu()) continue;
      check_nccl(
          ncclSend(tensor.raw_data(), static_cast<size_t>(bytes_of(tensor)), ncclUint8, to, links_, sending_),
          "exchange");
      traffic_.bytes += bytes_of(tensor);
    }
    for (const auto& [from, tensor] : received) {
      if (tensor.device().is_cpu()) continue;
      check_nccl(ncclRecv(tensor.raw_data(), static_cast<size_t>(bytes_of(tensor)), ncclUint8, from, links_,
                          sending_),
                 "exchange");
    }
    check_nccl(ncclGroupEnd(), "exchange");
    end();
  }

 private:
  static int64_t bytes_of(const Tensor& x) { return static_cast<int64_t>(x.bytes()); }

  // What is sent from now on is what the backend was asked for before.
  void begin(const Tensor& x) {
    check(links_ != nullptr && x.device() == device_ && x.is_contiguous(),
          "communicator: a tensor {} on {} that is not contiguous on the GPU that was prepared", x.shape(),
          x.device());
    cuda_kernels(device_.index);  // makes it the calling thread's
    order_->record(computing_);
    order_->hold(sending_);
  }
  // The backend sees what was received until now.
  void end() {
    order_->record(sending_);
    order_->hold(computing_);
  }
  void broadcast_bytes(const Tensor& from, const Tensor& to, int root) {
    check_nccl(ncclBroadcast(from.raw_data(), to.raw_data(), static_cast<size_t>(bytes_of(to)), ncclUint8,
                             root, links_, sending_),
               "broadcast");
  }

  Communicator& processes_;
  Device device_ = Device::cpu();
  ncclComm_t links_ = nullptr;
  cudaStream_t computing_ = nullptr, sending_ = nullptr;
  // Of one stream after the other: who waits for an event waits for what it was recorded for.
  std::unique_ptr<Event> order_;
};

}  // namespace

Communicator& with_nccl(Communicator& processes) {
  // Never destroyed: GPUs may be gone when static variables are.
  static Communicator& all = *new NcclCommunicator(processes);
  return all;
}

}  // namespace nabla
