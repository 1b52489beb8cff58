// The panel multiplies of every ISA against double precision, and their rows' bits whatever the number of rows.
#include <doctest/doctest.h>

#include <cmath>
#include <string>

#include "tests/kernels/guarded.h"
#include "tests/support/panels.h"

namespace kette::kernels {
namespace {

using test::PanelRows;
using test::Random;

struct Problem {
  size_t k, width;
  bool add;
  test::IntKind kind;
};

constexpr size_t kRows = 130;

double d(float f) { return static_cast<double>(f); }

const IntNumbers& int_numbers(const std::byte* row, size_t k) {
  return reinterpret_cast<const IntNumbers*>(row)[k / KETTE_INT_BLOCK];
}

// Number k that a row stands for, as it was rounded.
double row_number(PanelType type, const std::byte* row, size_t k) {
  if (type == PanelType::kF32) return d(reinterpret_cast<const float*>(row)[k]);
  if (type == PanelType::kBf16) return d(bf16_to_float(reinterpret_cast<const uint16_t*>(row)[k]));
  const IntNumbers& x = int_numbers(row, k);
  const size_t at = k % KETTE_INT_BLOCK;
  return x.q[at] * d(x.scale) * x.ratio[at / 32] / 32768;
}

// What IntWeights says of a multiply: the sum over block k of a row times a column.
double int_sum(const IntNumbers& x, const void* panel, size_t k, size_t column) {
  const IntWeights& w = test::int_weights(panel, k, column);
  const size_t row = column % 16;
  int64_t sum = 0;
  for (size_t part = 0; part < KETTE_INT_BLOCK / w.share; ++part) {
    const int32_t* starts = w.shift == 0 ? x.start_8 : w.shift == 1 ? x.start_32 : x.start_128;
    int32_t products = starts[part];
    for (size_t at = part * w.share; at < (part + 1) * w.share; ++at) products += x.q[at] * w.code[at / 4][row][at % 4];
    const int64_t scale = w.scale[part / 2][row][part % 2] * x.ratio[part * w.share / 32];
    sum += (products >> w.shift) * ((scale + 16384) >> 15);
  }
  for (size_t g = 0; w.has_offsets && g < KETTE_INT_BLOCK / 32; ++g) sum += w.offset[g / 2][row][g % 2] * x.sum[g];
  return static_cast<double>(sum) * d(w.unit[row]) * d(x.scale);
}

void check(PanelMultiply& panel, const Problem& p, Random& random) {
  const PanelType type = panel.type();
  const AlignedBuffer<std::byte> weights = test::make_panel(type, random.normals(p.k * kPanelWidth), p.kind);
  const PanelRows rows(type, random.normals(kRows * p.k), kRows);
  AlignedBuffer<std::byte> scratch(std::max<size_t>(panel.scratch_bytes(), 1));
  const std::vector<float> before = random.normals(kRows * p.width);
  const auto multiply = [&](size_t first, size_t m) {
    test::Guarded<float> c({before.data() + first * p.width, m * p.width});
    PanelArgs args{};
    args.a = rows.data.data() + first * rows.stride;
    args.a_stride = rows.stride;
    args.m = m;
    args.panel = weights.data();
    args.k = p.k;
    args.width = args.c_stride = p.width;
    args.add = p.add;
    args.c = c.data();
    args.scratch = scratch.data();
    CHECK(panel.multiply(args).ok());
    return std::vector<float>(c.data(), c.data() + c.size());
  };
  const std::vector<float> all = multiply(0, kRows);
  size_t wrong = 0;
  for (size_t i = 0; i < kRows; i += 3) {
    const std::byte* row = rows.data.data() + i * rows.stride;
    for (size_t j = 0; j < p.width; ++j) {
      const double start = p.add ? d(before[i * p.width + j]) : 0, got = d(all[i * p.width + j]);
      double sum = start, terms = std::fabs(sum);
      for (size_t k = 0; k < p.k; ++k) {
        const double term = row_number(type, row, k) * test::panel_number(type, weights.data(), k, j);
        sum += term;
        terms += std::fabs(term);
      }
      if (type == PanelType::kInts) {
        double ints = start;
        for (size_t k = 0; k < p.k; k += KETTE_INT_BLOCK) ints += int_sum(int_numbers(row, k), weights.data(), k, j);
        wrong += !(std::fabs(got - ints) <= 0x1p-21 * terms);
        wrong += !(std::fabs(got - sum) <= 1e-3 * terms);  // a scale is rounded to half a unit, a sum to 16 bits
      } else {
        wrong += !(std::fabs(got - sum) <= static_cast<double>(p.k + 3) * 0x1p-24 * terms);  // a rounding for each sum
      }
    }
  }
  CHECK(wrong == 0);
  size_t different = 0;
  for (const size_t m : {1, 2, 3, 4, 5, 6, 7, 9, 13, 64, 129}) {
    for (const size_t first : {size_t{0}, kRows - m}) {
      const std::vector<float> some = multiply(first, m);
      different += !test::same_bits(some.data(), all.data() + first * p.width, some.size());
    }
  }
  CHECK(different == 0);
  panel.leave_thread();
}

TEST_CASE("panels: the sum of products, and the same bits for any number of rows") {
  Random random(31);
  size_t checked = 0;
  for (const Isa isa : {Isa::kRef, Isa::kAvx2, Isa::kAvx512, Isa::kAvx512Bf16, Isa::kAmx}) {
    if (isa > test::isa_limit()) continue;
    auto kernels = choose_kernels(isa, true, {});
    REQUIRE(kernels.ok());
    kernels->each_panel([&](PanelMultiply& panel) {
      INFO(std::string(isa_name(isa)), " ", std::string(test::panel_type_name(panel.type())));
      size_t next = 0;
      for (const size_t k : {1024, 32, 96, 256, 288, 320}) {
        for (const size_t width : {64, 1, 16, 17, 33, 63}) {
          CAPTURE(k);
          CAPTURE(width);
          check(panel, {k, width, width % 2 == 1, test::kIntKinds[(next++ + k / 64) % std::size(test::kIntKinds)]},
                random);
        }
      }
      ++checked;
    });
  }
  CHECK(checked > 0);
}

// The largest numbers there can be: the sums end just below 2^31.
TEST_CASE("panels of integers: no sum overflows") {
  if (test::isa_limit() < Isa::kAvx512) return;
  auto kernels = choose_kernels(Isa::kAvx512, false, {});
  REQUIRE(kernels.ok());
  kernels->each_panel([&](PanelMultiply& panel) {
    if (panel.type() != PanelType::kInts) return;
    for (const test::IntKind& kind : test::kIntKinds) {
      for (const int sign : {1, -1}) {
        std::vector<float> x(KETTE_INT_BLOCK, 127.0f);
        const PanelRows rows(PanelType::kInts, x, 1);
        AlignedBuffer<std::byte> weights(panel_bytes(PanelType::kInts));
        auto* w = reinterpret_cast<IntWeights*>(weights.data());
        for (size_t strip = 0; strip < 4; ++strip) {
          std::memset(w + strip, 0, sizeof(IntWeights));  // codes are as far below their zero as can be
          w[strip].share = kind.share;
          w[strip].shift = kind.shift;
          w[strip].has_offsets = kind.has_offsets;
          for (size_t row = 0; row < 16; ++row) {
            w[strip].unit[row] = 1;
            for (size_t part = 0; part < KETTE_INT_BLOCK / kind.share; ++part)
              w[strip].scale[part / 2][row][part % 2] = static_cast<int16_t>(-sign * KETTE_INT_MOST_SCALE);
            for (size_t g = 0; kind.has_offsets && g < 8; ++g)
              w[strip].offset[g / 2][row][g % 2] = static_cast<int16_t>(sign * KETTE_INT_MOST_OFFSET);
          }
        }
        std::vector<float> c(kPanelWidth);
        PanelArgs args{};
        args.a = rows.data.data();
        args.a_stride = rows.stride;
        args.m = 1;
        args.panel = weights.data();
        args.k = KETTE_INT_BLOCK;
        args.width = args.c_stride = kPanelWidth;
        args.c = c.data();
        CHECK(panel.multiply(args).ok());
        const double expected = int_sum(int_numbers(rows.data.data(), 0), weights.data(), 0, 0);
        CHECK(std::fabs(expected) > 0x1p29);
        for (const float f : c) CHECK(d(f) == doctest::Approx(expected).epsilon(1e-6));
      }
    }
  });
}

}  // namespace
}  // namespace kette::kernels
