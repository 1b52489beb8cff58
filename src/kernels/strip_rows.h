// The rows of a strip, the weight rows that a kernel multiplies side by side, and how memory is asked for them: the same
// in every instruction set. Internal linkage only: each file that includes this is compiled for instructions of its own.
#pragma once

#include <immintrin.h>
#include <stddef.h>
#include <stdint.h>

#include "kernels/kernel_table.h"

namespace kette::kernels {
namespace {

constexpr size_t kAhead = 1024;  // so many bytes of a row before they are read, they are asked for

// Bytes on their way into the second level of cache, or another one. Always inlined: GCC leaves out the call of a function
// that does nothing else.
template <_mm_hint kLevel = _MM_HINT_T1>
inline __attribute__((always_inline)) void ask_for(const void* first, size_t bytes) {
  const char* p = static_cast<const char*>(first);
  __asm__ volatile("" : "+r"(p));
#pragma GCC unroll 8
  for (size_t i = 0; i < bytes; i += 64) _mm_prefetch(p + i, kLevel);
}

template <size_t kStrip>
struct StripRows {
  const uint8_t* row[kStrip];
  size_t apart;   // bytes from one of them to the next
  size_t end;     // of the bytes that are read one after the other from row 0 on, in this strip and those after it
  size_t at = 0;  // where in each row the block begins

  // Of dot or unpack arguments: row `first`, and every `step`th behind it; rows beyond the last repeat it. So many strips
  // more begin at the rows behind these.
  template <class Args>
  StripRows(const Args& a, size_t first, size_t step = 1, size_t more = 0)
      : apart(step * a.row_bytes), end((more + 1) * a.row_bytes) {
    for (size_t r = 0; r < kStrip; ++r) {
      const size_t index = first + r * step;
      row[r] = a.weight + (index < a.rows ? index : a.rows - 1) * a.row_bytes;
    }
  }
  const uint8_t* operator[](size_t r) const { return row[r] + at; }

  // One of so many steps through kBytes of each row asks for its share of what is read kAhead bytes later: many lines asked
  // for at once keep those waiting that are wanted now. Past the end it is harmless.
  template <size_t kBytes>
  inline __attribute__((always_inline)) void ask(size_t step, size_t steps) const {
    const size_t then = at + (kAhead < end ? kAhead : end);
    const uint8_t* ahead = row[0] + (then < end ? then : then + (kStrip - 1) * apart);
    for (size_t r = step * kStrip / steps; r < (step + 1) * kStrip / steps; ++r) ask_for(ahead + r * apart, kBytes);
  }
};

// Weight rows that are read next, into the second level of cache while others are multiplied: a few with each of so many
// calls, for many lines asked for at once keep those waiting that are wanted now. Past the end of the weights it is harmless.
struct RowsAhead {
  const uint8_t* row;
  size_t rows, row_bytes, bytes;  // of these, so many of each
  size_t calls, call = 0, asked = 0;

  inline __attribute__((always_inline)) void ask() {
    ++call;
    for (; asked * calls < call * rows; ++asked, row += row_bytes) ask_for(row, bytes + 63);  // wherever lines begin
  }
};

// f(rows, row, step) for every strip: row, row + step, .. are those of a.rows that it has. They lie as far apart as may be,
// so that each lane reads a long stretch of memory, which hardware follows; but not by a multiple of 4,096 bytes, or all
// would take the same few places of the first level of cache.
template <size_t kStrip, class F>
inline __attribute__((always_inline)) void each_strip(const DotArgs& a, F&& f) {
  size_t step = (a.rows + kStrip - 1) / kStrip;
  while (step > 1 && step * a.row_bytes % 4096 == 0) step /= 2;
  for (size_t block = 0; block < a.rows; block += kStrip * step)
    for (size_t i = 0; i < step && block + i < a.rows; ++i)
      f(StripRows<kStrip>(a, block + i, step, step - 1 - i), block + i, step);
}

// The results of a strip's rows, as each_strip counts them.
template <size_t kStrip>
inline void store_apart(const DotArgs& a, size_t column, size_t row, size_t step, const float* sums) {
  float* y = a.y + column * a.y_stride;
  for (size_t r = 0; r < kStrip && row + r * step < a.rows; ++r) y[row + r * step] = sums[r];
}

}  // namespace
}  // namespace kette::kernels
