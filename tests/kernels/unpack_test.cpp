// Every row of unpack.inc on every format it takes, bit by bit against nn::Weight::decode.
#include <doctest/doctest.h>

#include <cmath>
#include <string>

#include "base/aligned_buffer.h"
#include "base/float_types.h"
#include "kernels/kernels.h"
#include "nn/linear.h"
#include "quant/format.h"
#include "tests/kernels/guarded.h"

namespace kette::kernels {
namespace {

using test::Guarded;
using test::Random;

constexpr uint32_t kUntouched = 0x7fc0beef;

// The same number, or both are none: which of a NaN's bits survive a product is left open.
bool same(float a, float b) {
  return std::bit_cast<uint32_t>(a) == std::bit_cast<uint32_t>(b) || (std::isnan(a) && std::isnan(b));
}

struct Problem {
  nn::Weight weight;
  size_t first, rows, from, n, depth;  // the panel: rows [first, first + rows), numbers [from, from + n), then zeros
};

void check(const UnpackRow& row, const Problem& p) {
  const bool bf16 = row.type == PanelType::kBf16;
  AlignedBuffer<uint32_t> panel(p.depth * kPanelWidth);
  std::fill(panel.span().begin(), panel.span().end(), kUntouched);
  UnpackArgs args = p.weight.unpack_args(p.first, p.rows, p.from, p.n);
  args.depth = p.depth;
  args.panel = panel.data();
  row.run(args);

  const auto at = [&](size_t k, size_t column) {
    if (!bf16) return std::bit_cast<float>(panel[k * kPanelWidth + column]);
    uint16_t half;
    std::memcpy(&half, reinterpret_cast<const uint16_t*>(panel.data()) + (k / 2 * kPanelWidth + column) * 2 + k % 2, 2);
    return bf16_to_float(half);
  };
  size_t wrong = 0;
  const auto expect = [&](size_t k, size_t column, float number) {
    const float want = bf16 ? bf16_to_float(float_to_bf16(number)) : number, got = at(k, column);
    if (!same(got, want) && wrong++ == 0) MESSAGE("row ", column, " number ", k, ": ", got, ", expected ", want);
  };
  std::vector<float> decoded(p.n);
  const size_t columns = (p.rows + 15) / 16 * 16;
  for (size_t column = 0; column < columns; ++column) {
    std::fill(decoded.begin(), decoded.end(), 0.0f);
    if (column < p.rows) p.weight.decode(p.first + column, p.from, p.n, decoded.data());
    for (size_t k = 0; k < p.depth; ++k) expect(k, column, k < p.n ? decoded[k] : 0.0f);
  }
  CHECK(wrong == 0);
  // Nothing is written beside those columns.
  size_t beside = 0;
  const size_t words = bf16 ? p.depth / 2 * kPanelWidth : p.depth * kPanelWidth;
  for (size_t i = 0; i < panel.size(); ++i)
    beside += (i >= words || i % kPanelWidth >= columns) && panel[i] != kUntouched;
  CHECK(beside == 0);
}

template <class Call>
void for_each_row(const Call& call) {
  for (const UnpackRow& row : unpack_rows()) {
    if (row.isa > test::isa_limit()) continue;
    for (const Format* format : formats()) {
      if (row.format != "any" && row.format != format->name) continue;
      INFO(std::string(row.isa_name), " ", std::string(row.format), " on ", std::string(format->name), " into ",
           row.type == PanelType::kBf16 ? "bf16" : "f32");
      call(row, *format);
    }
  }
}

// Bytes of all kinds; `tame`: as weights have them, so that blocks' factors are small numbers.
void fill(Guarded<std::byte>& bytes, bool tame, Random& random) {
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<std::byte>(random.bits() >> 8);
  for (size_t i = 1; tame && i < bytes.size(); i += 2) bytes[i] &= std::byte{0xbf};
}

const size_t kRows[] = {64, 1, 15, 16, 17, 33, 63};

TEST_CASE("unpack rows: the bits of decode, whatever the bytes, the number of rows and of columns") {
  Random random(21);
  for_each_row([&](const UnpackRow& row, const Format& format) {
    const size_t block = format.block_size;
    const std::vector<size_t> widths = block == 1    ? std::vector<size_t>{1024, 1, 2, 31, 32, 33, 63, 130, 257}
                                       : block == 32 ? std::vector<size_t>{1024, 32, 64, 224, 256, 288, 992}
                                                     : std::vector<size_t>{256, 1024, 512};
    size_t next = 0;
    for (const bool tame : {true, false}) {
      for (const size_t n : widths) {
        // The panel begins inside the weight, and the weight ends where nothing can be read.
        const size_t rows = kRows[next % std::size(kRows)], from = next % 2 * 2 * (block == 1 ? 128 : block);
        const size_t first = next % 3, cols = from + n;
        CAPTURE(rows);
        CAPTURE(n);
        Guarded<std::byte> bytes((first + rows) * format.row_bytes(cols));
        fill(bytes, tame, random);
        const nn::Weight weight{&format, bytes.data(), first + rows, cols};
        const size_t depth = (n + 1) / 2 * 2 + next % 4 / 2 * 6;
        check(row, {weight, first, rows, from, n, depth});
        ++next;
      }
    }
  });
}

TEST_CASE("unpack rows: every code of every block, by all of a format's levels") {
  Random random(22);
  for_each_row([&](const UnpackRow& row, const Format& format) {
    // 65,536 consecutive values of two bytes, wherever in a block they fall.
    const size_t n = 1024 / format.block_size * format.block_size, row_bytes = format.row_bytes(n);
    const size_t rows = std::min<size_t>(64, (size_t{1} << 17) / row_bytes + 1);
    Guarded<std::byte> bytes(rows * row_bytes);
    for (size_t i = 0; i < bytes.size(); ++i)
      bytes[i] = static_cast<std::byte>(i % 2 == 0 ? i / 2 : (i / 512) ^ (random.bits() & 0x3f));
    check(row, {{&format, bytes.data(), rows, n}, 0, rows, 0, n, n});
  });
}

TEST_CASE("unpack rows: the factors of tiles, of all sizes, for rows that begin inside one") {
  Random random(23);
  const float factors[] = {1.0f,  -0.37f,    0x1p-130f, -0x1p-120f, 0x1p-149f, 0x1p-112f, 0.0f,
                           1e30f, -0x1p125f, INFINITY,  -INFINITY,  NAN,       -0.0f};
  for_each_row([&](const UnpackRow& row, const Format& format) {
    if (format.block_size != 1 || (row.format != "any" && format.name != "fp8_e4m3")) return;
    for (size_t i = 0; i < 3 * std::size(factors); ++i) {
      const float factor = factors[i / 3];
      const size_t from = i % 3 * 64;
      // Every other tile has this factor, so that it is not hidden by one that needs more care.
      const size_t n = 385, cols = from + n, tiles = (cols + 127) / 128;
      Guarded<std::byte> bytes(64 * format.row_bytes(cols));
      fill(bytes, true, random);
      Guarded<float> scale(3 * tiles);
      for (size_t j = 0; j < scale.size(); ++j) scale[j] = j % 2 == 0 ? factor : -std::fabs(random.normal());
      CAPTURE(factor);
      CAPTURE(from);
      const nn::Weight weight{&format, bytes.data(), 64, cols, scale.data(), 120};
      check(row, {weight, 5, 59, from, n, n + 1});
    }
  });
}

}  // namespace
}  // namespace kette::kernels
