// Attention of every row against softmax in double.
#include <doctest/doctest.h>

#include <cmath>
#include <memory>
#include <string>

#include "base/aligned_buffer.h"
#include "base/float_types.h"
#include "kernels/kernels.h"
#include "quant/format.h"
#include "tests/kernels/guarded.h"

namespace kette::kernels {
namespace {

using test::Guarded;
using test::Random;

// A type of cached rows. The last ones' numbers are not those of the list, so that kernels have to go through decoders.
struct Type {
  KvType type;
  const Format* format;
};
constexpr KvType kOtherType = static_cast<KvType>(1000);
std::vector<Type> types() {
  return {
#define KETTE_KV_TYPE(type, format) {KvType::type, find_format(#format)},
#include "kernels/kv_types.inc"
#undef KETTE_KV_TYPE
      {kOtherType, find_format("q5_1")},
      {kOtherType, find_format("bf16")},
  };
}

// How keys and values lie: each for itself; values as the first numbers of the keys' rows; both in one longer row.
enum class Layout { kApart, kWithin, kBeside };

// The cache as kernels see it: each page ends at unreadable memory, the last one right after the last position that any
// row sees.
struct Pages {
  std::vector<std::unique_ptr<Guarded<uint8_t>>> memory;
  std::vector<const std::byte*> pointers;
  size_t key_at = 0, value_at = 0;
};

// Rows of a format: the bytes that kernels read, and the numbers that those are.
struct Rows {
  const Format& format;
  size_t dim, stride;  // numbers from one row to the next: whole blocks
  Guarded<uint8_t> bytes;
  std::vector<float> numbers;

  Rows(const Format& format_, size_t positions, size_t dim_, size_t stride_, Random& random)
      : format(format_),
        dim(whole(dim_)),
        stride(whole(stride_)),
        bytes(positions == 0 ? 0 : ((positions - 1) * stride + dim) / format.block_size * format.block_bytes),
        numbers(positions * stride) {
    for (float& f : numbers) f = random.normal();
    for (size_t t = 0; t < positions; ++t) encode(t);
  }
  size_t whole(size_t n) const { return (n + format.block_size - 1) / format.block_size * format.block_size; }
  size_t row_bytes() const { return stride / format.block_size * format.block_bytes; }
  // What `numbers` of a position has become, and back.
  void encode(size_t t) {
    std::byte* to = reinterpret_cast<std::byte*>(bytes.data()) + t * row_bytes();
    format.encode(&numbers[t * stride], to, dim);
    format.decode(to, &numbers[t * stride], dim);
  }
};

struct Problem {
  const Type& type;
  size_t key_dim, value_dim, rows, q_stride, value_at;
  std::vector<uint32_t> visible;
  Guarded<float> q;
  Rows key, apart;
  float scale;

  Problem(const Type& type_, size_t key_dim_, size_t value_dim_, Layout layout, std::vector<uint32_t> visible_,
          float spread, Random& random)
      : type(type_),
        key_dim(key_dim_),
        value_dim(value_dim_),
        rows(visible_.size()),
        q_stride(key_dim + 3),
        value_at(layout == Layout::kBeside ? (key_dim + 31) / 32 * 32 + (type.format->block_size == 1 ? 2 : 0) : 0),
        visible(std::move(visible_)),
        q((rows - 1) * q_stride + key_dim),
        key(*type.format, positions(), layout == Layout::kBeside ? value_at + value_dim : key_dim,
            layout == Layout::kBeside ? value_at + value_dim + 4 : key_dim, random),
        apart(*type.format, layout == Layout::kApart ? positions() : 0, value_dim, value_dim, random),
        scale(1 / std::sqrt(static_cast<float>(key_dim))) {
    for (size_t i = 0; i < q.size(); ++i) q[i] = spread * random.normal();
  }
  Problem(const Type& type_, size_t dim, std::vector<uint32_t> visible_, float spread, Random& random)
      : Problem(type_, dim, dim, Layout::kApart, std::move(visible_), spread, random) {}

  size_t positions() const { return *std::max_element(visible.begin(), visible.end()); }
  Rows& values() { return apart.numbers.empty() ? key : apart; }
  const Rows& values() const { return apart.numbers.empty() ? key : apart; }
  Pages pages() const {
    Pages out;
    const size_t key_row = key.row_bytes(), value_row = apart.row_bytes();
    const bool apart_too = !apart.numbers.empty(), values_first = rows % 2 == 0;
    if (apart_too)
      (values_first ? out.key_at : out.value_at) = KETTE_KV_PAGE * (values_first ? value_row : key_row);
    else
      out.value_at = value_at / type.format->block_size * type.format->block_bytes;
    for (size_t from = 0; from < positions(); from += KETTE_KV_PAGE) {
      const size_t n = std::min<size_t>(KETTE_KV_PAGE, positions() - from);
      const size_t keys = std::min(n * key_row, key.bytes.size() - from * key_row);
      const size_t values = apart_too ? n * value_row : 0;
      out.memory.push_back(
          std::make_unique<Guarded<uint8_t>>(apart_too ? std::max(out.key_at + keys, out.value_at + values) : keys));
      uint8_t* to = out.memory.back()->data();
      std::memcpy(to + out.key_at, key.bytes.data() + from * key_row, keys);
      if (apart_too) std::memcpy(to + out.value_at, apart.bytes.data() + from * value_row, values);
      out.pointers.push_back(reinterpret_cast<const std::byte*>(to));
    }
    return out;
  }
  float key_of(size_t t, size_t d) const { return key.numbers[t * key.stride + d]; }
  float value_of(size_t t, size_t d) const { return values().numbers[t * values().stride + value_at + d]; }

  std::vector<float> run(const AttendRow& row) const { return run(row, 0, rows); }
  // [count][value_dim] of rows from `from` on.
  std::vector<float> run(const AttendRow& row, size_t from, size_t count) const {
    return run(row, from, count, visible.data() + from, 0, nullptr, nullptr);
  }
  // As above over positions from `first` on, where a page begins, of which row r sees sees[r]; its sums undivided where they are wanted.
  std::vector<float> run(const AttendRow& row, size_t from, size_t count, const uint32_t* sees, size_t first,
                         float* largest, float* sum) const {
    const size_t stride = value_dim + 5;
    Guarded<float> out((count - 1) * stride + value_dim);
    for (size_t i = 0; i < out.size(); ++i) out[i] = NAN;
    AlignedBuffer<float> scratch(KETTE_ATTEND_SCRATCH(key_dim, value_dim, count));
    for (float& f : scratch.span()) f = NAN;
    AttendArgs args{};
    args.q = q.data() + from * q_stride;
    args.q_stride = q_stride;
    args.visible = sees;
    args.rows = count;
    const Pages pages = this->pages();
    args.pages = pages.pointers.data() + first / KETTE_KV_PAGE;
    args.more = first + *std::max_element(sees, sees + count) < positions();
    args.key_at = pages.key_at;
    args.value_at = pages.value_at;
    args.key_stride = key.row_bytes();
    args.value_stride = values().row_bytes();
    args.kv_type = type.type;
    args.decode = type.format->decode;
    args.block_size = type.format->block_size;
    args.block_bytes = type.format->block_bytes;
    args.key_dim = key_dim;
    args.value_dim = value_dim;
    args.scale = scale;
    args.out = out.data();
    args.out_stride = stride;
    args.scratch = scratch.data();
    args.largest = largest;
    args.sum = sum;
    row.run(args);
    std::vector<float> packed;
    for (size_t r = 0; r < count; ++r) {
      packed.insert(packed.end(), out.data() + r * stride, out.data() + r * stride + value_dim);
      if (r + 1 < count) CHECK(std::isnan(out[r * stride + value_dim]));  // nothing written beside the row
    }
    return packed;
  }
};

void check_values(const AttendRow& row, const Problem& p, const std::vector<float>& out) {
  // Types that go through decoders are attended to in float.
  const bool rounds = row.rounds && p.type.type != kOtherType;
  const auto rounded = [&](float x) { return static_cast<double>(rounds ? bf16_to_float(float_to_bf16(x)) : x); };
  for (size_t r = 0; r < p.rows; ++r) {
    std::vector<double> weight(p.visible[r]);
    double largest = -INFINITY, sum = 0, magnitude = 0;
    for (size_t t = 0; t < weight.size(); ++t) {
      double terms = 0;
      for (size_t d = 0; d < p.key_dim; ++d) {
        const double term = rounded(p.q[r * p.q_stride + d]) * rounded(p.key_of(t, d));
        weight[t] += term;
        terms += std::fabs(term);
      }
      weight[t] *= static_cast<double>(p.scale);
      magnitude = std::max(magnitude, terms * static_cast<double>(p.scale));
      largest = std::max(largest, weight[t]);
    }
    for (double& w : weight) sum += w = std::exp(w - largest);
    // A score errs by key_dim * 2^-24 of the sum of its terms' magnitudes, and so does its weight, relatively; then
    // come the exponential's 2^-22 and the additions over positions. A weight and a value rounded to bfloat16 are off by
    // 2^-8 at most each.
    const double relative = (rounds ? 0x1p-7 : 0) + 0x1p-24 * (2 * static_cast<double>(p.key_dim) * magnitude + 16 +
                                                               2 * static_cast<double>(p.visible[r]));
    for (size_t d = 0; d < p.value_dim; ++d) {
      double expected = 0, terms = 0;
      for (size_t t = 0; t < weight.size(); ++t) {
        const double term = weight[t] / sum * static_cast<double>(p.value_of(t, d));
        expected += term;
        terms += std::fabs(term);
      }
      const double got = static_cast<double>(out[r * p.value_dim + d]);
      if (!(std::fabs(got - expected) <= relative * terms + 1e-30)) {
        INFO("row ", r, " dim ", d, " got ", got, " expected ", expected, " tolerance ", relative * terms);
        CHECK(false);
        return;
      }
    }
  }
}

template <class Call>
void for_each_row(const Call& call) {
  for (const AttendRow& row : attend_rows()) {
    if (row.isa > test::isa_limit()) continue;
    INFO(std::string(row.name));
    for (const Type& type : types()) {
      INFO(std::string(type.format->name), " ", static_cast<int>(type.type));
      call(row, type);
    }
  }
}

TEST_CASE("attend: values on odd shapes") {
  Random random(5);
  for_each_row([&](const AttendRow& row, const Type& type) {
    for (size_t dim : {2, 6, 16, 30, 48, 64, 80, 128, 250, 256}) {
      for (size_t rows : {1, 3, 7, 8, 9, 17}) {
        std::vector<uint32_t> visible(rows);
        for (uint32_t& v : visible) v = 1 + random.below(rows == 9 ? 150 : 70);
        const Problem p(type, dim, visible, 2.0f, random);
        CAPTURE(dim);
        CAPTURE(rows);
        check_values(row, p, p.run(row));
      }
    }
  });
}

TEST_CASE("attend: keys and values of different widths, values within the keys' rows or beside them") {
  Random random(12);
  for_each_row([&](const AttendRow& row, const Type& type) {
    for (const auto& [key_dim, value_dim] : {std::pair<size_t, size_t>{576, 512},
                                             {192, 128},
                                             {48, 32},
                                             {96, 64},
                                             {40, 38},
                                             {288, 256},
                                             {62, 56},
                                             {20, 18},
                                             {10, 2}}) {
      for (Layout layout : {Layout::kApart, Layout::kWithin, Layout::kBeside}) {
        for (size_t rows : {1, 5, 16, 17, 32}) {
          std::vector<uint32_t> visible(rows);
          for (uint32_t& v : visible) v = 1 + random.below(rows == 5 ? 150 : 70);
          const Problem p(type, key_dim, value_dim, layout, visible, 2.0f, random);
          CAPTURE(key_dim);
          CAPTURE(value_dim);
          CAPTURE(static_cast<int>(layout));
          CAPTURE(rows);
          const std::vector<float> together = p.run(row);
          check_values(row, p, together);
          for (size_t r = 0; rows % 16 == 0 && r < rows; r += 5)
            CHECK(test::same_bits(p.run(row, r, 1).data(), &together[r * value_dim], value_dim));
        }
      }
    }
    // More values than keys, and a row's bits alone.
    const Problem p(type, 32, 80, Layout::kBeside, {40, 41, 42, 43, 44, 70, 71, 72, 3}, 1.0f, random);
    const std::vector<float> together = p.run(row);
    check_values(row, p, together);
    for (size_t r = 0; r < p.rows; ++r)
      CHECK(test::same_bits(p.run(row, r, 1).data(), &together[r * p.value_dim], p.value_dim));
  });
}

TEST_CASE("attend: the parts of a context, put together, are the whole") {
  Random random(13);
  for_each_row([&](const AttendRow& row, const Type& type) {
    const Problem p(type, 72, 64, Layout::kWithin, {1, 64, 65, 150, 130, 129, 90, 91, 92, 93, 149, 2, 3, 66, 128, 148},
                    2.0f, random);
    const size_t span = 64;
    std::vector<double> out(p.rows * p.value_dim), sum(p.rows), largest(p.rows, -INFINITY);
    for (size_t first = 0; first < p.positions(); first += span) {
      std::vector<uint32_t> sees(p.rows);
      for (size_t r = 0; r < p.rows; ++r)
        sees[r] = p.visible[r] <= first ? 0 : static_cast<uint32_t>(std::min(p.visible[r] - first, span));
      std::vector<float> part_largest(p.rows, NAN), part_sum(p.rows, NAN);
      const std::vector<float> part = p.run(row, 0, p.rows, sees.data(), first, part_largest.data(), part_sum.data());
      for (size_t r = 0; r < p.rows; ++r) {
        if (sees[r] == 0) {
          CHECK(part_largest[r] == -INFINITY);
          CHECK(part_sum[r] == 0);
          CHECK(part[r * p.value_dim] == 0);
          continue;
        }
        const double now = std::max(largest[r], static_cast<double>(part_largest[r]));
        const double keep = std::exp(largest[r] - now), add = std::exp(static_cast<double>(part_largest[r]) - now);
        for (size_t d = 0; d < p.value_dim; ++d) {
          double& o = out[r * p.value_dim + d];
          o = o * keep + static_cast<double>(part[r * p.value_dim + d]) * add;
        }
        sum[r] = sum[r] * keep + static_cast<double>(part_sum[r]) * add;
        largest[r] = now;
      }
    }
    std::vector<float> whole;
    for (size_t i = 0; i < out.size(); ++i) whole.push_back(static_cast<float>(out[i] / sum[i / p.value_dim]));
    check_values(row, p, whole);
  });
}

TEST_CASE("attend: a prompt's causal rows, and a row is the same bits alone") {
  Random random(6);
  for_each_row([&](const AttendRow& row, const Type& type) {
    std::vector<uint32_t> visible;
    for (uint32_t token = 0; token < 21; ++token) visible.insert(visible.end(), 3, 50 + token);
    const Problem p(type, 64, visible, 1.0f, random);
    const std::vector<float> together = p.run(row);
    check_values(row, p, together);
    for (size_t r = 0; r < p.rows; ++r) {
      CHECK(test::same_bits(p.run(row, r, 1).data(), &together[r * p.value_dim], p.value_dim));
      const size_t count = std::min<size_t>(5, p.rows - r);
      CHECK(test::same_bits(p.run(row, r, count).data(), &together[r * p.value_dim], count * p.value_dim));
    }
  });
}

TEST_CASE("attend: what a row does not see does not reach it, even if it is no number") {
  Random random(8);
  for_each_row([&](const AttendRow& row, const Type& type) {
    for (const Layout layout : {Layout::kApart, Layout::kWithin}) {
      Problem p(type, 32, 32, layout, {3, 41, 33, 64, 1, 35, 36, 37, 38, 39, 40, 41, 2, 34, 32, 31}, 1.0f, random);
      const std::vector<float> before = p.run(row);
      for (Rows* rows : {&p.key, &p.values()})
        for (size_t t = 41; t < 64; ++t) {
          std::byte* to = reinterpret_cast<std::byte*>(rows->bytes.data()) + t * rows->row_bytes();
          if (type.format->block_size > 1) {  // whose scales are no numbers
            std::memset(to, 0xff, rows->row_bytes());
            continue;
          }
          for (size_t d = 0; d < rows->stride; ++d) rows->numbers[t * rows->stride + d] = (t + d) % 2 ? NAN : INFINITY;
          rows->encode(t);
        }
      const std::vector<float> after = p.run(row);
      for (size_t r = 0; r < p.rows; ++r)
        if (r != 3) CHECK(test::same_bits(&before[r * p.value_dim], &after[r * p.value_dim], p.value_dim));
      CHECK(std::isnan(after[3 * p.value_dim]));
    }
  });
}

TEST_CASE("attend: scores far apart, where the maximum moves late") {
  Random random(9);
  for_each_row([&](const AttendRow& row, const Type& type) {
    Problem p(type, 16, std::vector<uint32_t>(10, 100), 1.0f, random);
    for (size_t t = 0; t < 100; ++t) {  // scores of row 0 climb by several e-folds a position
      for (size_t d = 0; d < 16; ++d) p.key.numbers[t * p.key.stride + d] = 8 * static_cast<float>(t) / 16;
      p.key.encode(t);
    }
    for (size_t d = 0; d < 16; ++d) p.q[d] = 4.0f;
    check_values(row, p, p.run(row));
  });
}

}  // namespace
}  // namespace kette::kernels
