// q4_k: 256 numbers in 144 bytes, 8 groups of 32, x = d * scale * q - dmin * min, q in 0..15.
//   bytes  0..1    d, half
//   bytes  2..3    dmin, half
//   bytes  4..15   scales and mins, see k_scales.h
//   bytes 16..143  four runs of 32 bytes, run r: low nibbles belong to group 2r, high nibbles to group 2r + 1
#include <algorithm>

#include "quant/block.h"
#include "quant/k_scales.h"

namespace kette {
namespace {

constexpr size_t kNumbers = 256, kBytes = 144, kGroup = 32, kGroups = 8;

void decode(const std::byte* blocks, float* out, size_t n) {
  for (size_t i = 0; i < n; i += kNumbers, blocks += kBytes) {
    const float d = load_f16(blocks), dmin = load_f16(blocks + 2);
    const KScales s = unpack_k_scales(octets(blocks) + 4);
    for (size_t g = 0; g < kGroups; g += 2) {
      const auto q = load<Bytes<32>>(blocks + 16 + 16 * g);
      const float low = d * static_cast<float>(s.scale[g]), low_min = dmin * static_cast<float>(s.min[g]);
      const float high = d * static_cast<float>(s.scale[g + 1]), high_min = dmin * static_cast<float>(s.min[g + 1]);
      float* x = out + i + kGroup * g;
      for (size_t j = 0; j < 32; ++j) x[j] = low * static_cast<float>(q[j] & 15) - low_min;
      for (size_t j = 0; j < 32; ++j) x[j + 32] = high * static_cast<float>(q[j] >> 4) - high_min;
    }
  }
}

// x is near step * q - min, both not negative.
struct Affine {
  float step = 0.0f, min = 0.0f;
};

using Group = std::array<float, kGroup>;

// The levels that a fit gives the numbers x [32].
Group levels_of(const float* x, Affine fit) {
  const float inverse_step = inverse(fit.step);
  Group q;
  for (size_t j = 0; j < kGroup; ++j)
    q[j] = static_cast<float>(truncate_to((x[j] + fit.min) * inverse_step + 0.5f, 15));
  return q;
}

// The sum of squared errors of a group under a fit.
float error_of(const float* x, Affine fit) {
  const Group q = levels_of(x, fit);
  Group squares;
  for (size_t j = 0; j < kGroup; ++j) {
    const float e = fit.step * q[j] - fit.min - x[j];
    squares[j] = e * e;
  }
  return sum_in_halves(squares);
}

// The least-squares step and min for the levels that `fit` gives the numbers of the group.
Affine refit(const float* x, Affine fit) {
  const Group q = levels_of(x, fit);
  Group numbers, qq, qx;
  for (size_t j = 0; j < kGroup; ++j) {
    numbers[j] = x[j];
    qq[j] = q[j] * q[j];
    qx[j] = q[j] * x[j];
  }
  const float q_sum = sum_in_halves(q), qq_sum = sum_in_halves(qq);
  const float x_sum = sum_in_halves(numbers), qx_sum = sum_in_halves(qx);
  const float count = kGroup, determinant = count * qq_sum - q_sum * q_sum;
  if (determinant > 0.0f) {
    const Affine free{(count * qx_sum - q_sum * x_sum) / determinant, (q_sum * qx_sum - qq_sum * x_sum) / determinant};
    if (free.step > 0.0f && free.min >= 0.0f) return free;
  }
  return {qq_sum > 0.0f ? std::max(qx_sum / qq_sum, 0.0f) : 0.0f, 0.0f};
}

// The format cannot say "larger than the least number", so min reaches down from zero. Steps around range / 15 are
// tried, since a little clipping at the ends often pays, and each is refitted.
Affine fit_group(const float* x) {
  const Range range = range_of(x, kGroup);
  const float min = std::max(-range.low, 0.0f), span = range.high + min;
  Affine best{0.0f, min};
  float best_error = error_of(x, best);
  for (const float levels : {14.0f, 15.0f, 16.0f, 17.0f}) {
    const Affine fit = refit(x, {span / levels, min});
    const float error = error_of(x, fit);
    if (error < best_error) {
      best_error = error;
      best = fit;
    }
  }
  return best;
}

void encode(const float* in, std::byte* blocks, size_t n) {
  for (size_t i = 0; i < n; i += kNumbers, blocks += kBytes) {
    Affine fits[kGroups];
    Affine largest;
    for (size_t g = 0; g < kGroups; ++g) {
      fits[g] = fit_group(in + i + kGroup * g);
      largest = {std::max(largest.step, fits[g].step), std::max(largest.min, fits[g].min)};
    }
    store_f16(std::min(largest.step / 63.0f, 65504.0f), blocks);
    store_f16(std::min(largest.min / 63.0f, 65504.0f), blocks + 2);
    const float d = load_f16(blocks), dmin = load_f16(blocks + 2);
    const float inverse_d = inverse(d), inverse_dmin = inverse(dmin);

    KScales s;
    for (size_t g = 0; g < kGroups; ++g) {
      const float* x = in + i + kGroup * g;
      const int scale = truncate_to(fits[g].step * inverse_d + 0.5f, 63);
      const int min = truncate_to(fits[g].min * inverse_dmin + 0.5f, 63);
      // Rounding step and min apart is not best together: take the best of the neighbours.
      Affine best{d * static_cast<float>(scale), dmin * static_cast<float>(min)};
      float best_error = error_of(x, best);
      s.scale[g] = static_cast<uint8_t>(scale);
      s.min[g] = static_cast<uint8_t>(min);
      for (int a = std::max(scale - 1, 0); a <= std::min(scale + 1, 63); ++a) {
        for (int b = std::max(min - 1, 0); b <= std::min(min + 1, 63); ++b) {
          const Affine fit{d * static_cast<float>(a), dmin * static_cast<float>(b)};
          const float error = error_of(x, fit);
          if (!(error < best_error)) continue;
          best_error = error;
          best = fit;
          s.scale[g] = static_cast<uint8_t>(a);
          s.min[g] = static_cast<uint8_t>(b);
        }
      }
      const Group levels = levels_of(x, best);
      uint8_t* q = octets(blocks) + 16 + 32 * (g / 2);
      for (size_t j = 0; j < kGroup; ++j) {
        const int level = static_cast<int>(levels[j]);
        q[j] = static_cast<uint8_t>(g % 2 == 0 ? level : q[j] | level << 4);
      }
    }
    pack_k_scales(s, octets(blocks) + 4);
  }
}

}  // namespace

const Format format_q4_k = {"q4_k", 12, kNumbers, kBytes, decode, encode};

}  // namespace kette
