# One program for every x86-64. What takes the time, the kernels of backends/cpu, is compiled once for each of the
# levels below, and backends/registry.cpp takes the best that the processor has when the program starts; everything else
# is compiled for any x86-64. With DINOMALY_NATIVE, with sanitizers and on other processors there is a single level,
# compiled like the rest.
#
# The danger is in what many objects hold a copy of: inline functions and templates, std::vector's and Tensor's among
# them. The linker keeps one copy for the whole program, and if that is the one compiled for AVX-512, an older processor
# meets it far from any kernel. So the objects of a level are linked to one (ld -r), in which every symbol but the level's
# factory is then made local (objcopy): nobody outside can be given its copies. What has to be there once, the state of
# the program, therefore stands in a .cpp of tensor/, not in a header. Exceptions pass: types are compared by name.
#
# Sets, for the levels from the best to the plainest: cpu_levels, and cpu_flags_LEVEL.
set(cpu_flags_baseline -march=x86-64)
set(cpu_flags_avx2 -march=x86-64-v3)
set(cpu_flags_avx512 -march=x86-64-v4)
set(cpu_flags_avx512_bf16 -march=x86-64-v4 -mavx512vnni -mavx512bf16)
if(DINOMALY_NATIVE)
  set(cpu_levels native)
elseif(DINOMALY_SANITIZE OR NOT CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64)$")
  set(cpu_levels baseline)
else()
  set(cpu_levels avx512_bf16 avx512 avx2 baseline)
endif()
list(LENGTH cpu_levels cpu_level_count)

# The table of levels, which backends/registry.cpp chooses from.
set(CPU_LEVEL_FACTORIES "")
set(CPU_LEVEL_ENTRIES "")
foreach(level ${cpu_levels})
  string(APPEND CPU_LEVEL_FACTORIES "nabla::Kernels* nabla_cpu_kernels_${level}(bool forced);\n")
  string(APPEND CPU_LEVEL_ENTRIES "    {\"${level}\", nabla_cpu_kernels_${level}},\n")
endforeach()
configure_file(${PROJECT_SOURCE_DIR}/backends/cpu_level_table.cpp.in ${PROJECT_BINARY_DIR}/cpu_level_table.cpp @ONLY)

# Puts the kernels (`sources`) of every level into `library`; `flags` is the interface library of how they are compiled.
function(add_cpu_levels library flags sources)
  target_sources(${library} PRIVATE ${PROJECT_BINARY_DIR}/cpu_level_table.cpp)
  if(cpu_level_count EQUAL 1)
    target_sources(${library} PRIVATE ${sources})
    target_link_libraries(${library} PRIVATE $<BUILD_INTERFACE:${flags}>)
    target_compile_definitions(${library} PRIVATE CPU_LEVEL_FACTORY=nabla_cpu_kernels_${cpu_levels})
    return()
  endif()
  if(NOT CMAKE_OBJCOPY)
    message(FATAL_ERROR "No objcopy (binutils), which keeps the kernels of different processors apart: install it, or "
                        "compile for this machine's processor alone with -DDINOMALY_NATIVE=ON")
  endif()
  foreach(level ${cpu_levels})
    set(kernels ${library}_${level})
    add_library(${kernels} OBJECT ${sources})
    set_target_properties(${kernels} PROPERTIES UNITY_BUILD OFF)
    target_link_libraries(${kernels} PRIVATE ${flags})
    # Unique symbols are one for the program even where they are local: the level has none.
    target_compile_options(${kernels} PRIVATE ${cpu_flags_${level}} $<$<CXX_COMPILER_ID:GNU>:-fno-gnu-unique>)
    target_compile_definitions(${kernels} PRIVATE CPU_LEVEL_FACTORY=nabla_cpu_kernels_${level})
    set(object ${PROJECT_BINARY_DIR}/cpu_${level}${CMAKE_CXX_OUTPUT_EXTENSION})
    add_custom_command(OUTPUT ${object}
      COMMAND ${CMAKE_LINKER} -r --force-group-allocation -o ${object} $<TARGET_OBJECTS:${kernels}>
      COMMAND ${CMAKE_OBJCOPY} --keep-global-symbol=nabla_cpu_kernels_${level} ${object}
      DEPENDS ${kernels} $<TARGET_OBJECTS:${kernels}>
      COMMENT "Linking the kernels of level ${level}" COMMAND_EXPAND_LISTS VERBATIM)
    set_source_files_properties(${object} PROPERTIES EXTERNAL_OBJECT TRUE GENERATED TRUE)
    target_sources(${library} PRIVATE ${object})
  endforeach()
endfunction()
