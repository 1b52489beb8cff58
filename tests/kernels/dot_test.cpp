// Every row of dot.inc on every format it takes, against sums in double over the decoded weights.
#include <doctest/doctest.h>

#include <cmath>
#include <memory>
#include <string>

#include "kernels/kernels.h"
#include "quant/format.h"
#include "tests/kernels/guarded.h"

namespace kette::kernels {
namespace {

using test::Guarded;
using test::Random;

// Activations in both forms, each array ending at an unreadable page.
struct Input {
  Guarded<float> f32;
  Guarded<int8_t> q;
  Guarded<float> scale, sum16;
  Input(size_t k, Random& random) : f32(k), q(k), scale(k / 32), sum16(k / 16) {
    for (size_t i = 0; i < k; ++i) f32[i] = random.normal();
    if (k % 32 == 0) vector_rows().back().kernels->quantize(f32.data(), k, q.data(), scale.data(), sum16.data());
  }
  Activation view() const { return {f32.data(), q.data(), scale.data(), sum16.data()}; }
  double value(size_t i, Form form) const {
    if (form == Form::kF32) return static_cast<double>(f32[i]);
    return static_cast<double>(q[i]) * static_cast<double>(scale[i / 32]);
  }
};

// Random bytes that decode to finite numbers of at most 1000: blocks are drawn until they do.
void fill(const Format& format, Guarded<uint8_t>& weight, Random& random) {
  std::vector<float> decoded(format.block_size);
  for (size_t at = 0; at < weight.size(); at += format.block_bytes) {
    for (bool fit = false; !fit;) {
      for (size_t i = 0; i < format.block_bytes; ++i) weight[at + i] = static_cast<uint8_t>(random.bits() >> 8);
      format.decode(reinterpret_cast<const std::byte*>(weight.data() + at), decoded.data(), format.block_size);
      fit = std::all_of(decoded.begin(), decoded.end(), [](float f) { return std::fabs(f) <= 1000.0f; });
    }
  }
}

struct Problem {
  const Format& format;
  size_t rows, k, m;
  Guarded<uint8_t> weight;
  std::vector<std::unique_ptr<Input>> inputs;
  std::vector<Activation> x;

  Problem(const Format& f, size_t rows_, size_t k_, size_t m_, Random& random)
      : format(f), rows(rows_), k(k_), m(m_), weight(rows_ * f.row_bytes(k_)) {
    fill(f, weight, random);
    for (size_t i = 0; i < m; ++i) {
      inputs.push_back(std::make_unique<Input>(k, random));
      x.push_back(inputs.back()->view());
    }
  }

  DotArgs args(float* y) const {
    return {weight.data(),     format.row_bytes(k), rows, k, x.data(), m, y, rows, format.decode,
            format.block_size, format.block_bytes};
  }
};

void check_values(const DotRow& row, const Problem& p, const std::vector<float>& y) {
  std::vector<float> w(p.k);
  for (size_t r = 0; r < p.rows; ++r) {
    p.format.decode(reinterpret_cast<const std::byte*>(p.weight.data() + r * p.format.row_bytes(p.k)), w.data(), p.k);
    for (size_t i = 0; i < p.m; ++i) {
      double sum = 0, magnitude = 0;
      for (size_t block = 0; block < p.k; block += p.format.block_size) {
        double largest = 0, x_sum = 0;
        for (size_t k = block; k < block + p.format.block_size; ++k) {
          const double x = p.inputs[i]->value(k, row.form);
          sum += static_cast<double>(w[k]) * x;
          largest = std::max(largest, std::fabs(static_cast<double>(w[k])));
          x_sum += std::fabs(x);
        }
        magnitude += largest * x_sum;
      }
      // A sum of floats errs by at most (additions in a row + roundings of a term) * 2^-24 * sum of magnitudes. A lane
      // adds fewer than k / 8 + 32 times. A term of a block may be up to four times its largest weight, where
      // code * d and offset * d are summed apart.
      const double tolerance = 4 * (static_cast<double>(p.k) / 8 + 32) * 0x1p-24 * magnitude + 1e-35;
      const double got = static_cast<double>(y[i * p.rows + r]);
      if (!(std::fabs(got - sum) <= tolerance)) {
        INFO("row ", r, " x ", i, " got ", got, " expected ", sum, " tolerance ", tolerance);
        CHECK(false);
        return;
      }
    }
  }
}

// The same bits for each row and activation alone.
void check_independence(const DotRow& row, const Problem& p, const std::vector<float>& y) {
  for (size_t i = 0; i < p.m; ++i) {
    for (size_t r = 0; r < p.rows; ++r) {
      float one = -1;
      DotArgs args = p.args(&one);
      args.weight += r * args.row_bytes;
      args.rows = args.m = args.y_stride = 1;
      args.x += i;
      row.run(args);
      if (!test::same_bits(&one, &y[i * p.rows + r], 1)) {
        INFO("row ", r, " x ", i, " alone ", one, " together ", y[i * p.rows + r]);
        CHECK(false);
        return;
      }
    }
  }
}

template <class Call>
void for_each_row(const Call& call) {
  for (const DotRow& row : dot_rows()) {
    if (row.isa > test::isa_limit()) continue;
    for (const Format* format : formats()) {
      if (row.format != "any" && row.format != format->name) continue;
      const std::string rows = row.many ? "many" : "few";
      INFO(std::string(row.isa_name), " ", std::string(row.format), " ", rows, " on ", std::string(format->name));
      call(row, *format);
    }
  }
}

std::vector<size_t> widths(const Format& format) {
  if (format.block_size == 1) return {1, 7, 16, 31, 33, 100, 273, 1024};
  if (format.block_size == 32) return {32, 64, 96, 128, 160, 288, 896};
  return {format.block_size, 2 * format.block_size, 5 * format.block_size};
}

TEST_CASE("dot rows: values, independence of rows and activations, no write beside the result") {
  Random random(7);
  for_each_row([&](const DotRow& row, const Format& format) {
    const size_t rows[] = {1, 2, 3, 4, 5, 8, 37};
    size_t next = 0;
    for (size_t k : widths(format)) {
      for (size_t m : {1, 2, 3, 4, 5, 6, 7, 8, 16}) {
        const Problem p(format, m == 16 ? 3 : rows[next++ % std::size(rows)], k, m, random);
        CAPTURE(p.rows);
        CAPTURE(p.k);
        CAPTURE(p.m);
        std::vector<float> y(p.rows * p.m + 1, 12345.0f);
        row.run(p.args(y.data()));
        CHECK(y.back() == 12345.0f);
        check_values(row, p, y);
        check_independence(row, p, y);
      }
    }
  });
}

TEST_CASE("dot rows: a piece whose rows would lie a multiple of 4,096 bytes apart") {
  Random random(9);
  for_each_row([&](const DotRow& row, const Format& format) {
    if (!row.many) return;
    const Problem p(format, 250, 4096, 1, random);
    std::vector<float> y(p.rows + 1, 12345.0f);
    row.run(p.args(y.data()));
    CHECK(y.back() == 12345.0f);
    check_values(row, p, y);
    check_independence(row, p, y);
  });
}

TEST_CASE("dot rows of any number of activations: values and independence where panels and their depth are passed") {
  Random random(8);
  for_each_row([&](const DotRow& row, const Format& format) {
    if (!row.many) return;
    const size_t rows[] = {1, 9, 31, 33, 64, 70};
    size_t next = 0;
    for (size_t k : {size_t{256}, size_t{512}, size_t{1280}, format.block_size == 32 ? size_t{1120} : size_t{1024}}) {
      for (size_t m : {9, 10, 13, 17, 35}) {
        const Problem p(format, rows[next++ % std::size(rows)], k, m, random);
        CAPTURE(p.rows);
        CAPTURE(p.k);
        CAPTURE(p.m);
        std::vector<float> y(p.rows * p.m + 1, 12345.0f);
        row.run(p.args(y.data()));
        CHECK(y.back() == 12345.0f);
        check_values(row, p, y);
        check_independence(row, p, y);
      }
    }
  });
}

TEST_CASE("dot rows: the largest codes and activations of either sign do not overflow") {
  for_each_row([&](const DotRow& row, const Format& format) {
    if (row.form != Form::kQ8) return;
    Random random(3);
    for (const int byte : {0xff, 0x00, 0x80, 0x7f, 0xf0, 0x0f}) {
      for (const float sign : {1.0f, -1.0f}) {
        Problem p(format, 5, 512, 2, random);
        std::vector<float> decoded(format.block_size);
        for (size_t at = 0; at < p.weight.size(); at += format.block_bytes) {
          // Halves stay as drawn: a byte is replaced only where the block still decodes to small numbers.
          for (size_t i = 0; i < format.block_bytes; ++i) {
            const uint8_t before = p.weight[at + i];
            p.weight[at + i] = static_cast<uint8_t>(byte);
            format.decode(reinterpret_cast<const std::byte*>(p.weight.data() + at), decoded.data(), format.block_size);
            const bool fit = std::all_of(decoded.begin(), decoded.end(), [](float f) { return std::fabs(f) <= 1e3f; });
            if (!fit) p.weight[at + i] = before;
          }
        }
        for (const auto& x : p.inputs) {
          for (size_t i = 0; i < p.k; ++i) x->q[i] = static_cast<int8_t>(127 * sign);
          for (size_t i = 0; i < p.k / 16; ++i) x->sum16[i] = x->scale[i / 2] * 16 * 127 * sign;
        }
        std::vector<float> y(p.rows * p.m);
        row.run(p.args(y.data()));
        check_values(row, p, y);
      }
    }
  });
}

TEST_CASE("dot rows: any weight bytes and any activations are survived") {
  Random random(11);
  for_each_row([&](const DotRow& row, const Format& format) {
    const float odd[] = {NAN, INFINITY, -INFINITY, 3e38f, 1e-42f, -0.0f, 1.0f};
    const size_t k = widths(format).back();
    Problem p(format, 6, k, 3, random);
    for (int turn = 0; turn < 20; ++turn) {
      for (size_t i = 0; i < p.weight.size(); ++i) p.weight[i] = static_cast<uint8_t>(random.bits() >> 8);
      for (const auto& x : p.inputs) {
        for (size_t i = 0; i < k; ++i) x->f32[i] = odd[random.below(7)];
        for (size_t i = 0; i < k; ++i) x->q[i] = static_cast<int8_t>(random.bits() >> 8);
        for (size_t i = 0; i < k / 32; ++i) x->scale[i] = odd[random.below(7)];
        for (size_t i = 0; i < k / 16; ++i) x->sum16[i] = odd[random.below(7)];
      }
      std::vector<float> y(p.rows * p.m, 1.0f);
      row.run(p.args(y.data()));
    }
    // A weight that is not a number is not lost.
    if (format.block_size == 1) {
      const size_t bytes = format.block_bytes;
      for (size_t i = 0; i < p.weight.size(); ++i) p.weight[i] = 0;
      for (size_t i = 0; i < bytes; ++i) p.weight[p.weight.size() - 1 - i] = i < 2 ? 0x7f + 0x80 * (i == 1) : 0;
      for (const auto& x : p.inputs)
        for (size_t i = 0; i < k; ++i) x->f32[i] = 1.0f;
      std::vector<float> y(p.rows * p.m, 1.0f);
      row.run(p.args(y.data()));
      CHECK(std::isnan(y[p.rows - 1]));
      CHECK(y[0] == 0.0f);
    }
  });
}

// Rows [first, first + rows) of a larger weight, tiles partial at its edges.
TEST_CASE("dot rows: factors of tiles") {
  Random random(13);
  for_each_row([&](const DotRow& row, const Format& format) {
    if (format.block_size != 1 || (row.format != "any" && !format.has_tile_scales)) return;  // others have none
    for (const size_t k : {1, 127, 128, 129, 300, 1000}) {
      for (const size_t first : {0, 120, 126}) {
        for (const size_t m : {1, 2, 3, 7}) {
          const Problem p(format, 11, k, m, random);
          const size_t tiles = (k + KETTE_TILE - 1) / KETTE_TILE;
          Guarded<float> scale(2 * tiles);
          for (size_t i = 0; i < scale.size(); ++i) scale[i] = random.normal();
          std::vector<float> y(p.rows * p.m), w(k);
          DotArgs args = p.args(y.data());
          args.tile_scale = scale.data();
          args.tile_stride = tiles;
          args.first_row = first;
          row.run(args);
          size_t wrong = 0;
          for (size_t r = 0; r < p.rows; ++r) {
            format.decode(reinterpret_cast<const std::byte*>(p.weight.data() + r * format.row_bytes(k)), w.data(), k);
            for (size_t i = 0; i < m; ++i) {
              double sum = 0, magnitude = 0;
              for (size_t j = 0; j < k; ++j) {
                const double term = static_cast<double>(scale[(first + r) / KETTE_TILE * tiles + j / KETTE_TILE]) *
                                    static_cast<double>(w[j]) * static_cast<double>(p.inputs[i]->f32[j]);
                sum += term;
                magnitude += std::fabs(term);
              }
              // As above, and a rounding more for the factor.
              const double tolerance = (static_cast<double>(k) / 8 + 34) * 0x1p-24 * magnitude + 1e-35;
              wrong += !(std::fabs(static_cast<double>(y[i * p.rows + r]) - sum) <= tolerance);
            }
          }
          CAPTURE(k);
          CAPTURE(first);
          CHECK(wrong == 0);
        }
      }
    }
  });
}

}  // namespace
}  // namespace kette::kernels
