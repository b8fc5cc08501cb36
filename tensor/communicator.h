// The processes that compute together, and what they send each other. A program that is started as usual is the only one.
// One that is started by `mpirun -n N` (or srun, or an operator for Kubernetes) is one of N, each with a number of its own, its
// rank; all of them run the same code on other parts of the data (backends/mpi, cmake -DDINOMALY_MPI=ON).
//
// Every process makes the same calls in the same order, as each call waits for all the others. Tensors are contiguous, and on
// the CPU or the GPU of prepare(). An error of the connection ends all processes.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "tensor/tensor.h"

namespace nabla {

class Communicator {
 public:
  // Something that goes on while the process computes.
  class Pending {
   public:
    virtual ~Pending() = default;  // after wait()
    // Lets it go on a little, as nothing may happen while the process does not call. Returns whether it is done.
    virtual bool progress() = 0;
    virtual void wait() = 0;
  };
  // A tensor for another process, or room for one of its tensors.
  struct Parcel {
    int rank;
    Tensor tensor;
  };

  Communicator() = default;
  virtual ~Communicator() = default;
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;

  virtual int rank() const = 0;  // 0 <= rank < size
  virtual int size() const = 0;
  // Its number among the processes of its machine, from 0.
  virtual int rank_on_machine() const { return 0; }
  // Called by all before tensors on this device are sent, if it is a GPU: each process has one. Throws InputError where there
  // is no way for them.
  virtual void prepare(Device device) = 0;
  // The one that writes files and speaks to the user.
  bool is_first() const { return rank() == 0; }

  // x <- the sum of all processes' x, of one shape and dtype (f32, f64 or i64) everywhere. The same bits in every process, and
  // with as many processes the same bits again. x may not be touched before wait() has returned.
  virtual std::unique_ptr<Pending> begin_all_reduce(const Tensor& x) = 0;
  void all_reduce(const Tensor& x) { begin_all_reduce(x)->wait(); }
  // The largest of all processes' values.
  virtual int64_t largest(int64_t value) = 0;
  // The rows (axis 0) of all processes' x, one process after the other. Their numbers may differ, the other axes not.
  virtual Tensor all_gather(const Tensor& x) = 0;
  // x <- x of process `root`.
  virtual void broadcast(const Tensor& x, int root) = 0;
  // Sends some tensors and receives others. Of those between two processes the order counts.
  virtual void exchange(const std::vector<Parcel>& sent, const std::vector<Parcel>& received) = 0;
  // Returns when all processes have come here.
  virtual void barrier() = 0;
  // Ends all processes at once with this status: for an error that only this one has met.
  [[noreturn]] virtual void abort(int status) = 0;

  // What this process has sent so far in bytes, and how long it has waited, in seconds.
  struct Traffic {
    int64_t bytes = 0;
    double seconds_waited = 0;
  };
  virtual Traffic traffic() const { return traffic_; }

 protected:
  Traffic traffic_;
};

// Of one process: every sum is its own.
Communicator& single_process();
// That of the program: single_process(), unless connect_processes() has found others.
Communicator& communicator();
// Makes another one the program's. Only while no other thread computes.
void use_communicator(Communicator& all);

// For main(): where a launcher has started more than one process, connects them, and communicator() is that of all. A program
// that is started as usual is left alone. Throws InputError where there are others and the program was built without MPI:
// each would take itself for the only one. In the library dinomaly_mpi, which programs link.
void connect_processes();

}  // namespace nabla
