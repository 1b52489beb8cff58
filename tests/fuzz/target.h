// What a fuzz target defines: one function over any bytes, which returns. libFuzzer calls it, and so does replay.cpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace kette::test {

inline std::string_view as_text(const uint8_t* data, size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

// A property that must hold for any input: the fuzzer reports a trap as a crash.
inline void must(bool holds) {
  if (!holds) __builtin_trap();
}

}  // namespace kette::test
