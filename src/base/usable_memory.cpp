#include "base/usable_memory.h"

#include <unistd.h>

#include <algorithm>
#include <cstdio>

namespace kette {
namespace {

// A number in a small system file; UINT64_MAX if there is none ("max").
uint64_t number_in(const char* path) {
  unsigned long long value = UINT64_MAX;
  if (std::FILE* f = std::fopen(path, "re")) {
    if (std::fscanf(f, "%llu", &value) != 1) value = UINT64_MAX;
    std::fclose(f);
  }
  return value;
}

}  // namespace

uint64_t usable_memory() {
  const long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
  const uint64_t machine =
      pages > 0 && page > 0 ? static_cast<uint64_t>(pages) * static_cast<uint64_t>(page) : UINT64_MAX;
  const uint64_t least = std::min(
      {machine, number_in("/sys/fs/cgroup/memory.max"), number_in("/sys/fs/cgroup/memory/memory.limit_in_bytes")});
  return least == UINT64_MAX ? 0 : least;
}

}  // namespace kette
