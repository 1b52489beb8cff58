// The matmul of many rows: weights are decoded panel by panel into L2 and multiplied there, so each weight is
// decoded once whatever the number of rows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/cpu_features.h"
#include "base/status.h"
#include "kernels/kernel_table.h"

namespace kette::kernels {

enum class PanelType { kF32, kBf16, kInts };

inline constexpr size_t kPanelWidth = KETTE_PANEL_WIDTH;  // weight rows in a panel
inline constexpr size_t kPanelDepth = 1024;               // of their columns at a time
inline constexpr size_t kWidePanels = 4;  // so many may be filled before they are multiplied by, but of f32

// Bytes of an activation row's first n numbers in the form that such a panel is multiplied by; n is a multiple of
// KETTE_INT_BLOCK for integers.
constexpr size_t row_bytes(PanelType type, size_t n) {
  return type == PanelType::kF32 ? 4 * n : type == PanelType::kBf16 ? 2 * n : n / KETTE_INT_BLOCK * sizeof(IntNumbers);
}
constexpr size_t panel_bytes(PanelType type) {
  return type == PanelType::kInts ? kPanelDepth / KETTE_INT_BLOCK * (kPanelWidth / 16) * sizeof(IntWeights)
                                  : row_bytes(type, kPanelDepth) * kPanelWidth;
}
// Panels side by side that one piece of work fills at most.
constexpr size_t most_panels(PanelType type) { return type == PanelType::kF32 ? 1 : kWidePanels; }

struct PanelArgs {
  const std::byte* a;  // [m][a_stride]: activation rows of the panel's type, floats, bfloat16 or IntNumbers
  size_t a_stride;     // in bytes
  size_t m;
  const void* panel;  // as UnpackArgs says
  size_t k;           // at most kPanelDepth; even for bf16
  size_t width;       // columns of the result, at most kPanelWidth
  bool add;           // c += a * panel, else c = a * panel
  float* c;           // [m][c_stride]
  size_t c_stride;
  void* scratch;                     // scratch_bytes(), cache-line aligned, one per thread
  const UnpackArgs* next = nullptr;  // weights that are unpacked after this: multiplies of ours ask for them meanwhile
};

// c[i][j] depends on row i of a and column j of the panel alone, and sums over k in one order whatever m is.
// Thread-safe.
class PanelMultiply {
 public:
  virtual ~PanelMultiply() = default;
  virtual PanelType type() const = 0;
  virtual size_t scratch_bytes() const = 0;
  virtual Status multiply(const PanelArgs& args) = 0;
  // After the last multiply of a stretch of work on this thread: give back what it set up in the core.
  virtual void leave_thread() {}
};

// The constructors named in panel.inc: nullptr-free, or the Status that says why this row cannot run here.
#define KETTE_PANEL(where, type, isa, from) Result<std::unique_ptr<PanelMultiply>> make_##where##_##type##_panel();
#include "kernels/panel.inc"
#undef KETTE_PANEL

}  // namespace kette::kernels
