# How Kette's own code is compiled: interface targets for our targets only, so that a host's flags stay its own.

add_library(kette_warnings INTERFACE)
target_compile_options(kette_warnings INTERFACE -Wall -Wextra -Wpedantic -Wconversion $<$<BOOL:${KETTE_WERROR}>:-Werror>)

add_library(kette_sanitize INTERFACE)
if(KETTE_SANITIZE)
  target_compile_options(kette_sanitize INTERFACE
    -fsanitize=${KETTE_SANITIZE} -fno-sanitize-recover=all -fno-omit-frame-pointer)
  target_link_options(kette_sanitize INTERFACE -fsanitize=${KETTE_SANITIZE})
endif()
if(KETTE_FUZZ)
  if(NOT CMAKE_CXX_COMPILER_ID MATCHES "Clang")
    message(FATAL_ERROR "KETTE_FUZZ needs Clang (libFuzzer); the compiler is ${CMAKE_CXX_COMPILER}.")
  endif()
  target_compile_options(kette_sanitize INTERFACE -fsanitize=fuzzer-no-link)
endif()

# The library's own sources: baseline CPU, position independent, nothing visible from outside.
add_library(kette_compile INTERFACE)
target_compile_features(kette_compile INTERFACE cxx_std_20)
target_compile_options(kette_compile INTERFACE
  -march=x86-64-v2 -fvisibility=hidden -ffunction-sections -fdata-sections
  $<$<COMPILE_LANGUAGE:CXX>:-fvisibility-inlines-hidden>
  $<$<COMPILE_LANG_AND_ID:CXX,GNU>:-fno-gnu-unique>)
target_include_directories(kette_compile INTERFACE "${PROJECT_SOURCE_DIR}/src")
target_link_libraries(kette_compile INTERFACE kette_warnings kette_sanitize)

# src/kernels/<isa>/*.cpp: the instruction sets of that folder on top of the baseline.
set(kette_isa_avx2 -mavx2 -mfma -mf16c -mbmi2)
set(kette_isa_avx512 ${kette_isa_avx2} -mavx512f -mavx512bw -mavx512dq -mavx512vl -mavx512vnni)
set(kette_isa_avx512_bf16 ${kette_isa_avx512} -mavx512bf16)
set(kette_isa_folders avx2 avx512 avx512_bf16)

function(kette_set_isa_flags)
  foreach(isa IN LISTS kette_isa_folders)
    set(sources ${ARGN})
    list(FILTER sources INCLUDE REGEX "/src/kernels/${isa}/")
    set_source_files_properties(${sources} PROPERTIES COMPILE_OPTIONS "${kette_isa_${isa}}")
  endforeach()
endfunction()
