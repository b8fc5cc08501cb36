# What `cmake --install` puts where, and what `cpack` makes of it: the component `program` becomes the package dinomaly,
# `development` (libraries, headers, what find_package(dinomaly) reads) becomes libdinomaly-dev.
include(CMakePackageConfigHelpers)
set(libraries dinomaly_tensor dinomaly_autograd dinomaly_nn dinomaly_detector dinomaly_backends)
if(with_cuda)
  list(APPEND libraries dinomaly_cuda)
endif()
set(package_folder ${CMAKE_INSTALL_LIBDIR}/cmake/dinomaly)

install(TARGETS dinomaly RUNTIME DESTINATION ${CMAKE_INSTALL_BINDIR} COMPONENT program)
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/dinomaly RENAME copyright COMPONENT program)
install(TARGETS ${libraries} EXPORT dinomaly ARCHIVE DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT development)
install(TARGETS dinomaly_c EXPORT dinomaly LIBRARY DESTINATION ${CMAKE_INSTALL_LIBDIR} COMPONENT development)
install(FILES include/dinomaly.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR} COMPONENT development)
configure_file(bindings/c/dinomaly.pc.in dinomaly.pc @ONLY)
install(FILES ${PROJECT_BINARY_DIR}/dinomaly.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT development)
install(DIRECTORY tensor autograd nn dinomaly DESTINATION ${header_folder} COMPONENT development
  FILES_MATCHING PATTERN "*.h" PATTERN "alarm" EXCLUDE PATTERN "cli" EXCLUDE PATTERN "serve" EXCLUDE PATTERN "video" EXCLUDE)
install(FILES LICENSE DESTINATION ${CMAKE_INSTALL_DATADIR}/doc/libdinomaly-dev RENAME copyright COMPONENT development)
install(EXPORT dinomaly NAMESPACE dinomaly:: FILE dinomalyTargets.cmake DESTINATION ${package_folder}
  COMPONENT development)
configure_package_config_file(cmake/dinomalyConfig.cmake.in ${PROJECT_BINARY_DIR}/dinomalyConfig.cmake
  INSTALL_DESTINATION ${package_folder})
write_basic_package_version_file(${PROJECT_BINARY_DIR}/dinomalyConfigVersion.cmake COMPATIBILITY SameMinorVersion)
install(FILES ${PROJECT_BINARY_DIR}/dinomalyConfig.cmake ${PROJECT_BINARY_DIR}/dinomalyConfigVersion.cmake
  DESTINATION ${package_folder} COMPONENT development)

if(NOT PROJECT_IS_TOP_LEVEL)
  return()
endif()
set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_VENDOR "The dinomaly.cpp authors")
set(CPACK_PACKAGE_CONTACT "The dinomaly.cpp authors")
set(CPACK_RESOURCE_FILE_LICENSE ${PROJECT_SOURCE_DIR}/LICENSE)
set(CPACK_PACKAGING_INSTALL_PREFIX /usr)
set(CPACK_COMPONENTS_ALL program development)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_PROGRAM_PACKAGE_NAME dinomaly)
set(CPACK_DEBIAN_PROGRAM_PACKAGE_SECTION science)
set(CPACK_DEBIAN_PROGRAM_PACKAGE_SHLIBDEPS ON)
set(CPACK_COMPONENT_PROGRAM_DESCRIPTION "The program dinomaly: trains a detector on images of good parts, then finds the defective ones.")
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_NAME libdinomaly-dev)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SECTION libdevel)
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_SHLIBDEPS ON)  # of libdinomaly.so
set(CPACK_DEBIAN_DEVELOPMENT_PACKAGE_DEPENDS
  "libfmt-dev, nlohmann-json3-dev, libdnnl-dev, ocl-icd-opencl-dev, libtiff-dev, libjpeg-dev, libpng-dev, libwebp-dev, libssl-dev, libminizip-dev, zlib1g-dev, libcsv-dev, pkg-config")
set(CPACK_COMPONENT_DEVELOPMENT_DESCRIPTION "Libraries and headers of dinomaly and of nabla, its tensor framework.")
include(CPack)
