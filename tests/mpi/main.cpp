// Each of the processes that mpirun starts runs all test cases.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include "tensor/communicator.h"
#include "tensor/threads.h"

int main(int argc, char** argv) {
  nabla::set_num_threads(1);
  nabla::connect_processes();
  doctest::Context context(argc, argv);
  if (!nabla::communicator().is_first())
    context.setOption("minimal", true);  // says what failed, and nothing else
  const int status = context.run();
  if (status != 0) nabla::communicator().abort(status);
  return status;
}
