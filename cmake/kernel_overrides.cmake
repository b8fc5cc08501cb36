# tensor/kernels.h declares every kernel once; what each backend and the profiler repeat of a declaration is written
# from it, so that a new kernel is declared in one place. A kernel is a `virtual void` of Kernels with parameters.
#   generated/backends/kernel_overrides.inc   void NAME(PARAMETERS) override;
#   generated/backends/kernel_profiles.inc    void NAME(PARAMETERS) override { measured<&Kernels::NAME>("NAME", ...); }
#   generated/backends/kernel_functions.inc   void NAME(PARAMETERS);
#   generated/backends/kernel_calls.inc       void NAME(PARAMETERS) override { cpu::NAME(...); }
# The functions are included inside of namespace nabla::cpu, the others inside of a class.
set(kernel_interface ${PROJECT_SOURCE_DIR}/tensor/kernels.h)
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS ${kernel_interface})
file(READ ${kernel_interface} text)
string(REGEX MATCHALL "virtual void [a-z0-9_]+\\([^()]+\\) = 0" kernels "${text}")
set(overrides)
set(profiles)
set(functions)
set(calls)
foreach(kernel ${kernels})
  string(REGEX MATCH "void ([a-z0-9_]+)\\(([^()]+)\\)" declaration "${kernel}")
  set(name ${CMAKE_MATCH_1})
  string(REGEX REPLACE " = [^,]+" "" parameters "${CMAKE_MATCH_2}")
  string(REGEX REPLACE "[^,]*[ &]([a-z0-9_]+)(,|$)" "\\1\\2 " arguments "${parameters}")
  string(STRIP "${arguments}" arguments)
  string(APPEND overrides "${declaration} override;\n")
  string(APPEND profiles
    "void ${name}(${parameters}) override { measured<&Kernels::${name}>(\"${name}\", ${arguments}); }\n")
  string(APPEND functions "void ${name}(${parameters});\n")
  string(APPEND calls "void ${name}(${parameters}) override { cpu::${name}(${arguments}); }\n")
endforeach()
if(NOT overrides)
  message(FATAL_ERROR "${kernel_interface}: no kernels found")
endif()
foreach(list overrides profiles functions calls)
  file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/generated/backends/kernel_${list}.inc CONTENT "${${list}}")
endforeach()
target_include_directories(dinomaly_tensor PUBLIC $<BUILD_INTERFACE:${PROJECT_BINARY_DIR}/generated>)
