// Attention of every vector row against softmax in double.
#include <doctest/doctest.h>

#include <cmath>
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

// Keys and values end at an unreadable page right after the last position that any row sees.
struct Problem {
  KvType type;
  size_t head_dim, rows, q_stride;
  std::vector<uint32_t> visible;
  Guarded<float> q;
  Guarded<uint8_t> key, value;
  float scale;

  Problem(KvType type_, size_t dim, std::vector<uint32_t> visible_, float spread, Random& random)
      : type(type_), head_dim(dim), rows(visible_.size()), q_stride(dim + 3), visible(std::move(visible_)),
        q((rows - 1) * q_stride + dim), key(bytes()), value(bytes()), scale(1 / std::sqrt(static_cast<float>(dim))) {
    for (size_t i = 0; i < q.size(); ++i) q[i] = spread * random.normal();
    for (size_t i = 0; i < positions() * dim; ++i) {
      set_element(key, type, i, random.normal());
      set_element(value, type, i, random.normal());
    }
  }
  size_t positions() const { return *std::max_element(visible.begin(), visible.end()); }
  size_t bytes() const { return positions() * head_dim * (type == KvType::kF32 ? 4 : 2); }

  std::vector<float> run(const VectorKernels& kernels) const { return run(kernels, 0, rows); }
  // [count][head_dim] of rows from `from` on.
  std::vector<float> run(const VectorKernels& kernels, size_t from, size_t count) const {
    const size_t stride = head_dim + 5;
    Guarded<float> out((count - 1) * stride + head_dim);
    for (size_t i = 0; i < out.size(); ++i) out[i] = NAN;
    AlignedBuffer<float> scratch(KETTE_ATTEND_SCRATCH(head_dim, count));
    for (float& f : scratch.span()) f = NAN;
    kernels.attend({q.data() + from * q_stride, q_stride, visible.data() + from, count, key.data(), value.data(), type,
                    head_dim, scale, out.data(), stride, scratch.data()});
    std::vector<float> packed;
    for (size_t r = 0; r < count; ++r) {
      packed.insert(packed.end(), out.data() + r * stride, out.data() + r * stride + head_dim);
      if (r + 1 < count) CHECK(std::isnan(out[r * stride + head_dim]));  // nothing written beside the row
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
      for (size_t d = 0; d < p.head_dim; ++d) {
        const double term = static_cast<double>(p.q[r * p.q_stride + d]) *
                            static_cast<double>(element(p.key, p.type, t * p.head_dim + d));
        weight[t] += term;
        terms += std::fabs(term);
      }
      weight[t] *= static_cast<double>(p.scale);
      magnitude = std::max(magnitude, terms * static_cast<double>(p.scale));
      largest = std::max(largest, weight[t]);
    }
    for (double& w : weight) sum += w = std::exp(w - largest);
    // A score errs by head_dim * 2^-24 of the sum of its terms' magnitudes, and so does its weight, relatively; then
    // come the exponential's 2^-22 and the additions over positions.
    const double relative = 0x1p-24 * (2 * static_cast<double>(p.head_dim) * magnitude + 16 +
                                       2 * static_cast<double>(p.visible[r]));
    for (size_t d = 0; d < p.head_dim; ++d) {
      double expected = 0, terms = 0;
      for (size_t t = 0; t < weight.size(); ++t) {
        const double term = weight[t] / sum * static_cast<double>(element(p.value, p.type, t * p.head_dim + d));
        expected += term;
        terms += std::fabs(term);
      }
      const double got = static_cast<double>(out[r * p.head_dim + d]);
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

TEST_CASE("attend: a prompt's causal rows, and a row is the same bits alone") {
  Random random(6);
  for_each_row([&](const VectorKernels& kernels, KvType type) {
    std::vector<uint32_t> visible;
    for (uint32_t token = 0; token < 21; ++token) visible.insert(visible.end(), 3, 50 + token);
    const Problem p(type, 64, visible, 1.0f, random);
    const std::vector<float> together = p.run(kernels);
    check_values(p, together);
    for (size_t r = 0; r < p.rows; ++r) {
      CHECK(test::same_bits(p.run(kernels, r, 1).data(), &together[r * p.head_dim], p.head_dim));
      const size_t count = std::min<size_t>(5, p.rows - r);
      CHECK(test::same_bits(p.run(kernels, r, count).data(), &together[r * p.head_dim], count * p.head_dim));
    }
  });
}

TEST_CASE("attend: what a row does not see does not reach it, even if it is no number") {
  Random random(8);
  for_each_row([&](const VectorKernels& kernels, KvType type) {
    Problem p(type, 32, {3, 40, 33, 64, 1}, 1.0f, random);
    const std::vector<float> before = p.run(kernels);
    for (size_t i = 40 * p.head_dim; i < 64 * p.head_dim; ++i) {
      set_element(p.key, type, i, i % 2 ? NAN : INFINITY);
      set_element(p.value, type, i, i % 2 ? NAN : INFINITY);
    }
    const std::vector<float> after = p.run(kernels);
    for (size_t r : {0, 1, 2, 4})
      CHECK(test::same_bits(&before[r * p.head_dim], &after[r * p.head_dim], p.head_dim));
    CHECK(std::isnan(after[3 * p.head_dim]));
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
