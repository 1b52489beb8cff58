// How many cores this process may use: affinity, physical cores, cgroup quota.
#include <sched.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/thread_pool.h"

namespace kette {
namespace {

// The first line of a small system file; empty if it cannot be read.
std::string first_line(const std::string& path) {
  std::string line;
  if (std::FILE* f = std::fopen(path.c_str(), "re")) {
    char text[256];
    if (std::fgets(text, sizeof text, f) != nullptr) line = text;
    std::fclose(f);
  }
  return line;
}

// The number that `text` begins with, in microseconds; "max" and "-1" are none. Takes it and a space after it off.
std::optional<uint64_t> take_number(std::string_view& text) {
  uint64_t number = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (problem != std::errc()) return std::nullopt;
  text.remove_prefix(std::min(text.size(), static_cast<size_t>(end - text.data()) + 1));
  return number;
}

// CPU time per wall time that the control group allows, rounded up; 0 without a limit.
uint32_t cgroup_quota() {
  const std::string v2 = first_line("/sys/fs/cgroup/cpu.max");  // "200000 100000"
  const std::string quota_v1 = first_line("/sys/fs/cgroup/cpu/cpu.cfs_quota_us");
  const std::string period_v1 = first_line("/sys/fs/cgroup/cpu/cpu.cfs_period_us");
  std::string_view first = v2.empty() ? quota_v1 : v2;
  const auto quota = take_number(first);
  std::string_view second = v2.empty() ? std::string_view(period_v1) : first;
  const auto period = take_number(second);
  if (!quota || !period || *period == 0) return 0;
  return static_cast<uint32_t>(std::min<uint64_t>(4096, *quota / *period + (*quota % *period != 0)));
}

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
  if (const uint32_t quota = cgroup_quota(); quota > 0) n = std::min(n, quota);
  return n;
}

}  // namespace kette
