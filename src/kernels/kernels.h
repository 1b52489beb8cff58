// The kernels that one runtime uses: chosen once from the lists by what the CPU can do.
#pragma once

#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "base/cpu_features.h"
#include "base/log.h"
#include "kernels/kernel_table.h"
#include "kernels/panel.h"
#include "quant/format.h"

namespace kette::kernels {

// What of an activation a dot kernel reads.
enum class Form { kF32, kQ8 };

struct VectorRow {
  std::string_view isa_name;
  Isa isa;
  const VectorKernels* kernels;
};
struct AttendRow {
  std::string_view name;
  Isa isa;
  bool rounds;  // to bfloat16: for fast mode alone
  Attend run;
};
struct DotRow {
  std::string_view isa_name;
  Isa isa;
  std::string_view format;  // "any": every format, through its decoder
  Form form;
  bool many;  // takes any number of activations, not 16 at most
  Dot run;
};
struct UnpackRow {
  std::string_view isa_name;
  Isa isa;
  std::string_view format;  // "any": every format, through its decoder
  PanelType type;
  Unpack run;
};
// All rows, in the lists' order: for the dispatcher, the tests and the benchmark.
std::span<const VectorRow> vector_rows();
std::span<const AttendRow> attend_rows();
std::span<const DotRow> dot_rows();
std::span<const UnpackRow> unpack_rows();

struct Kernels {
  Isa isa = Isa::kRef;
  const VectorKernels* vector = nullptr;
  Attend attend = nullptr, fast_attend = nullptr;
  std::unique_ptr<PanelMultiply> exact_panel;               // f32
  std::vector<std::unique_ptr<PanelMultiply>> fast_panels;  // of other types, best first
  size_t panel_from = SIZE_MAX;    // so many rows are worth one in fast mode, where a dot row takes many
  std::string_view generated_isa;  // what generated code may use at most; empty: there is none
  // The dot row for a weight format; exact mode admits only rows that read the activation as f32.
  const DotRow& dot(std::string_view format, bool exact) const;
  // The row that fills panels of a type with weights of a format; nullptr: none does, which is so of integers alone.
  const UnpackRow* unpack(std::string_view format, PanelType type) const;
  // For each panel multiply.
  template <class F>
  void each_panel(F&& f) const {
    if (exact_panel != nullptr) f(*exact_panel);
    for (const auto& panel : fast_panels) f(*panel);
  }
};

// Rows of `isa` and below. `jit` false leaves out rows that generate code. A row that cannot run here is passed over
// for the next, with a warning to `log`; so is said where generated code goes beyond `isa` (kernels/onednn/isa_limit.h).
Result<Kernels> choose_kernels(Isa isa, bool jit, const LogSink& log);

}  // namespace kette::kernels
