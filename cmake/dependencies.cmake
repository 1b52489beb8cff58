# Third-party libraries, all private to src/, tests/ and examples/. One rule for each: (1) an installed one that passes
# a compile check, (2) the upstream repository at a pinned tag, (3) the distribution's package unpacked into the cache.
# Out: an interface target kette_dep_<name>.

# kette_dependency(<name> HEADER <include> TEST <preprocessor condition> GIT <url> TAG <tag> PACKAGE <Debian package>
#                  [SUBDIR <folder>]... [ARCHIVE <file> SOURCE <file> DEFINE <macro>])
# SUBDIR: where below an include folder or a repository the headers may lie. ARCHIVE: the library that goes with them,
# which in the repository is built from SOURCE.
function(kette_dependency name)
  if(TARGET kette_dep_${name})
    return()
  endif()
  cmake_parse_arguments(PARSE_ARGV 1 arg "" "HEADER;TEST;GIT;TAG;PACKAGE;ARCHIVE;SOURCE;DEFINE" "SUBDIR")
  set(tried "")
  foreach(way IN ITEMS installed git package)
    set(root "")
    if(way STREQUAL "git")
      kette_cached(root "git/${name}-${arg_TAG}" kette_fetch_git "${arg_GIT}" "${arg_TAG}")
    elseif(way STREQUAL "package")
      kette_distribution(distribution)
      kette_cached(root "packages/${distribution}/${arg_PACKAGE}" kette_fetch_package "${arg_PACKAGE}")
    endif()
    if(way STREQUAL "installed")
      set(problem "")
      find_path(include "${arg_HEADER}" PATH_SUFFIXES ${arg_SUBDIR} NO_CACHE)
    elseif(root)
      set(problem "")
      find_path(include "${arg_HEADER}" PATHS "${root}" "${root}/usr/include" PATH_SUFFIXES ${arg_SUBDIR} NO_DEFAULT_PATH NO_CACHE)
    else()
      string(APPEND tried "\n    ${way}: ${root_error}")
      continue()
    endif()

    set(library "")
    if(include AND arg_ARCHIVE)
      if(way STREQUAL "git")
        set(library "${root}/${arg_SOURCE}")
      else()
        file(GLOB_RECURSE found "${root}/usr/lib/${arg_ARCHIVE}")
        if(way STREQUAL "installed")
          find_library(found "${arg_ARCHIVE}" NO_CACHE)
        endif()
        set(library "${found}")
        if(NOT library)
          set(problem "no static library ${arg_ARCHIVE}")
        endif()
        unset(found)
      endif()
    endif()
    if(NOT include)
      set(problem "no header ${arg_HEADER}")
    endif()
    if(problem STREQUAL "")
      kette_dependency_works(works "${include}" "${library}")
      if(works)
        break()
      endif()
      set(problem "the one in ${include} is too old (needs ${arg_TEST}) or does not link into a shared library")
    endif()
    string(APPEND tried "\n    ${way}: ${problem}")
    unset(include)
  endforeach()
  if(NOT include)
    message(FATAL_ERROR "Kette needs ${name} and found none. Tried:${tried}\n"
      "  What to do: install the package ${arg_PACKAGE} (or ${name} ${arg_TAG} from ${arg_GIT}) or let this machine "
      "reach ${arg_GIT} or its distribution's mirror; a copy elsewhere is found through CMAKE_PREFIX_PATH.")
  endif()

  message(STATUS "Kette: ${name} in ${include}")
  add_library(kette_dep_${name} INTERFACE)
  target_include_directories(kette_dep_${name} SYSTEM INTERFACE "${include}")
  target_compile_definitions(kette_dep_${name} INTERFACE ${arg_DEFINE})
  if(library MATCHES "\\.c$")
    add_library(kette_dep_${name}_build STATIC "${library}")
    set_target_properties(kette_dep_${name}_build PROPERTIES C_VISIBILITY_PRESET hidden POSITION_INDEPENDENT_CODE ON)
    target_compile_definitions(kette_dep_${name}_build PRIVATE ${arg_DEFINE})
    target_compile_options(kette_dep_${name}_build PRIVATE -ffunction-sections -fdata-sections -w)
    target_link_libraries(kette_dep_${name} INTERFACE kette_dep_${name}_build)
  elseif(library)
    target_link_libraries(kette_dep_${name} INTERFACE "${library}")
  endif()
endfunction()

# Compiles a use of the header, and links the archive where there is one into a shared library. Reads arg_*.
function(kette_dependency_works variable include library)
  set(code "#include <${arg_HEADER}>\n#if !(${arg_TEST})\n#error too old\n#endif\nint kette_check() { return 0; }\n")
  string(MD5 key "${include}|${library}|${code}")
  if(NOT DEFINED KETTE_CHECK_${key})
    set(folder "${PROJECT_BINARY_DIR}/check/${name}")
    file(WRITE "${folder}/check.cpp" "${code}")
    set(link "")
    if(library MATCHES "\\.a$")
      set(link "-Wl,--whole-archive" "${library}" "-Wl,--no-whole-archive")
    endif()
    separate_arguments(flags UNIX_COMMAND "${CMAKE_CXX_FLAGS}")
    execute_process(
      COMMAND "${CMAKE_CXX_COMPILER}" ${flags} -std=c++17 -fPIC -shared -Wl,-z,text -isystem "${include}"
        "${folder}/check.cpp" ${link} -o "${folder}/check.so"
      RESULT_VARIABLE result OUTPUT_QUIET ERROR_QUIET)
    set(KETTE_CHECK_${key} "${result}" CACHE INTERNAL "")
  endif()
  set(${variable} FALSE PARENT_SCOPE)
  if("${KETTE_CHECK_${key}}" STREQUAL "0")
    set(${variable} TRUE PARENT_SCOPE)
  endif()
endfunction()

# Packages of one distribution's release are kept apart from another's.
function(kette_distribution variable)
  cmake_host_system_information(RESULT id QUERY DISTRIB_ID)
  cmake_host_system_information(RESULT version QUERY DISTRIB_VERSION_ID)
  set(${variable} "${id}-${version}" PARENT_SCOPE)
endfunction()

kette_dependency(fmt HEADER fmt/format.h TEST "FMT_VERSION >= 80100" SUBDIR include DEFINE FMT_HEADER_ONLY=1
  GIT https://github.com/fmtlib/fmt TAG 9.1.0 PACKAGE libfmt-dev)
kette_dependency(json HEADER nlohmann/json.hpp TEST "NLOHMANN_JSON_VERSION_MAJOR == 3 && NLOHMANN_JSON_VERSION_MINOR >= 10"
  SUBDIR include GIT https://github.com/nlohmann/json TAG v3.11.3 PACKAGE nlohmann-json3-dev)
kette_dependency(utf8proc HEADER utf8proc.h TEST "UTF8PROC_VERSION_MAJOR == 2 && UTF8PROC_VERSION_MINOR >= 7"
  ARCHIVE libutf8proc.a SOURCE utf8proc.c DEFINE UTF8PROC_STATIC=1
  GIT https://github.com/JuliaStrings/utf8proc TAG v2.8.0 PACKAGE libutf8proc-dev)
if(KETTE_BUILD_EXAMPLES OR KETTE_DEMO)
  kette_dependency(cli11 HEADER CLI/CLI.hpp TEST "CLI11_VERSION_MAJOR >= 2" SUBDIR include
    GIT https://github.com/CLIUtils/CLI11 TAG v2.3.2 PACKAGE libcli11-dev)
endif()
if(KETTE_BUILD_TESTS)
  kette_dependency(doctest HEADER doctest/doctest.h TEST "DOCTEST_VERSION >= 20405" SUBDIR . doctest
    GIT https://github.com/doctest/doctest TAG v2.4.11 PACKAGE doctest-dev)
  kette_dependency(eigen HEADER Eigen/Core TEST "EIGEN_VERSION_AT_LEAST(3,3,9)" SUBDIR eigen3
    GIT https://gitlab.com/libeigen/eigen TAG 3.4.0 PACKAGE libeigen3-dev)
endif()
