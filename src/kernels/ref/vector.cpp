// The operations around the matmuls as plain loops: their definition, and what runs on a CPU without AVX2.
#include "kernels/ref/vector.h"

#include <math.h>

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

// Of each 32: q = round(x * 127 / largest). Below 2^-120 there is no such factor in a float, and all count as zero.
void quantize(const float* x, size_t n, int8_t* q, float* scale, float* sum16) {
  for (size_t block = 0; block < n / 32; ++block, x += 32, q += 32) {
    float largest = 0;
    for (size_t i = 0; i < 32; ++i) largest = fabsf(x[i]) > largest ? fabsf(x[i]) : largest;
    const bool tiny = largest < 0x1p-120f;
    const float factor = tiny ? 0.0f : 127.0f / largest;
    scale[block] = tiny ? 0.0f : largest / 127.0f;
    for (size_t half = 0; half < 2; ++half) {
      int sum = 0;
      for (size_t i = 16 * half; i < 16 * half + 16; ++i) {
        const float scaled = x[i] * factor;  // not a number where x is not finite
        q[i] = static_cast<int8_t>(scaled >= 127.0f ? 127 : scaled >= -127.0f ? lrintf(scaled) : -127);
        sum += q[i];
      }
      sum16[2 * block + half] = scale[block] * static_cast<float>(sum);
    }
  }
}

void to_f16(const float* x, size_t n, uint16_t* y) {
  for (size_t i = 0; i < n; ++i) y[i] = float_to_f16(x[i]);
}

void to_bf16(const float* x, size_t n, uint16_t* y) {
  for (size_t i = 0; i < n; ++i) y[i] = float_to_bf16(x[i]);
}

}  // namespace

const VectorKernels kVector = {rms_norm, silu_mul, add,     rotate_half, rotate_interleaved,
                               quantize, to_f16,   to_bf16, attend};

}  // namespace kette::kernels::ref
