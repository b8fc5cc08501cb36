// Whether this process is one of several: launchers say so in the environment, and MPI is not asked, as initialising it takes
// a tenth of a second.
#include <algorithm>
#include <cstdlib>
#include <string>

#include "tensor/communicator.h"
#include "tensor/error.h"
#ifdef DINOMALY_WITH_MPI
#include "backends/mpi/mpi_communicator.h"
#endif
#ifdef DINOMALY_WITH_NCCL
#include "backends/cuda/nccl/nccl_communicator.h"
#endif

namespace nabla {

namespace {

struct Launched {
  const char* by = "";
  int64_t processes = 1;
};

// What mpirun of Open MPI, what MPICH's and Intel's, and what PMI's (srun --mpi=pmi2, flux) sets.
Launched launched() {
  for (const char* name : {"OMPI_COMM_WORLD_SIZE", "MPI_LOCALNRANKS", "PMI_SIZE"}) {
    const char* const value = std::getenv(name);
    if (value != nullptr) return {name, std::max<int64_t>(1, std::strtoll(value, nullptr, 10))};
  }
  // srun --mpi=pmix: the tasks of the step.
  if (std::getenv("PMIX_RANK") != nullptr) {
    const char* const tasks = std::getenv("SLURM_STEP_NUM_TASKS");
    return {"PMIX_RANK", tasks == nullptr ? 2 : std::max<int64_t>(1, std::strtoll(tasks, nullptr, 10))};
  }
  return {};
}

}  // namespace

void connect_processes() {
  const Launched how = launched();
  if (how.processes == 1) return;
#ifdef DINOMALY_WITH_MPI
#ifdef DINOMALY_WITH_NCCL
  use_communicator(with_nccl(mpi_communicator()));
#else
  use_communicator(mpi_communicator());
#endif
#else
  fail_input("{} processes were launched ({}), but this program was built without MPI (-DDINOMALY_MPI=ON)",
             how.processes, how.by);
#endif
}

}  // namespace nabla
