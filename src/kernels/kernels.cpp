#include "kernels/kernels.h"

#include <algorithm>
#include <iterator>

#include "kernels/onednn/isa_limit.h"

namespace kette::kernels {
namespace {

// The words of the lists; any other does not compile.
consteval Isa isa_of(std::string_view name) { return parse_isa(name).value(); }

consteval Form form_of(std::string_view name) {
  if (name == "q8") return Form::kQ8;
  if (name == "f32") return Form::kF32;
  throw "no form of activations";
}

consteval PanelType panel_type_of(std::string_view name) {
  if (name == "f32") return PanelType::kF32;
  if (name == "bf16") return PanelType::kBf16;
  if (name == "ints") return PanelType::kInts;
  throw "no type of panels";
}

struct PanelRow {
  std::string_view name;
  Isa isa;
  PanelType type;
  bool generates_code;
  size_t from;
  Result<std::unique_ptr<PanelMultiply>> (*make)();
};

constexpr size_t never = SIZE_MAX;

constexpr VectorRow kVectorRows[] = {
#define KETTE_VECTOR(isa) {#isa, isa_of(#isa), &isa::kVector},
#include "kernels/vector.inc"
#undef KETTE_VECTOR
};

constexpr AttendRow kAttendRows[] = {
#define KETTE_ATTEND(where, numbers, isa) \
  {#where "_" #numbers, isa_of(#isa), std::string_view(#numbers) == "bf16", &where::attend_##numbers},
#include "kernels/attend.inc"
#undef KETTE_ATTEND
};

constexpr DotRow kDotRows[] = {
#define KETTE_DOT(isa, format, form, rows) \
  {#isa, isa_of(#isa), #format, form_of(#form), std::string_view(#rows) == "many", &isa::dot_##format##_##rows},
#include "kernels/dot.inc"
#undef KETTE_DOT
};

constexpr UnpackRow kUnpackRows[] = {
#define KETTE_UNPACK(isa, format, type) \
  {#isa, isa_of(#isa), #format, panel_type_of(#type), &isa::unpack_##format##_##type},
#include "kernels/unpack.inc"
#undef KETTE_UNPACK
};

constexpr PanelRow kPanelRows[] = {
#define KETTE_PANEL(where, type, isa, from) \
  {#where "_" #type,                        \
   isa_of(#isa),                            \
   panel_type_of(#type),                    \
   std::string_view(#where) == "onednn",    \
   from,                                    \
   &make_##where##_##type##_panel},
#include "kernels/panel.inc"
#undef KETTE_PANEL
};

struct ChosenPanel {
  const PanelRow* row = nullptr;
  std::unique_ptr<PanelMultiply> multiply;
};

// The first row that can run here, if there is one. `limit`: of generated code.
ChosenPanel choose_panel(PanelType type, Isa isa, Isa limit, bool jit, const LogSink& log) {
  for (const PanelRow& row : kPanelRows) {
    if (row.type != type || row.isa > isa || (row.generates_code && !jit)) continue;
    Result<std::unique_ptr<PanelMultiply>> made =
        error(Code::kCpu, "it is for {}, and generated code is limited to {}", isa_name(row.isa), isa_name(limit));
    if (!row.generates_code || row.isa <= limit) made = row.make();
    if (made.ok()) return {&row, std::move(*made)};
    if (log) log(LogLevel::kWarning, "kernels", fmt::format("panel {}: {}", row.name, made.status().message()));
  }
  return {};
}

}  // namespace

std::span<const VectorRow> vector_rows() { return kVectorRows; }
std::span<const AttendRow> attend_rows() { return kAttendRows; }
std::span<const DotRow> dot_rows() { return kDotRows; }
std::span<const UnpackRow> unpack_rows() { return kUnpackRows; }

const DotRow& Kernels::dot(std::string_view format, bool exact) const {
  for (const DotRow& row : kDotRows) {
    if (row.isa > isa || (exact && row.form != Form::kF32)) continue;
    if (row.format == format || row.format == "any") return row;
  }
  return kDotRows[std::size(kDotRows) - 1];  // ref, any: always last, never declines
}

const UnpackRow* Kernels::unpack(std::string_view format, PanelType type) const {
  const auto takes = [&](const UnpackRow& row) {
    return row.isa <= isa && row.type == type && (row.format == format || row.format == "any");
  };
  const auto found = std::find_if(std::begin(kUnpackRows), std::end(kUnpackRows), takes);
  return found == std::end(kUnpackRows) ? nullptr : found;
}

Result<Kernels> choose_kernels(Isa isa, bool jit, const LogSink& log) {
  Kernels chosen;
  chosen.isa = isa;
  for (const VectorRow& row : kVectorRows)
    if (row.isa <= isa && chosen.vector == nullptr) chosen.vector = row.kernels;
  for (const AttendRow& row : kAttendRows) {
    if (row.isa > isa) continue;
    if (chosen.fast_attend == nullptr) chosen.fast_attend = row.run;
    if (chosen.attend == nullptr && !row.rounds) chosen.attend = row.run;
  }
  const Isa limit = jit && isa > Isa::kRef ? limit_generated_code(isa) : Isa::kRef;  // before the first kernel is made
  ChosenPanel exact = choose_panel(PanelType::kF32, isa, limit, jit, log);
  std::vector<ChosenPanel> fast;
  for (const PanelType type : {PanelType::kBf16, PanelType::kInts})
    if (ChosenPanel panel = choose_panel(type, isa, limit, jit, log); panel.row != nullptr)
      fast.push_back(std::move(panel));
  std::ranges::sort(fast, {}, &ChosenPanel::row);  // as they are listed
  if (const PanelRow* row = fast.empty() ? exact.row : fast[0].row; row != nullptr) chosen.panel_from = row->from;
  bool generated = exact.row != nullptr && exact.row->generates_code;
  chosen.exact_panel = std::move(exact.multiply);
  for (ChosenPanel& panel : fast) {
    generated |= panel.row->generates_code;
    chosen.fast_panels.push_back(std::move(panel.multiply));
  }
  if (generated) chosen.generated_isa = isa_name(limit);
  if (generated && limit > isa && log)
    log(LogLevel::kWarning, "kernels",
        fmt::format("generated code uses {} though {} is asked for: another runtime of this "
                    "process has set that first",
                    isa_name(limit), isa_name(isa)));
  if (chosen.vector == nullptr || chosen.exact_panel == nullptr)
    return error(Code::kCpu, "no kernels for {}", isa_name(isa));
  return chosen;
}

}  // namespace kette::kernels
