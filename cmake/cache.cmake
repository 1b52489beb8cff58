# The build cache: downloads, unpacked packages, the built oneDNN, the demo model. It lies outside the tree, is shared by
# all build folders of a user and may be deleted at any time. Out: kette_cache, kette_cached().

if(NOT "$ENV{XDG_CACHE_HOME}" STREQUAL "")
  set(kette_cache "$ENV{XDG_CACHE_HOME}/kette")
elseif(NOT "$ENV{HOME}" STREQUAL "")
  set(kette_cache "$ENV{HOME}/.cache/kette")
else()
  set(kette_cache "${PROJECT_BINARY_DIR}/cache")
endif()
set(KETTE_CACHE_DIR "${kette_cache}" CACHE PATH "Folder for what Kette's build downloads and builds once")
set(kette_cache "${KETTE_CACHE_DIR}")

execute_process(
  COMMAND "${CMAKE_COMMAND}" -E make_directory "${kette_cache}"
  RESULT_VARIABLE result OUTPUT_QUIET ERROR_QUIET)
if(result EQUAL 0)
  string(RANDOM LENGTH 12 probe)
  execute_process(COMMAND "${CMAKE_COMMAND}" -E touch "${kette_cache}/${probe}" RESULT_VARIABLE result OUTPUT_QUIET ERROR_QUIET)
  file(REMOVE "${kette_cache}/${probe}")
endif()
if(NOT result EQUAL 0)
  message(STATUS "Kette: cannot write to the cache ${kette_cache}; using one inside the build folder")
  set(kette_cache "${PROJECT_BINARY_DIR}/cache")
  file(MAKE_DIRECTORY "${kette_cache}")
endif()

# kette_cached(<variable> <key> <maker> [argument]...)
# Sets <variable> to the cache's folder <key>. If there is none, calls <maker>(<empty folder> <error variable>
# [argument]...) and keeps the folder if the maker left the error empty; else <variable> is empty and
# <variable>_error says why. A folder appears whole or not at all, also with several configure runs at once.
function(kette_cached variable key maker)
  set(final "${kette_cache}/${key}")
  set(error "")
  if(NOT EXISTS "${final}")
    cmake_path(GET final PARENT_PATH parent)
    file(MAKE_DIRECTORY "${parent}")
    file(LOCK "${final}.lock" GUARD FUNCTION TIMEOUT 3600 RESULT_VARIABLE locked)
    if(NOT EXISTS "${final}")
      set(work "${final}.part")
      if(NOT locked EQUAL 0)  # a file system without locks
        string(RANDOM LENGTH 12 unique)
        string(APPEND work "-${unique}")
      endif()
      file(REMOVE_RECURSE "${work}")
      file(MAKE_DIRECTORY "${work}")
      cmake_language(CALL ${maker} "${work}" error ${ARGN})
      if("${error}" STREQUAL "")
        file(RENAME "${work}" "${final}")
      else()
        file(REMOVE_RECURSE "${work}")
        set(final "")
      endif()
    endif()
  endif()
  set(${variable} "${final}" PARENT_SCOPE)
  set(${variable}_error "${error}" PARENT_SCOPE)
endfunction()
