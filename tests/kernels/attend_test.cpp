// Attention of every vector row against softmax in double.
#include <doctest/doctest.h>

#include <cmath>
#include <memory>
#include <string>

#include "base/aligned_buffer.h"
#include "base/float_types.h"
#include "kernels/kernels.h"
#include "tests/kernels/guarded.h"

namespace kette::kernels {
namespace {

using test::Guarded;
using test::Random;

float element(const Guarded<uint8_t>& data, KvType type, size_t i) {
  if (type == KvType::kF32) {
    float f;
    std::memcpy(&f, data.data() + 4 * i, 4);
    return f;
  }
  uint16_t h;
  std::memcpy(&h, data.data() + 2 * i, 2);
  return type == KvType::kF16 ? f16_to_float(h) : bf16_to_float(h);
}

void set_element(Guarded<uint8_t>& data, KvType type, size_t i, float f) {
  const uint16_t h = type == KvType::kF16 ? float_to_f16(f) : float_to_bf16(f);
  if (type == KvType::kF32)
    std::memcpy(data.data() + 4 * i, &f, 4);
  else
    std::memcpy(data.data() + 2 * i, &h, 2);
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

struct Problem {
  KvType type;
  size_t key_dim, value_dim, rows, q_stride, key_stride, value_stride, value_at;
  std::vector<uint32_t> visible;
  Guarded<float> q;
  Guarded<uint8_t> key, apart;
  float scale;

  Problem(KvType type_, size_t key_dim_, size_t value_dim_, Layout layout, std::vector<uint32_t> visible_, float spread,
          Random& random)
      : type(type_),
        key_dim(key_dim_),
        value_dim(value_dim_),
        rows(visible_.size()),
        q_stride(key_dim + 3),
        key_stride(layout == Layout::kBeside ? key_dim + value_dim + 6 : key_dim),
        value_stride(layout == Layout::kApart ? value_dim : key_stride),
        value_at(layout == Layout::kBeside ? key_dim + 2 : 0),
        visible(std::move(visible_)),
        q((rows - 1) * q_stride + key_dim),
        key(key_numbers(layout) * size()),
        apart(layout == Layout::kApart ? positions() * value_dim * size() : 0),
        scale(1 / std::sqrt(static_cast<float>(key_dim))) {
    for (size_t i = 0; i < q.size(); ++i) q[i] = spread * random.normal();
    for (size_t i = 0; i < key.size() / size(); ++i) set_element(key, type, i, random.normal());
    for (size_t i = 0; i < apart.size() / size(); ++i) set_element(apart, type, i, random.normal());
  }
  Problem(KvType type_, size_t dim, std::vector<uint32_t> visible_, float spread, Random& random)
      : Problem(type_, dim, dim, Layout::kApart, std::move(visible_), spread, random) {}

  size_t size() const { return type == KvType::kF32 ? 4 : 2; }
  size_t positions() const { return *std::max_element(visible.begin(), visible.end()); }
  // Up to the last number that is used.
  size_t key_numbers(Layout layout) const {
    return (positions() - 1) * key_stride + (layout == Layout::kBeside ? value_at + value_dim : key_dim);
  }
  Pages pages() const {
    Pages out;
    const size_t key_row = key_stride * size(), value_row = value_stride * size();
    const bool apart_too = apart.size() > 0, values_first = rows % 2 == 0;
    if (apart_too)
      (values_first ? out.key_at : out.value_at) = KETTE_KV_PAGE * (values_first ? value_row : key_row);
    else
      out.value_at = value_at * size();
    for (size_t from = 0; from < positions(); from += KETTE_KV_PAGE) {
      const size_t n = std::min<size_t>(KETTE_KV_PAGE, positions() - from);
      const size_t keys = std::min(n * key_row, key.size() - from * key_row);
      const size_t values = apart_too ? n * value_row : 0;
      out.memory.push_back(std::make_unique<Guarded<uint8_t>>(std::max(out.key_at + keys, out.value_at + values)));
      uint8_t* to = out.memory.back()->data();
      std::memcpy(to + out.key_at, key.data() + from * key_row, keys);
      if (apart_too) std::memcpy(to + out.value_at, apart.data() + from * value_row, values);
      out.pointers.push_back(reinterpret_cast<const std::byte*>(to));
    }
    return out;
  }
  Guarded<uint8_t>& values() { return apart.size() > 0 ? apart : key; }
  float key_of(size_t t, size_t d) const { return element(key, type, t * key_stride + d); }
  float value_of(size_t t, size_t d) const {
    return element(apart.size() > 0 ? apart : key, type, t * value_stride + value_at + d);
  }

  std::vector<float> run(const VectorKernels& kernels) const { return run(kernels, 0, rows); }
  // [count][value_dim] of rows from `from` on.
  std::vector<float> run(const VectorKernels& kernels, size_t from, size_t count) const {
    return run(kernels, from, count, visible.data() + from, 0, nullptr, nullptr);
  }
  // As above over positions from `first` on, where a page begins, of which row r sees sees[r]; its sums undivided where they are wanted.
  std::vector<float> run(const VectorKernels& kernels, size_t from, size_t count, const uint32_t* sees, size_t first,
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
    args.key_at = pages.key_at;
    args.value_at = pages.value_at;
    args.key_stride = key_stride;
    args.value_stride = value_stride;
    args.kv_type = type;
    args.key_dim = key_dim;
    args.value_dim = value_dim;
    args.scale = scale;
    args.out = out.data();
    args.out_stride = stride;
    args.scratch = scratch.data();
    args.largest = largest;
    args.sum = sum;
    kernels.attend(args);
    std::vector<float> packed;
    for (size_t r = 0; r < count; ++r) {
      packed.insert(packed.end(), out.data() + r * stride, out.data() + r * stride + value_dim);
      if (r + 1 < count) CHECK(std::isnan(out[r * stride + value_dim]));  // nothing written beside the row
    }
    return packed;
  }
};

void check_values(const Problem& p, const std::vector<float>& out) {
  for (size_t r = 0; r < p.rows; ++r) {
    std::vector<double> weight(p.visible[r]);
    double largest = -INFINITY, sum = 0, magnitude = 0;
    for (size_t t = 0; t < weight.size(); ++t) {
      double terms = 0;
      for (size_t d = 0; d < p.key_dim; ++d) {
        const double term = static_cast<double>(p.q[r * p.q_stride + d]) * static_cast<double>(p.key_of(t, d));
        weight[t] += term;
        terms += std::fabs(term);
      }
      weight[t] *= static_cast<double>(p.scale);
      magnitude = std::max(magnitude, terms * static_cast<double>(p.scale));
      largest = std::max(largest, weight[t]);
    }
    for (double& w : weight) sum += w = std::exp(w - largest);
    // A score errs by key_dim * 2^-24 of the sum of its terms' magnitudes, and so does its weight, relatively; then
    // come the exponential's 2^-22 and the additions over positions.
    const double relative =
        0x1p-24 * (2 * static_cast<double>(p.key_dim) * magnitude + 16 + 2 * static_cast<double>(p.visible[r]));
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
  for (const VectorRow& row : vector_rows()) {
    if (row.isa > test::isa_limit()) continue;
    INFO(std::string(row.isa_name));
    for (KvType type : {KvType::kF32, KvType::kF16, KvType::kBf16}) {
      CAPTURE(static_cast<int>(type));
      call(*row.kernels, type);
    }
  }
}

TEST_CASE("attend: values on odd shapes") {
  Random random(5);
  for_each_row([&](const VectorKernels& kernels, KvType type) {
    for (size_t dim : {2, 6, 16, 30, 48, 64, 80, 128, 250, 256}) {
      for (size_t rows : {1, 3, 7, 8, 9, 17}) {
        std::vector<uint32_t> visible(rows);
        for (uint32_t& v : visible) v = 1 + random.below(rows == 9 ? 150 : 70);
        const Problem p(type, dim, visible, 2.0f, random);
        CAPTURE(dim);
        CAPTURE(rows);
        check_values(p, p.run(kernels));
      }
    }
  });
}

TEST_CASE("attend: keys and values of different widths, values within the keys' rows or beside them") {
  Random random(12);
  for_each_row([&](const VectorKernels& kernels, KvType type) {
    for (const auto& [key_dim, value_dim] : {std::pair<size_t, size_t>{576, 512},
                                             {192, 128},
                                             {48, 32},
                                             {96, 64},
                                             {40, 38},
                                             {288, 256},
                                             {20, 18},
                                             {10, 2}}) {
      for (Layout layout : {Layout::kApart, Layout::kWithin, Layout::kBeside}) {
        for (size_t rows : {1, 5, 16, 17}) {
          std::vector<uint32_t> visible(rows);
          for (uint32_t& v : visible) v = 1 + random.below(rows == 5 ? 150 : 70);
          const Problem p(type, key_dim, value_dim, layout, visible, 2.0f, random);
          CAPTURE(key_dim);
          CAPTURE(value_dim);
          CAPTURE(static_cast<int>(layout));
          CAPTURE(rows);
          check_values(p, p.run(kernels));
        }
      }
    }
    // More values than keys, and a row's bits alone.
    const Problem p(type, 32, 80, Layout::kBeside, {40, 41, 42, 43, 44, 70, 71, 72, 3}, 1.0f, random);
    const std::vector<float> together = p.run(kernels);
    check_values(p, together);
    for (size_t r = 0; r < p.rows; ++r)
      CHECK(test::same_bits(p.run(kernels, r, 1).data(), &together[r * p.value_dim], p.value_dim));
  });
}

TEST_CASE("attend: the parts of a context, put together, are the whole") {
  Random random(13);
  for_each_row([&](const VectorKernels& kernels, KvType type) {
    const Problem p(type, 72, 64, Layout::kWithin, {1, 64, 65, 150, 130, 129, 90}, 2.0f, random);
    const size_t span = 64;
    std::vector<double> out(p.rows * p.value_dim), sum(p.rows), largest(p.rows, -INFINITY);
    for (size_t first = 0; first < p.positions(); first += span) {
      std::vector<uint32_t> sees(p.rows);
      for (size_t r = 0; r < p.rows; ++r)
        sees[r] = p.visible[r] <= first ? 0 : static_cast<uint32_t>(std::min(p.visible[r] - first, span));
      std::vector<float> part_largest(p.rows, NAN), part_sum(p.rows, NAN);
      const std::vector<float> part =
          p.run(kernels, 0, p.rows, sees.data(), first, part_largest.data(), part_sum.data());
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
    check_values(p, whole);
  });
}

TEST_CASE("attend: a prompt's causal rows, and a row is the same bits alone") {
  Random random(6);
  for_each_row([&](const VectorKernels& kernels, KvType type) {
    std::vector<uint32_t> visible;
    for (uint32_t token = 0; token < 21; ++token) visible.insert(visible.end(), 3, 50 + token);
    const Problem p(type, 64, visible, 1.0f, random);
    const std::vector<float> together = p.run(kernels);
    check_values(p, together);
    for (size_t r = 0; r < p.rows; ++r) {
      CHECK(test::same_bits(p.run(kernels, r, 1).data(), &together[r * p.value_dim], p.value_dim));
      const size_t count = std::min<size_t>(5, p.rows - r);
      CHECK(test::same_bits(p.run(kernels, r, count).data(), &together[r * p.value_dim], count * p.value_dim));
    }
  });
}

TEST_CASE("attend: what a row does not see does not reach it, even if it is no number") {
  Random random(8);
  for_each_row([&](const VectorKernels& kernels, KvType type) {
    Problem p(type, 32, {3, 40, 33, 64, 1}, 1.0f, random);
    const std::vector<float> before = p.run(kernels);
    for (size_t i = 40 * p.value_dim; i < 64 * p.value_dim; ++i) {
      set_element(p.key, type, i, i % 2 ? NAN : INFINITY);
      set_element(p.values(), type, i, i % 2 ? NAN : INFINITY);
    }
    const std::vector<float> after = p.run(kernels);
    for (size_t r : {0, 1, 2, 4})
      CHECK(test::same_bits(&before[r * p.value_dim], &after[r * p.value_dim], p.value_dim));
    CHECK(std::isnan(after[3 * p.value_dim]));
  });
}

TEST_CASE("attend: scores far apart, where the maximum moves late") {
  Random random(9);
  for_each_row([&](const VectorKernels& kernels, KvType type) {
    Problem p(type, 16, {100, 100}, 1.0f, random);
    for (size_t t = 0; t < 100; ++t)  // scores of row 0 climb by several e-folds a position
      for (size_t d = 0; d < 16; ++d) set_element(p.key, type, t * 16 + d, 8 * static_cast<float>(t) / 16);
    for (size_t d = 0; d < 16; ++d) p.q[d] = 4.0f;
    check_values(p, p.run(kernels));
  });
}

}  // namespace
}  // namespace kette::kernels
