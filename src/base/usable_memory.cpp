#include "base/usable_memory.h"

#include <unistd.h>

#include <algorithm>

#include "base/cgroup.h"

namespace kette {

uint64_t usable_memory() {
  const long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
  const uint64_t machine = pages > 0 && page > 0 ? static_cast<uint64_t>(pages) * static_cast<uint64_t>(page) : 0;
  const uint64_t group = cgroup_memory();
  return machine == 0 || group == 0 ? std::max(machine, group) : std::min(machine, group);
}

}  // namespace kette
