// How many cores this process may use: affinity, physical cores, cgroup quota.
#include <sched.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "base/cgroup.h"
#include "base/system_file.h"
#include "base/thread_pool.h"

namespace kette {
namespace {

// The CPUs of `cpus` that this process may use, by number.
std::vector<int> usable(const CpuMask& cpus) {
  std::vector<int> found;
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) != 0) return found;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu)
    if (CPU_ISSET(cpu, &set) && (cpus.empty() || (cpu < 128 && cpus.has(cpu)))) found.push_back(cpu);
  return found;
}

}  // namespace

bool may_use(const CpuMask& cpus) { return !usable(cpus).empty(); }

uint32_t usable_cores(const CpuMask& cpus) {
  // Hyper-threads of one core list the same siblings: count each list once.
  std::set<std::string> cores;
  for (const int cpu : usable(cpus)) {
    const std::string base = "/sys/devices/system/cpu/cpu" + std::to_string(cpu);
    std::string siblings = first_line(base + "/topology/thread_siblings_list");
    cores.insert(siblings.empty() ? std::to_string(cpu) : std::move(siblings));
  }
  uint32_t n = std::max<uint32_t>(1, static_cast<uint32_t>(cores.size()));
  if (const uint32_t quota = cgroup_cpus(); quota > 0) n = std::min(n, quota);
  return n;
}

}  // namespace kette
