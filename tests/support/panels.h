// Panels of every type, and the activation rows that they are multiplied by, made and read as plain loops.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstring>
#include <span>

#include "base/aligned_buffer.h"
#include "base/float_types.h"
#include "kernels/kernels.h"

namespace kette::test {

using kernels::kPanelWidth;
using kernels::PanelType;

inline const char* panel_type_name(PanelType type) {
  return type == PanelType::kF32 ? "f32" : type == PanelType::kBf16 ? "bf16" : "ints";
}

// Of a panel of integers: the strip with this column, at number k.
inline kernels::IntWeights& int_weights(void* panel, size_t k, size_t column) {
  return static_cast<kernels::IntWeights*>(panel)[k / KETTE_INT_BLOCK * (kPanelWidth / 16) + column / 16];
}
inline const kernels::IntWeights& int_weights(const void* panel, size_t k, size_t column) {
  return int_weights(const_cast<void*>(panel), k, column);
}

// What its codes are too large by.
constexpr int int_zero(uint32_t share, int32_t shift) { return static_cast<int>((256u << shift) / share); }

inline double panel_number(PanelType type, const void* panel, size_t k, size_t column) {
  const auto d = [](float f) { return static_cast<double>(f); };
  switch (type) {
    case PanelType::kF32: return d(static_cast<const float*>(panel)[k * kPanelWidth + column]);
    case PanelType::kBf16:
      return d(bf16_to_float(static_cast<const uint16_t*>(panel)[(k / 2 * kPanelWidth + column) * 2 + k % 2]));
    case PanelType::kInts: break;
  }
  const kernels::IntWeights& w = int_weights(panel, k, column);
  const size_t at = k % KETTE_INT_BLOCK, row = column % 16, part = at / w.share;
  const int code = w.code[at / 4][row][at % 4] - int_zero(w.share, w.shift);
  const double product = std::ldexp(code * w.scale[part / 2][row][part % 2], -w.shift);
  return (product + (w.has_offsets ? w.offset[at / 64][row][at % 64 / 32] : 0)) * d(w.unit[row]);
}

// How a panel of integers may be laid out.
struct IntKind {
  uint32_t share = 32;
  int32_t shift = 0;
  bool has_offsets = false;
};
inline constexpr IntKind kIntKinds[] = {{32, 0, false}, {32, 0, true}, {32, 4, false}, {16, 1, false}};

// w: [k][kPanelWidth], k at most kPanelDepth.
inline AlignedBuffer<std::byte> make_panel(PanelType type, std::span<const float> w, IntKind kind = {}) {
  const size_t depth = w.size() / kPanelWidth;
  AlignedBuffer<std::byte> panel(kernels::panel_bytes(type));
  std::fill(panel.span().begin(), panel.span().end(), std::byte{0});
  if (type == PanelType::kF32) std::memcpy(panel.data(), w.data(), w.size_bytes());
  for (size_t column = 0; column < kPanelWidth; ++column) {
    const auto number = [&](size_t k) { return w[k * kPanelWidth + column]; };
    for (size_t k = 0; type == PanelType::kBf16 && k < depth; ++k) {
      const uint16_t half = float_to_bf16(number(k));
      std::memcpy(panel.data() + 2 * ((k / 2 * kPanelWidth + column) * 2 + k % 2), &half, 2);
    }
    for (size_t from = 0; type == PanelType::kInts && from < depth; from += kind.share) {
      const size_t end = std::min(depth, from + kind.share), row = column % 16,
                   part = from % KETTE_INT_BLOCK / kind.share;
      kernels::IntWeights& weights = int_weights(panel.data(), from, column);
      weights.share = kind.share;
      weights.shift = kind.shift;
      weights.has_offsets = kind.has_offsets;
      // Codes as large as the kind allows, and numbers up to 5.
      const int zero = int_zero(kind.share, kind.shift);
      const auto most = static_cast<float>(zero - 1);
      const float unit = 5 / most / KETTE_INT_MOST_SCALE * static_cast<float>(1 << kind.shift);
      float largest = 0;
      for (size_t k = from; k < end; ++k) largest = std::max(largest, std::fabs(number(k)));
      for (size_t k = from; k < end; ++k) {
        const long code = largest > 0 ? std::lround(number(k) / largest * most) : 0;
        weights.code[k % KETTE_INT_BLOCK / 4][row][k % 4] = static_cast<uint8_t>(code + zero);
      }
      weights.scale[part / 2][row][part % 2] = static_cast<int16_t>(std::lround(largest / 5 * KETTE_INT_MOST_SCALE));
      if (kind.has_offsets) weights.offset[part / 2][row][part % 2] = static_cast<int16_t>(column * 10);
      weights.unit[row] = unit;
    }
  }
  return panel;
}

// [m] rows of k numbers, `stride` bytes apart.
struct PanelRows {
  AlignedBuffer<std::byte> data;
  size_t stride;

  PanelRows(PanelType type, std::span<const float> x, size_t m) {
    const size_t k = x.size() / m, whole = (k + KETTE_INT_BLOCK - 1) / KETTE_INT_BLOCK * KETTE_INT_BLOCK;
    const kernels::VectorKernels& ref = *kernels::vector_rows().back().kernels;
    stride = kernels::row_bytes(type, type == PanelType::kInts ? whole : k);
    data = AlignedBuffer<std::byte>(m * stride);
    for (size_t i = 0; i < m; ++i) {
      std::byte* to = data.data() + i * stride;
      const float* from = x.data() + i * k;
      switch (type) {
        case PanelType::kF32: std::memcpy(to, from, k * sizeof(float)); break;
        case PanelType::kBf16: ref.to_bf16(from, k, reinterpret_cast<uint16_t*>(to)); break;
        case PanelType::kInts: ref.to_int(from, k, reinterpret_cast<kernels::IntNumbers*>(to));
      }
    }
  }
};

}  // namespace kette::test
