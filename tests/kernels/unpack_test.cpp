// Every row of unpack.inc on every format it takes against nn::Weight::decode: bit by bit, or for
// integers as near as their scales.
#include <doctest/doctest.h>

#include <cmath>
#include <string>

#include "base/aligned_buffer.h"
#include "base/float_types.h"
#include "kernels/kernels.h"
#include "nn/linear.h"
#include "quant/format.h"
#include "tests/kernels/guarded.h"
#include "tests/support/panels.h"

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

  size_t wrong = 0;
  const auto expect = [&](size_t k, size_t column, float number) {
    const float want = bf16 ? bf16_to_float(float_to_bf16(number)) : number;
    const float got = static_cast<float>(test::panel_number(row.type, panel.data(), k, column));
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
    if (row.isa > test::isa_limit() || row.type == PanelType::kInts) continue;
    for (const Format* format : formats()) {
      if (row.format != "any" && row.format != format->name) continue;
      INFO(std::string(row.isa_name), " ", std::string(row.format), " on ", std::string(format->name), " into ",
           test::panel_type_name(row.type));
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
    if (format.block_size != 1 || (row.format != "any" && !format.has_tile_scales)) return;
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

template <class Call>
void for_each_int_row(const Call& call) {
  for (const UnpackRow& row : unpack_rows()) {
    if (row.isa > test::isa_limit() || row.type != PanelType::kInts) continue;
    INFO(std::string(row.isa_name), " ", std::string(row.format));
    call(row, *find_format(row.format));
  }
}

TEST_CASE("unpack rows into integers: the numbers of decode, to a unit") {
  Random random(24);
  for_each_int_row([&](const UnpackRow& row, const Format& format) {
    const size_t block = format.block_size;
    for (const size_t n :
         block == 32 ? std::vector<size_t>{1024, 32, 96, 256, 288, 992} : std::vector<size_t>{256, 1024}) {
      for (const size_t rows : kRows) {
        CAPTURE(n);
        CAPTURE(rows);
        // The panel begins inside the weight, and the weight ends where nothing can be read. One row is zeros.
        const size_t first = rows % 3, from = rows % 2 * 2 * block, cols = from + n;
        Guarded<std::byte> bytes((first + rows) * format.row_bytes(cols));
        fill(bytes, true, random);
        std::fill_n(bytes.data() + first * format.row_bytes(cols), format.row_bytes(cols), std::byte{0});
        const nn::Weight weight{&format, bytes.data(), first + rows, cols};
        UnpackArgs args = weight.unpack_args(first, rows, from, n);
        AlignedBuffer<std::byte> panel(panel_bytes(row.type));
        std::fill(panel.span().begin(), panel.span().end(), std::byte{0x5a});
        args.panel = panel.data();
        row.run(args);
        size_t wrong = 0;
        std::vector<float> decoded(n);
        for (size_t column = 0; column < rows; ++column) {
          weight.decode(first + column, from, n, decoded.data());
          for (size_t at = 0; at < n; at += KETTE_INT_BLOCK) {
            const size_t end = std::min(n, at + KETTE_INT_BLOCK), whole = at + (end - at + 63) / 64 * 64;
            const IntWeights& w = test::int_weights(panel.data(), at, column);
            // A scale and an offset are half a unit off at most, and no code is more than 128.
            const auto unit = static_cast<double>(w.unit[column % 16]);
            const double most = std::ldexp(test::int_zero(w.share, w.shift), -w.shift) + w.has_offsets;
            for (size_t k = at; k < whole; ++k) {
              const double number = k < end ? static_cast<double>(decoded[k]) : 0;
              const double off = test::panel_number(row.type, panel.data(), k, column) - number;
              wrong += !(std::fabs(off) <= (k < end ? 0.505 * most * unit : 0));
            }
          }
        }
        CHECK(wrong == 0);
        // Nothing is written beside the columns, in pairs of strips.
        size_t beside = 0;
        for (size_t column = (rows + 31) / 32 * 32; column < kPanelWidth; column += 16) {
          const std::byte* at = panel.data() + column / 16 * sizeof(IntWeights);
          beside += sizeof(IntWeights) - static_cast<size_t>(std::count(at, at + sizeof(IntWeights), std::byte{0x5a}));
        }
        CHECK(beside == 0);
      }
    }
  });
}

TEST_CASE("unpack rows into integers: units are small, so that their bits are used, and no integer is too large") {
  Random random(25);
  for_each_int_row([&](const UnpackRow& row, const Format& format) {
    const size_t n = 1024;
    for (const bool tame : {true, false}) {
      Guarded<std::byte> bytes(64 * format.row_bytes(n));
      fill(bytes, tame, random);
      const nn::Weight weight{&format, bytes.data(), 64, n};
      AlignedBuffer<std::byte> panel(panel_bytes(row.type));
      UnpackArgs args = weight.unpack_args(0, 64, 0, n);
      args.panel = panel.data();
      row.run(args);
      size_t wrong = 0;
      for (size_t column = 0; column < 64; ++column) {
        for (size_t at = 0; at < n; at += KETTE_INT_BLOCK) {
          const IntWeights& w = test::int_weights(panel.data(), at, column);
          if (!std::isfinite(w.unit[column % 16])) continue;
          int scale = 0, offset = 0;
          for (size_t g = 0; g < KETTE_INT_BLOCK / w.share; ++g)
            scale = std::max(scale, std::abs(w.scale[g / 2][column % 16][g % 2]));
          for (size_t g = 0; w.has_offsets && g < KETTE_INT_BLOCK / 32; ++g)
            offset = std::max(offset, std::abs(w.offset[g / 2][column % 16][g % 2]));
          wrong += scale > KETTE_INT_MOST_SCALE || offset > KETTE_INT_MOST_OFFSET;
          wrong += scale < KETTE_INT_MOST_SCALE - 1 && offset < KETTE_INT_MOST_OFFSET - 8;
        }
      }
      CHECK(wrong == 0);
    }
  });
}

TEST_CASE("unpack rows into integers: what is no number in a block is none in its row's scales") {
  for_each_int_row([&](const UnpackRow& row, const Format& format) {
    for (const uint16_t half : {uint16_t{0x7c00}, uint16_t{0xfc00}, uint16_t{0x7e01}}) {
      size_t found = 0;
      for (size_t at = 0; at + 2 <= format.block_bytes; at += 2) {
        Guarded<std::byte> bytes(16 * format.block_bytes);
        std::fill_n(bytes.data(), bytes.size(), std::byte{1});
        std::memcpy(bytes.data() + 3 * format.block_bytes + at, &half, 2);
        const nn::Weight weight{&format, bytes.data(), 16, format.block_size};
        std::vector<float> decoded(format.block_size);
        weight.decode(3, 0, decoded.size(), decoded.data());
        AlignedBuffer<std::byte> panel(panel_bytes(row.type));
        UnpackArgs args = weight.unpack_args(0, 16, 0, format.block_size);
        args.panel = panel.data();
        row.run(args);
        const bool finite = std::all_of(decoded.begin(), decoded.end(), [](float f) { return std::isfinite(f); });
        found += !finite;
        for (size_t r = 0; r < 16; ++r) {
          double sum = 0;
          for (size_t k = 0; k < format.block_size; ++k) sum += test::panel_number(row.type, panel.data(), k, r);
          CHECK(std::isfinite(sum) == (r != 3 || finite));
        }
      }
      CHECK(found > 0);
    }
  });
}

}  // namespace
}  // namespace kette::kernels
