# Python for the build: the interpreter, and pip also where the distribution's python3 comes without it.
# Out: Python3_EXECUTABLE, kette_pip().
find_package(Python3 3.9 REQUIRED COMPONENTS Interpreter)

# kette_pip(<error variable> <pip argument>...)
function(kette_pip error)
  set(path "$ENV{PYTHONPATH}")
  execute_process(COMMAND "${Python3_EXECUTABLE}" -m pip --version RESULT_VARIABLE result OUTPUT_QUIET ERROR_QUIET)
  if(NOT result EQUAL 0)
    kette_distribution(distribution)
    kette_cached(package "packages/${distribution}/python3-pip-whl" kette_fetch_package python3-pip-whl)
    file(GLOB wheel "${package}/usr/share/python-wheels/pip-*.whl")
    if(NOT package OR NOT wheel)
      set(${error} "${Python3_EXECUTABLE} has no pip, and the distribution's package python3-pip-whl cannot be fetched: ${package_error}" PARENT_SCOPE)
      return()
    endif()
    set(path "${wheel}:${path}")
  endif()
  execute_process(
    COMMAND "${CMAKE_COMMAND}" -E env "PYTHONPATH=${path}" PIP_DISABLE_PIP_VERSION_CHECK=1
      "${Python3_EXECUTABLE}" -m pip ${ARGN}
    RESULT_VARIABLE result OUTPUT_QUIET ERROR_VARIABLE log)
  set(${error} "" PARENT_SCOPE)
  if(NOT result EQUAL 0)
    kette_last_lines("pip: ${log}" log)
    set(${error} "${log}" PARENT_SCOPE)
  endif()
endfunction()
