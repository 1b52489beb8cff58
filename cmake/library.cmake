# The library's targets: kette_core (all of src/, internal), kette (shared), kette_static, kette_headers.

file(GLOB_RECURSE kette_core_sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/src/*.cpp")
file(GLOB kette_capi_sources CONFIGURE_DEPENDS "${PROJECT_SOURCE_DIR}/capi/*.cpp")
kette_set_isa_flags(${kette_core_sources})

add_library(kette_headers INTERFACE)
add_library(kette::headers ALIAS kette_headers)
set_target_properties(kette_headers PROPERTIES EXPORT_NAME headers)
target_compile_features(kette_headers INTERFACE cxx_std_17)
target_include_directories(kette_headers INTERFACE
  "$<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/include>"
  "$<BUILD_INTERFACE:${PROJECT_SOURCE_DIR}/capi/include>"
  "$<INSTALL_INTERFACE:${CMAKE_INSTALL_INCLUDEDIR}>")

add_library(kette_core STATIC ${kette_core_sources})
set_target_properties(kette_core PROPERTIES POSITION_INDEPENDENT_CODE ON CXX_EXTENSIONS OFF)
target_link_libraries(kette_core
  PUBLIC kette_compile kette_dep_fmt
  PRIVATE kette_dep_json kette_dep_utf8proc kette_onednn)

add_library(kette_capi OBJECT ${kette_capi_sources})
set_target_properties(kette_capi PROPERTIES POSITION_INDEPENDENT_CODE ON CXX_EXTENSIONS OFF)
target_link_libraries(kette_capi PRIVATE kette_headers kette_core kette_onednn)

# capi/functions.def names what the library exports, one function a line: KETTE_FUNCTION(version) is kette_version.
set(kette_functions "${PROJECT_SOURCE_DIR}/capi/functions.def")
set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${kette_functions}")
file(STRINGS "${kette_functions}" kette_exports REGEX "^KETTE_FUNCTION")
list(TRANSFORM kette_exports REPLACE "KETTE_FUNCTION\\((.*)\\)" "kette_\\1")

# The git revision, where this is a checkout of Kette and not part of another. It follows the branch by the reflog.
set(kette_revision unknown)
find_package(Git QUIET)
if(GIT_FOUND)
  execute_process(COMMAND "${GIT_EXECUTABLE}" rev-parse --show-prefix HEAD --git-path logs/HEAD
    WORKING_DIRECTORY "${PROJECT_SOURCE_DIR}" OUTPUT_VARIABLE answer RESULT_VARIABLE failed ERROR_QUIET)
  if(NOT failed AND answer MATCHES "^\n([0-9a-f]+)\n([^\n]+)")
    set(reflog "${CMAKE_MATCH_2}")
    string(SUBSTRING "${CMAKE_MATCH_1}" 0 12 kette_revision)
    cmake_path(ABSOLUTE_PATH reflog BASE_DIRECTORY "${PROJECT_SOURCE_DIR}")
    if(EXISTS "${reflog}")
      set_property(DIRECTORY APPEND PROPERTY CMAKE_CONFIGURE_DEPENDS "${reflog}")
    endif()
  endif()
endif()
set_source_files_properties(capi/version.cpp PROPERTIES COMPILE_DEFINITIONS "KETTE_GIT_REVISION=\"${kette_revision}\"")

if(KETTE_BUILD_SHARED)
  list(JOIN kette_exports ";\n    " exports)
  set(kette_version_script "${PROJECT_BINARY_DIR}/kette.map")
  file(CONFIGURE OUTPUT "${kette_version_script}" @ONLY CONTENT "KETTE_@PROJECT_VERSION_MAJOR@.@PROJECT_VERSION_MINOR@ {
  global:
    @exports@;
  local:
    *;
};
")
  add_library(kette SHARED $<TARGET_OBJECTS:kette_capi>)
  add_library(kette::kette ALIAS kette)
  set_target_properties(kette PROPERTIES
    LINKER_LANGUAGE CXX
    VERSION ${PROJECT_VERSION}
    SOVERSION ${PROJECT_VERSION_MAJOR}.${PROJECT_VERSION_MINOR}
    LINK_DEPENDS "${kette_version_script}")
  target_link_libraries(kette PUBLIC kette_headers PRIVATE kette_core)
  target_link_options(kette PRIVATE
    "LINKER:--version-script=${kette_version_script}"
    LINKER:--exclude-libs,ALL LINKER:-Bsymbolic LINKER:--gc-sections
    LINKER:-z,relro LINKER:-z,now
    $<$<BOOL:${KETTE_STATIC_RUNTIME}>:-static-libstdc++> $<$<BOOL:${KETTE_STATIC_RUNTIME}>:-static-libgcc>)
  if(NOT KETTE_SANITIZE)  # sanitizers' runtimes are in the program
    target_link_options(kette PRIVATE LINKER:-z,defs)
  endif()
endif()

# libkette.a is one object: Kette and its private libraries linked together, with every symbol but kette_* made local.
# A program therefore needs no archive but this one and may contain its own oneDNN, fmt or utf8proc.
if(KETTE_BUILD_STATIC)
  add_executable(kette_merged EXCLUDE_FROM_ALL $<TARGET_OBJECTS:kette_capi>)
  set_target_properties(kette_merged PROPERTIES LINKER_LANGUAGE CXX OUTPUT_NAME kette_merged SUFFIX .o POSITION_INDEPENDENT_CODE OFF)
  target_link_libraries(kette_merged PRIVATE kette_core)
  target_link_options(kette_merged PRIVATE -r -nostdlib -no-pie LINKER:--force-group-allocation)
  set(object "${PROJECT_BINARY_DIR}/kette.o")
  add_custom_command(OUTPUT "${object}" VERBATIM DEPENDS kette_merged
    COMMAND "${CMAKE_OBJCOPY}" --localize-hidden --wildcard "--localize-symbol=utf8proc_*" "$<TARGET_FILE:kette_merged>" "${object}"
    COMMENT "Making all symbols but kette_* local")
  add_library(kette_static STATIC "${object}")
  add_library(kette::static ALIAS kette_static)
  set_source_files_properties("${object}" PROPERTIES EXTERNAL_OBJECT TRUE GENERATED TRUE)
  set_target_properties(kette_static PROPERTIES LINKER_LANGUAGE CXX OUTPUT_NAME kette EXPORT_NAME static)
  target_link_libraries(kette_static PUBLIC kette_headers INTERFACE Threads::Threads ${CMAKE_DL_LIBS} m)
endif()
