# Installs headers, libraries, the CMake package and the pkg-config file; the result may be moved.
include(CMakePackageConfigHelpers)

set(targets kette_headers)
foreach(target IN ITEMS kette kette_static)
  if(TARGET ${target})
    list(APPEND targets ${target})
  endif()
endforeach()
set(package "${CMAKE_INSTALL_LIBDIR}/cmake/kette")
install(TARGETS ${targets} EXPORT kette-targets
  LIBRARY DESTINATION "${CMAKE_INSTALL_LIBDIR}"
  ARCHIVE DESTINATION "${CMAKE_INSTALL_LIBDIR}"
  RUNTIME DESTINATION "${CMAKE_INSTALL_BINDIR}")
install(DIRECTORY include/kette capi/include/kette DESTINATION "${CMAKE_INSTALL_INCLUDEDIR}"
  FILES_MATCHING PATTERN "*.h" PATTERN "*.hpp")
install(EXPORT kette-targets NAMESPACE kette:: DESTINATION "${package}")

configure_package_config_file(cmake/kette-config.cmake.in "${PROJECT_BINARY_DIR}/kette-config.cmake"
  INSTALL_DESTINATION "${package}" NO_SET_AND_CHECK_MACRO)
write_basic_package_version_file("${PROJECT_BINARY_DIR}/kette-config-version.cmake" COMPATIBILITY SameMinorVersion)
install(FILES "${PROJECT_BINARY_DIR}/kette-config.cmake" "${PROJECT_BINARY_DIR}/kette-config-version.cmake"
  DESTINATION "${package}")

# From the folder of kette.pc back to the prefix, so that the file holds no absolute path.
cmake_path(RELATIVE_PATH CMAKE_INSTALL_PREFIX BASE_DIRECTORY "${CMAKE_INSTALL_FULL_LIBDIR}/pkgconfig" OUTPUT_VARIABLE kette_up)
configure_file(cmake/kette.pc.in "${PROJECT_BINARY_DIR}/kette.pc" @ONLY)
install(FILES "${PROJECT_BINARY_DIR}/kette.pc" DESTINATION "${CMAKE_INSTALL_LIBDIR}/pkgconfig")
install(FILES LICENSE DESTINATION "${CMAKE_INSTALL_DOCDIR}")
