// What this process's control group allows of CPUs and memory: the limits that containers and services set.
#pragma once

#include <cstdint>
#include <string>

namespace kette {

struct ControlGroups {
  std::string mount = "/sys/fs/cgroup";          // where the system shows them
  std::string membership = "/proc/self/cgroup";  // the file that names this process's
};

// Of both: the least of the group's limit and of all groups around it, in either version of control groups; 0 without one.
uint32_t cgroup_cpus(const ControlGroups& groups = {});    // CPU time per wall time, rounded up
uint64_t cgroup_memory(const ControlGroups& groups = {});  // bytes

}  // namespace kette
