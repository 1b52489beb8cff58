// The operations around the matmuls as plain loops: their definition, and what runs on a CPU without AVX2.
#include "kernels/ref/vector.h"

#include <math.h>
#include <string.h>

#include "base/float_types.h"

namespace kette::kernels::ref {
namespace {

void rms_norm(const float* x, const float* weight, float eps, size_t n, float* y) {
  double squares = 0;
  for (size_t i = 0; i < n; ++i) squares += static_cast<double>(x[i]) * static_cast<double>(x[i]);
  const float factor = static_cast<float>(1.0 / sqrt(squares / static_cast<double>(n) + static_cast<double>(eps)));
  for (size_t i = 0; i < n; ++i) y[i] = x[i] * factor * weight[i];
}

void silu_mul(const float* gate, const float* up, size_t n, float* y) {
  for (size_t i = 0; i < n; ++i) y[i] = gate[i] / (1.0f + expf(-gate[i])) * up[i];
}

void add(const float* x, size_t n, float* y) {
  for (size_t i = 0; i < n; ++i) y[i] += x[i];
}

void rotate(float* a, float* b, float cos, float sin) {
  const float x = *a, y = *b;
  *a = x * cos - y * sin;
  *b = y * cos + x * sin;
}

void rotate_half(float* x, const float* cos, const float* sin, size_t half) {
  for (size_t i = 0; i < half; ++i) rotate(x + i, x + half + i, cos[i], sin[i]);
}

void rotate_interleaved(float* x, const float* cos, const float* sin, size_t half) {
  for (size_t i = 0; i < half; ++i) rotate(x + 2 * i, x + 2 * i + 1, cos[i], sin[i]);
}

// The larger one; not a number where one of them is none.
float larger(float a, float b) { return a > b || a != a ? a : b; }

// q = round(x * 127 / largest). Below 2^-120 there is no such factor in a float, and all count as zero. -> the scale
float to_bytes(const float* x, size_t n, int8_t* q) {
  float largest = 0;
  for (size_t i = 0; i < n; ++i) largest = larger(largest, fabsf(x[i]));
  const bool tiny = largest < 0x1p-120f;
  const float factor = largest >= 0x1p-120f ? 127.0f / largest : 0.0f;
  for (size_t i = 0; i < n; ++i) {
    const float scaled = x[i] * factor;  // not a number where x is not finite; all else is 0 then
    q[i] = static_cast<int8_t>(scaled >= 127.0f ? 127 : scaled >= -127.0f ? lrintf(scaled) : -127);
  }
  return tiny ? 0.0f : largest / 127.0f;
}

int32_t sum_of(const int8_t* q, size_t n) {
  int32_t sum = 0;
  for (size_t i = 0; i < n; ++i) sum += q[i];
  return sum;
}

void quantize(const float* x, size_t n, int8_t* q, float* scale, float* sum16) {
  for (size_t block = 0; block < n / 32; ++block, q += 32) {
    scale[block] = to_bytes(x + 32 * block, 32, q);
    for (size_t half = 0; half < 2; ++half)
      sum16[2 * block + half] = scale[block] * static_cast<float>(sum_of(q + 16 * half, 16));
  }
}

void to_f16(const float* x, size_t n, uint16_t* y) {
  for (size_t i = 0; i < n; ++i) y[i] = float_to_f16(x[i]);
}

void to_bf16(const float* x, size_t n, uint16_t* y) {
  for (size_t i = 0; i < n; ++i) y[i] = float_to_bf16(x[i]);
}

}  // namespace

void to_int(const float* x, size_t n, IntNumbers* y) {
  for (size_t block = 0; block < n; block += KETTE_INT_BLOCK, ++y) {
    constexpr size_t kGroups = KETTE_INT_BLOCK / 32;
    int8_t* q = y->q;
    memset(q, 0, sizeof(y->q));
    float scale[kGroups] = {}, largest = 0;
    for (size_t g = 0; g < kGroups && block + 32 * g < n; ++g) {
      const size_t left = n - block - 32 * g;
      scale[g] = to_bytes(x + block + 32 * g, left < 32 ? left : 32, q + 32 * g);
      largest = larger(largest, scale[g]);
    }
    y->scale = largest * (32768.0f / 32767.0f);
    for (size_t g = 0; g < kGroups; ++g) {
      // All groups as long as the largest, infinite ones too, have the whole of it.
      y->ratio[g] = scale[g] < largest ? static_cast<int16_t>(lrintf(scale[g] / largest * 32767.0f))
                                       : static_cast<int16_t>(largest > 0 ? 32767 : 0);
      const int sum = sum_of(q + 32 * g, 32);
      y->sum[g] = static_cast<int16_t>((sum * y->ratio[g] + 16384) >> 15);
      y->start_8[g] = -8 * sum;
      for (size_t half = 0; half < 2; ++half) y->start_32[2 * g + half] = 1 - 32 * sum_of(q + 32 * g + 16 * half, 16);
      y->start_128[g] = 8 - 128 * sum;
    }
  }
}

const VectorKernels kVector = {rms_norm, silu_mul, add,     rotate_half, rotate_interleaved,
                               quantize, to_f16,   to_bf16, to_int};

}  // namespace kette::kernels::ref
