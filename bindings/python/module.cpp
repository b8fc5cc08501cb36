// The module dinomaly._dinomaly: the framework and the detector for Python. The package around it is in dinomaly/.
#include <new>

#include "bindings/python/binding.h"
#include "tensor/backend.h"
#include "tensor/error.h"
#include "tensor/threads.h"

using namespace dinomaly::python;

NB_MODULE(_dinomaly, m) {
  m.doc() = "dinomaly.cpp: a tensor framework with tape autograd, and the anomaly detector Dinomaly on it.";
  nb::set_leak_warnings(false);  // what a traceback or a notebook holds at the end of a program is no leak
  m.attr("__version__") = DINOMALY_VERSION;
  // The one that was made last is asked first.
  nb::exception<Error> error(m, "Error", PyExc_RuntimeError);
  error.doc() =
      "A broken contract: a wrong shape, dtype or state. The message names the op and what it was given.";
  nb::exception<InputError> input_error(m, "InputError", PyExc_ValueError);
  input_error.doc() = "A bad file, option or value, described in one line.";
  nb::register_exception_translator([](const std::exception_ptr& pointer, void*) {
    try {
      std::rethrow_exception(pointer);
    } catch (const OutOfMemory& lack) {
      PyErr_SetString(PyExc_MemoryError, lack.what());
    }
  });
  m.def("num_threads", &num_threads, "How many threads loops use.");
  m.def("set_num_threads", &set_num_threads, "count"_a,
        "How many threads loops use, in the whole process; 0: one per processor. Not while another thread "
        "computes.");
  m.def("cpu_level", &cpu_level, "The processor level whose kernels run: \"avx512\", ...");
  bind_tensor(m);
  bind_variable(m);
  bind_ops(m);
  bind_modules(m);
  bind_optimizers(m);
  bind_detector(m);
}
