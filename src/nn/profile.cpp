#include "nn/profile.h"

#include <algorithm>

namespace kette::nn {

Profile::Row Profile::total() const {
  Row sum{.name = "total"};
  for (const Row& row : rows_) {
    sum.wall += row.wall;
    sum.parallel += row.parallel;
    sum.work += row.work;
    sum.late += row.late;
    sum.stretches += row.stretches;
    sum.tasks += row.tasks;
    sum.bytes += row.bytes;
    sum.ops += row.ops;
  }
  return sum;
}

size_t Profile::enter(std::string_view name) {
  const size_t before = row_;
  const auto at = std::ranges::find(rows_, name, &Row::name);
  const auto row = static_cast<size_t>(at - rows_.begin());
  if (at == rows_.end()) rows_.push_back({.name = name});
  ++rows_[row].times;
  go_on_in(row);
  return before;
}

void Profile::go_on_in(size_t row) {
  const Clock::time_point now = Clock::now();
  if (row_ != kOutside) rows_[row_].wall += now - since_;
  row_ = row;
  since_ = now;
}

void Profile::run(uint32_t n, Task task, void* arg) {
  // Also where the stretch is left by an exception, at a safe point: what has run by then counts, and what is skipped
  // when the part is resumed does not.
  struct Record {
    Profile* profile;
    uint32_t n;
    Clock::time_point begin = Clock::now();
    ~Record() { profile->record(begin, n); }
  };
  for (Slot& slot : slots_) slot.tasks = 0;
  const Record at_end{this, n};
  threads_.parallel_for(n, [&](uint32_t i, uint32_t worker) {
    Slot& slot = slots_[worker];
    if (slot.tasks++ == 0) slot.begin = Clock::now();
    task(arg, i, worker);
    slot.end = Clock::now();
  });
}

void Profile::record(Clock::time_point begin, uint32_t n) {
  const Clock::time_point end = Clock::now();
  uint64_t tasks = 0;
  Duration work{}, late{};
  for (const Slot& slot : slots_) {
    tasks += slot.tasks;
    if (slot.tasks > 0) work += slot.end - slot.begin;
    late += (slot.tasks > 0 ? slot.begin : end) - begin;
  }
  if (tasks > 0 && row_ != kOutside) {
    Row& row = rows_[row_];
    const double share = static_cast<double>(tasks) / n;
    row.tasks += tasks;
    row.bytes += noted_bytes_ * share;
    row.ops += noted_ops_ * share;
    if (n > 1) {
      ++row.stretches;
      layer_stretches_ += in_layer_ ? 1 : 0;
      row.parallel += end - begin;
      row.work += work;
      row.late += late;
    }
  }
  noted_bytes_ = noted_ops_ = 0;
}

}  // namespace kette::nn
