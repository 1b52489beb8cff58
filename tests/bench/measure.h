// What benchmarks of kernels share: the clock, made-up numbers, and how far a result is off.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <ctime>
#include <functional>
#include <random>
#include <vector>

#include "base/aligned_buffer.h"
#include "quant/format.h"

namespace kette::bench {

struct Line {
  double gb_s = 0, gop_s = 0, error_max = 0, error_mean = 0;  // 0: has no meaning for the row
};

// Processor seconds of one call, the best of several stretches long enough for the clock.
template <class Call>
double seconds(const Call& call) {
  call();
  double best = 1e9;
  size_t calls = 1;
  for (int stretch = 0; stretch < 5;) {
    const std::clock_t start = std::clock();
    for (size_t i = 0; i < calls; ++i) call();
    const double took = static_cast<double>(std::clock() - start) / CLOCKS_PER_SEC;
    if (took < 0.004) {
      calls *= 2;
      continue;
    }
    best = std::min(best, took / static_cast<double>(calls));
    ++stretch;
  }
  return best;
}

inline AlignedBuffer<float> random_floats(size_t n, unsigned seed = 1) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal;
  AlignedBuffer<float> v(n);
  for (float& f : v.span()) f = normal(random);
  return v;
}

// Rows as a file would hold them, the first `some` again and again, for encoding takes long; of formats that are only
// read, bytes of which no scale is infinite.
inline AlignedBuffer<std::byte> random_weight(const Format& format, size_t rows, size_t k, size_t some) {
  const size_t row_bytes = format.row_bytes(k);
  AlignedBuffer<std::byte> v(rows * row_bytes);
  if (format.encode != nullptr) {
    some = std::min(some, rows);
    const AlignedBuffer<float> numbers = random_floats(some * k, 2);
    for (size_t r = 0; r < some; ++r) format.encode(numbers.data() + r * k, v.data() + r * row_bytes, k);
    for (size_t r = some; r < rows; ++r)
      std::memcpy(v.data() + r * row_bytes, v.data() + r % some * row_bytes, row_bytes);
    return v;
  }
  std::mt19937 random(2);
  for (std::byte& b : v.span()) b = static_cast<std::byte>(random() & 0x3fu);
  return v;
}

inline void compare(const std::vector<double>& expected, const std::function<double(size_t)>& found, Line& line) {
  double square = 0, sum = 0;
  for (size_t i = 0; i < expected.size(); ++i) {
    const double off = std::fabs(found(i) - expected[i]);
    square += expected[i] * expected[i];
    sum += off;
    line.error_max = std::max(line.error_max, off);
  }
  const double scale = std::sqrt(square / static_cast<double>(expected.size()));
  line.error_max /= scale;
  line.error_mean = sum / static_cast<double>(expected.size()) / scale;
}

}  // namespace kette::bench
