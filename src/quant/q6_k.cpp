// q6_k: 256 numbers in 210 bytes, 16 groups of 16, x = d * scale * (q - 32), q in 0..63, scale a signed byte.
//   bytes   0..127  two halves of 64 bytes, one per 128 numbers; low nibbles: bits 0..3 of q of the half's numbers
//                   0..63, high nibbles: of its numbers 64..127
//   bytes 128..191  two halves of 32 bytes; byte l, bits 2s..2s+1: bits 4..5 of q of number 32 s + l of the half
//   bytes 192..207  scale of group g
//   bytes 208..209  d, half
#include <algorithm>

#include "quant/block.h"

namespace kette {
namespace {

constexpr size_t kNumbers = 256, kBytes = 210, kGroup = 16, kGroups = 16;

// 32 numbers, two groups: run kRun of a half. Constant shifts let bytes be shifted sixteen at a time.
template <int kRun>
void decode_run(const std::byte* low, const std::byte* high, const uint8_t* scales, float d, float* x) {
  const auto l = load<Bytes<32>>(low + 32 * (kRun % 2)), h = load<Bytes<32>>(high);
  const float scale = d * static_cast<float>(static_cast<int8_t>(scales[2 * kRun]));
  const float scale2 = d * static_cast<float>(static_cast<int8_t>(scales[2 * kRun + 1]));
  const auto level = [&](size_t j) {
    return static_cast<float>(((l[j] >> 4 * (kRun / 2) & 15) | (h[j] >> 2 * kRun & 3) << 4) - 32);
  };
  for (size_t j = 0; j < 16; ++j) x[32 * kRun + j] = scale * level(j);
  for (size_t j = 16; j < 32; ++j) x[32 * kRun + j] = scale2 * level(j);
}

void decode(const std::byte* blocks, float* out, size_t n) {
  for (size_t i = 0; i < n; i += kNumbers, blocks += kBytes) {
    const float d = load_f16(blocks + 208);
    for (size_t half = 0; half < 2; ++half) {
      const std::byte *low = blocks + 64 * half, *high = blocks + 128 + 32 * half;
      const uint8_t* scales = octets(blocks) + 192 + 8 * half;
      float* x = out + i + 128 * half;
      decode_run<0>(low, high, scales, d, x);
      decode_run<1>(low, high, scales, d, x);
      decode_run<2>(low, high, scales, d, x);
      decode_run<3>(low, high, scales, d, x);
    }
  }
}

using Group = std::array<float, kGroup>;

// q - 32 for the numbers x [16], so that x is near step * (q - 32).
Group levels_of(const float* x, float step) {
  const float inverse_step = inverse(step);
  Group q;
  for (size_t j = 0; j < kGroup; ++j) q[j] = static_cast<float>(truncate_to(x[j] * inverse_step + 32.5f, 63) - 32);
  return q;
}

// The sum of squared errors of a group.
float error_of(const float* x, float step) {
  const Group q = levels_of(x, step);
  Group squares;
  for (size_t j = 0; j < kGroup; ++j) squares[j] = (step * q[j] - x[j]) * (step * q[j] - x[j]);
  return sum_in_halves(squares);
}

// The number of largest magnitude goes to about -32, the level that has no positive twin; steps around that are tried,
// and each is refitted by least squares to the levels it gives.
float fit_group(const float* x) {
  const float peak = peak_of(x, kGroup);
  float best = peak / -32.0f, best_error = error_of(x, best);
  for (const float level : {-30.5f, -31.0f, -31.5f, -32.0f, -32.5f, -33.0f}) {
    const Group q = levels_of(x, peak / level);
    Group qq, qx;
    for (size_t j = 0; j < kGroup; ++j) {
      qq[j] = q[j] * q[j];
      qx[j] = q[j] * x[j];
    }
    const float step = sum_in_halves(qx) * inverse(sum_in_halves(qq)), error = error_of(x, step);
    if (error < best_error) {
      best_error = error;
      best = step;
    }
  }
  return best;
}

void encode(const float* in, std::byte* blocks, size_t n) {
  for (size_t i = 0; i < n; i += kNumbers, blocks += kBytes) {
    float steps[kGroups];
    for (size_t g = 0; g < kGroups; ++g) steps[g] = fit_group(in + i + kGroup * g);
    store_f16(std::clamp(peak_of(steps, kGroups) / -128.0f, -65504.0f, 65504.0f), blocks + 208);
    const float d = load_f16(blocks + 208), inverse_d = inverse(d);

    std::fill_n(octets(blocks), 192, uint8_t{0});
    for (size_t g = 0; g < kGroups; ++g) {
      const float* x = in + i + kGroup * g;
      const int rounded = truncate_to(steps[g] * inverse_d + 128.5f, 255) - 128;
      int scale = rounded;
      float best_error = error_of(x, d * static_cast<float>(scale));
      for (const int other : {std::max(rounded - 1, -128), std::min(rounded + 1, 127)}) {
        const float error = error_of(x, d * static_cast<float>(other));
        if (error < best_error) {
          best_error = error;
          scale = other;
        }
      }
      octets(blocks)[192 + g] = static_cast<uint8_t>(scale);
      const Group levels = levels_of(x, d * static_cast<float>(scale));
      const size_t half = g / 8, run = g % 8 / 2;
      uint8_t* low = octets(blocks) + 64 * half + 16 * (g % 4);
      uint8_t* high = octets(blocks) + 128 + 32 * half + 16 * (g % 2);
      for (size_t j = 0; j < kGroup; ++j) {
        const int level = static_cast<int>(levels[j]) + 32;
        low[j] |= static_cast<uint8_t>((level & 15) << 4 * (run / 2));
        high[j] |= static_cast<uint8_t>(level >> 4 << 2 * run);
      }
    }
  }
}

}  // namespace

const Format format_q6_k = {"q6_k", 14, kNumbers, kBytes, decode, encode};

}  // namespace kette
