// tensor/communicator.h by MPI.
#pragma once

#include "tensor/communicator.h"

namespace nabla {

// That of all processes of MPI_COMM_WORLD. The first call initialises MPI, which ends with the process.
Communicator& mpi_communicator();

}  // namespace nabla
