// Measures a linear layer of 4,096 inputs by its two ways, dot kernels (for few rows, then for many) and panels, for some
// numbers of rows and one thread: where the second overtakes the first is what panel.inc's `from` says. G operations/s (a
// multiply-add is two).
//   linear_bench [isa or -] [format ...]
#include <algorithm>
#include <cstdio>
#include <random>
#include <string>
#include <vector>

#include "base/aligned_buffer.h"
#include "base/cpu_features.h"
#include "bench/measure.h"
#include "kernels/kernels.h"
#include "nn/linear.h"
#include "quant/format.h"

namespace {

using namespace kette;
using kette::bench::random_floats;
using kette::bench::seconds;

constexpr size_t kIn = 4096;

// Bytes whose every 16 bits are a small half or bfloat16, so that no scale is infinite.
AlignedBuffer<std::byte> random_weight(size_t bytes) {
  constexpr size_t kDrawn = 1 << 20;
  std::mt19937 random(2);
  AlignedBuffer<std::byte> v(bytes);
  for (size_t i = 0; i < bytes; ++i) v[i] = i < kDrawn ? static_cast<std::byte>(random() & 0x3fu) : v[i - kDrawn];
  return v;
}

void measure(const Format& format, const kernels::Kernels& kernels, Executor& executor) {
  const size_t row_bytes = format.row_bytes(kIn), out = (size_t{160} << 20) / row_bytes / 64 * 64;  // in no cache
  const AlignedBuffer<std::byte> weight = random_weight(out * row_bytes);
  nn::Scratch scratch(kernels, executor.width());
  std::printf("%-9s %-9s", std::string(isa_name(kernels.isa)).c_str(), std::string(format.name).c_str());
  for (const size_t rows : {1, 2, 3, 4, 5, 6, 7, 8, 9, 12, 16, 24, 32, 64, 128, 512}) {
    const size_t used = std::min(out, std::max<size_t>(2048, (size_t{1} << 18) / rows));
    AlignedBuffer<float> x = random_floats(rows * kIn, 3), y(rows * used);
    double rate[2];
    for (const bool panel : {false, true}) {
      nn::Linear linear = nn::make_linear({&format, weight.data(), used, kIn}, {}, kernels, nn::Mode::kFast);
      linear.panel_from = panel ? 0 : SIZE_MAX;
      nn::Step step(executor, kernels, nn::Mode::kFast, scratch);
      const nn::Product product[] = {{&linear, {x.data(), rows, kIn, kIn}, {y.data(), rows, used, used}}};
      const double t = seconds([&] { nn::multiply(step, product); });
      rate[panel] = 2 * static_cast<double>(rows * kIn * used) / t * 1e-9;
      if (rows == 1 && !panel) std::printf(" %.1f GB/s", static_cast<double>(used * row_bytes) / t * 1e-9);
    }
    std::printf("  %zu: %.0f %.0f", rows, rate[0], rate[1]);
    std::fflush(stdout);
  }
  std::printf("\n");
}

}  // namespace

int main(int argc, char** argv) {
  const auto asked = parse_isa(argc > 1 ? argv[1] : "");
  auto pool = make_thread_pool({1, 20});
  auto kernels = kernels::choose_kernels(asked ? std::min(*asked, detect_isa()) : detect_isa(), true, {});
  if (!pool.ok() || !kernels.ok()) return 1;
  std::printf("rows: by dot kernels, by panels\n");
  for (int i = 2; i < argc || i == 2; ++i) {
    for (const Format* format : formats()) {
      const bool dot_takes_many = kernels->dot(format->name, false).many;
      if (i < argc ? format->name == argv[i] : dot_takes_many) measure(*format, *kernels, **pool);
    }
  }
  return 0;
}
