// The operations around the matmuls, every row against double or, where the result is exact, bit by bit.
#include <doctest/doctest.h>

#include <cfloat>
#include <cmath>
#include <string>

#include "base/float_types.h"
#include "kernels/kernels.h"
#include "tests/kernels/guarded.h"

namespace kette::kernels {
namespace {

using test::Guarded;
using test::Random;

const size_t kSizes[] = {1, 2, 7, 8, 9, 15, 16, 17, 31, 32, 33, 63, 64, 65, 100, 896, 1000};

template <class Call>
void for_each_row(const Call& call) {
  for (const VectorRow& row : vector_rows()) {
    if (row.isa > test::isa_limit()) continue;
    INFO(std::string(row.isa_name));
    call(*row.kernels);
  }
}

double d(float f) { return static_cast<double>(f); }

// Floats whose neighbours matter when narrowing: every exponent, ties, the ends, not-a-numbers.
std::vector<float> hard_floats() {
  std::vector<float> v = {0.0f,         -0.0f,   INFINITY,  -INFINITY, NAN,      FLT_MAX,  -FLT_MAX,   FLT_MIN,
                          FLT_TRUE_MIN, 65504.f, 65519.99f, 65520.f,   0x1p-24f, 0x1p-25f, 0x1.8p-25f, 0x1.ffcp-15f};
  Random random(1);
  for (uint32_t exponent = 0; exponent < 256; ++exponent)
    for (uint32_t low : {0u, 0x1000u, 0x0fffu, 0x1001u, 0x3000u, 0x8000u, 0x7fffu, 0x8001u, 0x18000u, 0x7fffffu})
      v.push_back(std::bit_cast<float>((random.bits() & 0x80000000u) | exponent << 23 | low));
  for (int i = 0; i < 5000; ++i) v.push_back(std::bit_cast<float>(random.bits()));
  return v;
}

TEST_CASE("rms_norm") {
  Random random(2);
  for_each_row([&](const VectorKernels& kernels) {
    for (size_t n : kSizes) {
      Guarded<float> x(random.normals(n));
      const Guarded<float> weight(random.normals(n));
      Guarded<float> y(n);
      kernels.rms_norm(x.data(), weight.data(), 1e-5f, n, y.data());
      double squares = 0;
      for (size_t i = 0; i < n; ++i) squares += d(x[i]) * d(x[i]);
      const double factor = 1 / std::sqrt(squares / static_cast<double>(n) + d(1e-5f));
      // The sum of n squares errs by n * 2^-24 relatively, its root by half; five more roundings follow.
      const double relative = (static_cast<double>(n) / 2 + 6) * 0x1p-24;
      for (size_t i = 0; i < n; ++i) {
        const double expected = d(x[i]) * factor * d(weight[i]);
        CHECK(std::fabs(d(y[i]) - expected) <= relative * std::fabs(expected));
      }
      kernels.rms_norm(x.data(), weight.data(), 1e-5f, n, x.data());
      CHECK(test::same_bits(x.data(), y.data(), n));
    }
  });
}

TEST_CASE("silu_mul, and through it the exponential's accuracy") {
  for_each_row([&](const VectorKernels& kernels) {
    std::vector<float> gates;
    for (float g = -87.0f; g < 87.0f; g += 0.0037f) gates.push_back(g);
    Guarded<float> gate(gates);
    const Guarded<float> up(std::vector<float>(gates.size(), 1.0f));
    Guarded<float> y(gates.size());
    kernels.silu_mul(gate.data(), up.data(), gates.size(), y.data());
    double worst = 0;
    for (size_t i = 0; i < gates.size(); ++i) {
      const double expected = d(gates[i]) / (1 + std::exp(-d(gates[i])));
      worst = std::max(worst, std::fabs(d(y[i]) / expected - 1));
    }
    CHECK(worst <= 4 * 0x1p-23);  // two for the exponential, half each for sum, quotient and product
    kernels.silu_mul(gate.data(), up.data(), gates.size(), gate.data());
    CHECK(test::same_bits(gate.data(), y.data(), y.size()));

    const float ends[] = {-90.0f, -104.0f, -200.0f, 90.0f, 200.0f, 3e38f, NAN, 0.0f};
    const Guarded<float> end(ends), factor(std::vector<float>(8, 2.0f));
    Guarded<float> z(size_t{8});
    kernels.silu_mul(end.data(), factor.data(), 8, z.data());
    for (size_t i = 0; i < 3; ++i) CHECK(std::fabs(z[i]) < 1e-36f);
    for (size_t i = 3; i < 6; ++i) CHECK(z[i] == 2 * ends[i]);
    CHECK(std::isnan(z[6]));
    CHECK(z[7] == 0.0f);
  });
}

TEST_CASE("add and the rotations") {
  Random random(3);
  for_each_row([&](const VectorKernels& kernels) {
    for (size_t n : kSizes) {
      CAPTURE(n);
      const Guarded<float> x(random.normals(n));
      Guarded<float> y(random.normals(n));
      const std::vector<float> before(y.data(), y.data() + n);
      kernels.add(x.data(), n, y.data());
      for (size_t i = 0; i < n; ++i) CHECK(y[i] == x[i] + before[i]);

      const Guarded<float> angle_cos(random.normals(n)), angle_sin(random.normals(n));
      for (const bool interleaved : {false, true}) {
        Guarded<float> v(random.normals(2 * n));
        const std::vector<float> old(v.data(), v.data() + 2 * n);
        (interleaved ? kernels.rotate_interleaved : kernels.rotate_half)(v.data(), angle_cos.data(), angle_sin.data(),
                                                                         n);
        for (size_t i = 0; i < n; ++i) {
          const size_t a = interleaved ? 2 * i : i, b = interleaved ? 2 * i + 1 : n + i;
          const double c = d(angle_cos[i]), s = d(angle_sin[i]);
          const double terms = (std::fabs(d(old[a])) + std::fabs(d(old[b]))) * (std::fabs(c) + std::fabs(s));
          CHECK(std::fabs(d(v[a]) - (d(old[a]) * c - d(old[b]) * s)) <= 2 * 0x1p-24 * terms);
          CHECK(std::fabs(d(v[b]) - (d(old[b]) * c + d(old[a]) * s)) <= 2 * 0x1p-24 * terms);
        }
      }
    }
  });
}

TEST_CASE("quantize: the reference is right, and the others are the same bits") {
  Random random(4);
  std::vector<float> values = random.normals(32 * 40);
  for (size_t i = 0; i < 32; ++i) values[i] = 0;
  for (size_t i = 32; i < 64; ++i) values[i] *= 1e-37f;
  for (size_t i = 64; i < 96; ++i) values[i] *= 1e30f;
  for (size_t i = 96; i < 128; ++i) values[i] = static_cast<float>(i) - 96;  // ties
  const size_t n = values.size();
  struct Out {
    Guarded<int8_t> q;
    Guarded<float> scale, sum16;
    explicit Out(size_t n) : q(n), scale(n / 32), sum16(n / 16) {}
  };
  const auto run = [&](const VectorKernels& kernels, const std::vector<float>& v, Out& out) {
    const Guarded<float> x(v);
    kernels.quantize(x.data(), n, out.q.data(), out.scale.data(), out.sum16.data());
  };
  const VectorKernels& ref = *vector_rows().back().kernels;
  Out expected(n);
  run(ref, values, expected);
  for (size_t block = 0; block < n / 32; ++block) {
    float largest = 0;
    for (size_t i = 32 * block; i < 32 * block + 32; ++i) largest = std::max(largest, std::fabs(values[i]));
    const float scale = expected.scale[block];
    CHECK(std::fabs(d(scale) * 127 - d(largest)) <= 0x1p-23 * d(largest) + 0x1p-120);
    int sums[2] = {0, 0};
    for (size_t i = 0; i < 32; ++i) {
      const int q = expected.q[32 * block + i];
      CHECK(std::abs(q) <= 127);
      CHECK(std::fabs(q * d(scale) - d(values[32 * block + i])) <= 0.5001 * d(scale) + 0x1p-120);
      sums[i / 16] += q;
    }
    for (size_t half = 0; half < 2; ++half)
      CHECK(expected.sum16[2 * block + half] == scale * static_cast<float>(sums[half]));
  }
  std::vector<float> odd = values;
  const float oddities[] = {NAN, INFINITY, -INFINITY, FLT_MAX, FLT_TRUE_MIN, -NAN};
  for (size_t i = 0; i < n; i += 11) odd[i] = oddities[i % 6];
  Out odd_expected(n);
  run(ref, odd, odd_expected);
  for_each_row([&](const VectorKernels& kernels) {
    for (const bool is_odd : {false, true}) {
      Out out(n);
      run(kernels, is_odd ? odd : values, out);
      const Out& want = is_odd ? odd_expected : expected;
      CHECK(std::memcmp(out.q.data(), want.q.data(), n) == 0);
      CHECK(test::same_bits(out.scale.data(), want.scale.data(), n / 32));
      if (!is_odd) CHECK(test::same_bits(out.sum16.data(), want.sum16.data(), n / 16));
    }
  });
}

TEST_CASE("to_int: the reference is right, and the others are the same bits") {
  Random random(9);
  for (const size_t n : {1, 31, 64, 65, 256, 257, 320, 1000}) {
    CAPTURE(n);
    Guarded<float> x(random.normals(n));
    if (n > 300) std::fill_n(x.data() + 64, 64, 1e-38f);
    if (n > 300) x[200] = 1e4f;
    const size_t blocks = (n + KETTE_INT_BLOCK - 1) / KETTE_INT_BLOCK;
    Guarded<IntNumbers> expected(blocks);
    vector_rows().back().kernels->to_int(x.data(), n, expected.data());
    size_t wrong = 0;
    for (size_t at = 0; at < blocks * KETTE_INT_BLOCK; at += 32) {
      const IntNumbers& block = expected[at / KETTE_INT_BLOCK];
      const size_t group = at % KETTE_INT_BLOCK / 32;
      double largest = 0;
      for (size_t k = at; k < std::min(n, at + 32); ++k) largest = std::max(largest, std::fabs(d(x[k])));
      const double scale = d(block.scale) * block.ratio[group] / 32768, unit = d(block.scale) / 32768;
      wrong += !(std::fabs(scale - largest / 127) <= 0.51 * unit + 0x1p-22 * scale);
      int sum = 0, second = 0;  // the half's
      for (size_t k = at; k < at + 32; ++k) {
        const int q = block.q[k % KETTE_INT_BLOCK];
        const double number = k < n && largest > 0x1p-120 ? d(x[k]) / largest * 127 : 0;
        wrong += !(std::fabs(q - number) <= 0.5001);
        sum += q;
        if (k >= at + 16) second += q;
      }
      wrong += block.start_8[group] != -8 * sum || block.start_128[group] != 8 - 128 * sum;
      wrong += block.start_32[2 * group] != 1 - 32 * (sum - second) || block.start_32[2 * group + 1] != 1 - 32 * second;
      wrong += !(std::fabs(block.sum[group] - sum * (block.ratio[group] / 32768.0)) <= 0.5);
    }
    CHECK(wrong == 0);
    for (const float odd : {0.0f, INFINITY, -INFINITY, NAN, FLT_MAX, FLT_TRUE_MIN}) {
      x[n / 2] = odd;
      vector_rows().back().kernels->to_int(x.data(), n, expected.data());
      for_each_row([&](const VectorKernels& kernels) {
        Guarded<IntNumbers> y(blocks);
        kernels.to_int(x.data(), n, y.data());
        CHECK(std::memcmp(y.data(), expected.data(), blocks * sizeof(IntNumbers)) == 0);
      });
    }
  }
}

TEST_CASE("to_f16 and to_bf16 round as the plain conversion does") {
  const std::vector<float> values = hard_floats();
  for_each_row([&](const VectorKernels& kernels) {
    for (size_t n : {values.size(), size_t{1}, size_t{5}, size_t{13}, size_t{31}}) {
      const Guarded<float> x(std::vector<float>(values.begin(), values.begin() + static_cast<ptrdiff_t>(n)));
      Guarded<uint16_t> half(n), brain(n);
      kernels.to_f16(x.data(), n, half.data());
      kernels.to_bf16(x.data(), n, brain.data());
      size_t wrong = 0;
      for (size_t i = 0; i < n; ++i) wrong += half[i] != float_to_f16(x[i]) || brain[i] != float_to_bf16(x[i]);
      CHECK(wrong == 0);
    }
  });
}

}  // namespace
}  // namespace kette::kernels
