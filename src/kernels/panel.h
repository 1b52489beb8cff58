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

enum class PanelType { kF32, kBf16 };

inline constexpr size_t kPanelWidth = KETTE_PANEL_WIDTH;  // weight rows in a panel
inline constexpr size_t kPanelDepth = 1024;               // of their columns at a time: 128 KiB in bf16, 256 KiB in f32
inline constexpr size_t kWidePanels = 4;                  // in bf16 so many may be filled before they are multiplied by

struct PanelArgs {
  const void* a;    // [m][a_stride] of the panel's type: activation rows
  size_t a_stride;  // in elements
  size_t m;
  const void* panel;  // f32: [k][kPanelWidth]; bf16: [k / 2][kPanelWidth][2]
  size_t k;           // at most kPanelDepth; even for bf16
  size_t width;       // columns of the result, at most kPanelWidth
  bool add;           // c += a * panel, else c = a * panel
  float* c;           // [m][c_stride]
  size_t c_stride;
  void* scratch;  // scratch_bytes(), cache-line aligned, one per thread
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
