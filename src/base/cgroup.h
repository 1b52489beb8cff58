// What this process's control group allows of the CPUs: the quota that containers and services set.
#pragma once

#include <cstdint>
#include <string>

namespace kette {

// CPU time per wall time, rounded up: the least of the group's and of all groups around it, in either version of control
// groups; 0 without a limit. `mount` is where the system shows them, `membership` the file that names this process's.
uint32_t cgroup_cpus(const std::string& mount = "/sys/fs/cgroup", const std::string& membership = "/proc/self/cgroup");

}  // namespace kette
