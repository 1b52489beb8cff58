#include "base/cgroup.h"

#include <algorithm>
#include <charconv>
#include <optional>
#include <string_view>
#include <vector>

#include "base/system_file.h"

namespace kette {
namespace {

constexpr size_t kMostDepth = 64;  // groups within groups
constexpr uint64_t kMostCpus = 4096;

// The number that `text` begins with; "max" and "-1" are none. Takes it and a space after it off.
std::optional<uint64_t> take_number(std::string_view& text) {
  uint64_t number = 0;
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (problem != std::errc()) return std::nullopt;
  text.remove_prefix(std::min(text.size(), static_cast<size_t>(end - text.data()) + 1));
  return number;
}

// "200000 100000": microseconds of CPU time in so many of wall time. 0: no limit.
uint64_t cpus_of(std::string_view quota_and_period) {
  const auto quota = take_number(quota_and_period), period = take_number(quota_and_period);
  if (!quota || !period || *period == 0) return 0;
  return std::clamp<uint64_t>(*quota / *period + (*quota % *period != 0 ? 1 : 0), 1, kMostCpus);
}

// The least of limit(folder) for the group at `path` below `root` and for those around it. In a container the path may be
// one that is not shown there: then the container's own, at the root, is what is found.
template <class F>
uint64_t least_limit(const std::string& root, std::string path, const F& limit) {
  uint64_t least = 0;
  for (size_t depth = 0; depth < kMostDepth; ++depth) {
    if (const uint64_t n = limit(root + path); n > 0) least = least == 0 ? n : std::min(least, n);
    const size_t cut = path.find_last_of('/');
    if (path.empty() || cut == std::string::npos) break;
    path.resize(cut);
  }
  return least;
}

// The least of the limits that version 2 and version 1 of a controller set this process: of the groups' folders, 0 where
// there is none.
template <class V2, class V1>
uint64_t least_of(const ControlGroups& groups, const std::string& controller, const V2& limit_v2, const V1& limit_v1) {
  uint64_t least = 0;
  const auto take = [&](uint64_t n) {
    if (n > 0) least = least == 0 ? n : std::min(least, n);
  };
  // "0::/user.slice" names the group of version 2, "4:cpu,cpuacct:/docker/ab12" one of version 1.
  std::vector<std::string> lines = lines_of(groups.membership);
  if (lines.empty()) lines = {"0::/", "1:" + controller + ":/"};
  for (const std::string& line : lines) {
    const size_t first = line.find(':'), second = line.find(':', first == std::string::npos ? first : first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = "," + line.substr(first + 1, second - first - 1) + ",";
    std::string path = line.substr(second + 1);
    if (path.ends_with('/')) path.pop_back();
    if (path.find("/..") != std::string::npos) path.clear();  // outside of what this process is shown
    if (controllers == ",,") take(least_limit(groups.mount, path, limit_v2));
    if (controllers.find("," + controller + ",") != std::string::npos)
      take(least_limit(groups.mount + "/" + controller, path, limit_v1));
  }
  return least;
}

}  // namespace

uint32_t cgroup_cpus(const ControlGroups& groups) {
  const auto v2 = [](const std::string& folder) { return cpus_of(first_line(folder + "/cpu.max")); };
  const auto v1 = [](const std::string& folder) {
    return cpus_of(first_line(folder + "/cpu.cfs_quota_us") + " " + first_line(folder + "/cpu.cfs_period_us"));
  };
  return static_cast<uint32_t>(least_of(groups, "cpu", v2, v1));
}

uint64_t cgroup_memory(const ControlGroups& groups) {
  const auto bytes_in = [](const std::string& path) {
    const std::string line = first_line(path);
    std::string_view text = line;
    return take_number(text).value_or(0);
  };
  return least_of(
      groups, "memory", [&](const std::string& folder) { return bytes_in(folder + "/memory.max"); },
      [&](const std::string& folder) { return bytes_in(folder + "/memory.limit_in_bytes"); });
}

}  // namespace kette
