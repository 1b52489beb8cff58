# IN/compile_commands.json -> OUT/compile_commands.json without the flags that Clang does not know.
file(READ "${IN}/compile_commands.json" commands)
string(REPLACE " -fno-gnu-unique" "" commands "${commands}")
file(WRITE "${OUT}/compile_commands.json" "${commands}")
