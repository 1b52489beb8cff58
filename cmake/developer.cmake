# Targets for work on Kette itself, where the tools are installed: format, format_check, tidy, and asm_<folder>_<file>
# for kernels. The formatting is that of clang-format 14; other versions differ in details.
find_program(KETTE_CLANG_FORMAT NAMES clang-format-14 clang-format)
find_program(KETTE_CLANG_TIDY NAMES clang-tidy-14 clang-tidy)
find_program(KETTE_RUN_CLANG_TIDY NAMES run-clang-tidy-14 run-clang-tidy)
mark_as_advanced(KETTE_CLANG_FORMAT KETTE_CLANG_TIDY KETTE_RUN_CLANG_TIDY)

if(KETTE_CLANG_FORMAT)
  file(GLOB_RECURSE files CONFIGURE_DEPENDS
    src/*.cpp src/*.h capi/*.cpp capi/*.h include/*.hpp tests/*.cpp tests/*.h tests/*.c examples/*.cpp examples/*.c)
  add_custom_target(format COMMAND "${KETTE_CLANG_FORMAT}" -i ${files} VERBATIM COMMENT "Formatting Kette's sources")
  add_custom_target(format_check COMMAND "${KETTE_CLANG_FORMAT}" --dry-run -Werror ${files} VERBATIM
    COMMENT "Looking for sources that are not formatted")
endif()
# The checks are in .clang-tidy. GCC's own flags are taken out of the compile commands.
if(KETTE_CLANG_TIDY AND KETTE_RUN_CLANG_TIDY AND CMAKE_EXPORT_COMPILE_COMMANDS)
  add_custom_target(tidy VERBATIM USES_TERMINAL
    COMMAND "${CMAKE_COMMAND}" "-DIN=${PROJECT_BINARY_DIR}" "-DOUT=${PROJECT_BINARY_DIR}/tidy"
      -P "${PROJECT_SOURCE_DIR}/cmake/clang_commands.cmake"
    COMMAND "${KETTE_RUN_CLANG_TIDY}" -quiet -clang-tidy-binary "${KETTE_CLANG_TIDY}" -p "${PROJECT_BINARY_DIR}/tidy"
      "${PROJECT_SOURCE_DIR}/(src|capi)/")
endif()

# asm_avx512_dot_q4_0 writes the assembly of src/kernels/avx512/dot_q4_0.cpp to dot_q4_0.s in the build folder.
foreach(isa IN LISTS kette_isa_folders)
  file(GLOB kernels CONFIGURE_DEPENDS "src/kernels/${isa}/*.cpp")
  foreach(kernel IN LISTS kernels)
    cmake_path(GET kernel STEM name)
    set(assembly "${PROJECT_BINARY_DIR}/asm/${isa}/${name}.s")
    add_custom_target(asm_${isa}_${name} VERBATIM
      COMMAND "${CMAKE_COMMAND}" -E make_directory "${PROJECT_BINARY_DIR}/asm/${isa}"
      COMMAND "${CMAKE_CXX_COMPILER}" -std=c++20 -O2 -DNDEBUG -march=x86-64-v2 ${kette_isa_${isa}}
        -I "${PROJECT_SOURCE_DIR}/src" -S -fverbose-asm "${kernel}" -o "${assembly}"
      COMMAND "${CMAKE_COMMAND}" -E echo "${assembly}")
  endforeach()
endforeach()
