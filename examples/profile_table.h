// A session's profile (kette::session::profile) as a table: one line for each phase, times for one pass.
#pragma once

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

// Profiles are JSON of one known form, with names that need no escapes: a member is looked for by its key.
class ProfileTable {
 public:
  explicit ProfileTable(const std::string& json) : passes_(std::max(number(json, "passes"), 1.0)) {
    head_ = json.substr(0, json.find("\"total\""));
    const std::size_t phases = json.find("\"phases\"");
    total_ = json.substr(head_.size(), phases - head_.size());
    for (std::size_t begin = json.find('{', phases); begin != std::string::npos; begin = json.find('{', begin + 1))
      phases_.push_back(json.substr(begin, json.find('}', begin) - begin));
    const auto wall = [](const std::string& row) { return number(row, "wall_us"); };
    std::stable_sort(phases_.begin(), phases_.end(),
                     [&](const std::string& a, const std::string& b) { return wall(a) > wall(b); });
  }

  void print(const char* title) const {
    std::printf("%s: %.0f passes of %.1f tokens, %.0f threads, %.2f stretches a layer\n", title, passes_,
                number(head_, "rows") / passes_, number(head_, "threads"), number(head_, "stretches_per_layer"));
    std::printf("  %-22s %10s %7s %10s %10s %8s %6s %9s %8s %8s %8s\n", "phase", "us", "share", "serial us",
                "waiting us", "late us", "lost", "stretches", "tasks", "GB/s", "Gop/s");
    for (const std::string& phase : phases_) print_row(phase, text(phase, "name"));
    print_row(total_, "total");
  }

 private:
  static std::string text(const std::string& object, const char* key) {
    const std::size_t begin = object.find(':', object.find("\"" + std::string(key) + "\"")) + 2;
    return object.substr(begin, object.find('"', begin) - begin);
  }
  // 0 where there is none.
  static double number(const std::string& object, const char* key) {
    const std::size_t at = object.find("\"" + std::string(key) + "\":");
    return at == std::string::npos ? 0 : std::strtod(object.c_str() + object.find(':', at) + 1, nullptr);
  }
  void print_row(const std::string& row, const std::string& name) const {
    const auto of = [&](const char* key) { return number(row, key); };
    std::printf("  %-22s %10.1f %6.1f%% %10.1f %10.1f %8.1f %5.1f%% %9.1f %8.1f %8.2f %8.1f\n", name.c_str(),
                of("wall_us") / passes_, of("share") * 100, of("serial_us") / passes_, of("waiting_us") / passes_,
                of("late_us") / passes_, of("lost") * 100, of("stretches") / passes_, of("tasks") / passes_, of("gb_s"),
                of("gop_s"));
  }

  double passes_;
  std::string head_, total_;
  std::vector<std::string> phases_;
};
