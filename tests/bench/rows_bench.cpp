// One line for every row of every list of kernels that this CPU runs, on one thread: GB/s where one activation meets
// weights that come from memory, Gop/s (a multiply-add is two) where 512 do, and the error: largest and mean difference
// from the result in double precision, as a share of the results' root mean square.   rows_bench [--json] [WORD]
// WORD: only rows in whose line it is. kernel_bench looks closer, at more shapes.
#include <cstdio>
#include <nlohmann/json.hpp>
#include <string>

#include "bench/measure.h"
#include "kernels/kernels.h"
#include "nn/kv_type.h"
#include "support/panels.h"

namespace {

using namespace kette;
using namespace kette::kernels;
using namespace kette::bench;

constexpr size_t kMany = 512, kK = 2048, kRows = 64;
constexpr size_t kMemoryBytes = size_t{96} << 20;  // more than any cache holds

Line measure_dot(const DotRow& row, const Format& format, const VectorKernels& vector) {
  const size_t row_bytes = format.row_bytes(kK), rows = kMemoryBytes / row_bytes / kRows * kRows;
  const AlignedBuffer<std::byte> weight = random_weight(format, rows, kK, kRows);
  const AlignedBuffer<float> x = random_floats(kK);
  AlignedBuffer<int8_t> q(kK);
  AlignedBuffer<float> scale(kK / 32), sum16(kK / 16), y(kRows * kMany);
  vector.quantize(x.data(), kK, q.data(), scale.data(), sum16.data());
  const std::vector<Activation> xs(kMany, {x.data(), q.data(), scale.data(), sum16.data()});
  DotArgs args{nullptr,           row_bytes,         kRows, kK, xs.data(), 1, y.data(), kRows, format.decode,
               format.block_size, format.block_bytes};
  const auto run = [&](size_t first, size_t m) {
    args.weight = reinterpret_cast<const uint8_t*>(weight.data() + first * row_bytes);
    args.m = m;
    row.run(args);
  };
  Line line;
  line.gb_s = static_cast<double>(rows * row_bytes) / seconds([&] {
                for (size_t r = 0; r < rows; r += kRows) run(r, 1);
              }) *
              1e-9;
  const size_t at_once = row.many ? kMany : 16;
  line.gop_s = 2.0 * static_cast<double>(kRows * kK * kMany) / seconds([&] {
                 for (size_t m = 0; m < kMany; m += at_once) run(0, at_once);
               }) *
               1e-9;
  run(0, 1);
  std::vector<double> expected(kRows, 0);
  AlignedBuffer<float> decoded(kK);
  for (size_t r = 0; r < kRows; ++r) {
    format.decode(weight.data() + r * row_bytes, decoded.data(), kK);
    for (size_t i = 0; i < kK; ++i) expected[r] += static_cast<double>(decoded[i]) * static_cast<double>(x[i]);
  }
  compare(
      expected, [&](size_t i) { return static_cast<double>(y[i]); }, line);
  return line;
}

// Of a panel in L2; it never meets one activation alone.
Line measure_panel(PanelMultiply& panel) {
  const size_t k = kPanelDepth;
  const AlignedBuffer<float> a = random_floats(kMany * k), w = random_floats(k * kPanelWidth, 2);
  const AlignedBuffer<std::byte> weights = test::make_panel(panel.type(), w.span());
  const test::PanelRows rows(panel.type(), a.span(), kMany);
  AlignedBuffer<float> c(kMany * kPanelWidth);
  AlignedBuffer<std::byte> scratch(std::max<size_t>(panel.scratch_bytes(), 1));
  PanelArgs args{};
  args.a = rows.data.data();
  args.a_stride = rows.stride;
  args.k = k;
  args.m = kMany;
  args.panel = weights.data();
  args.width = args.c_stride = kPanelWidth;
  args.c = c.data();
  args.scratch = scratch.data();
  bool failed = false;
  Line line;
  line.gop_s = 2.0 * static_cast<double>(kMany * k * kPanelWidth) / seconds([&] {
                 failed |= !panel.multiply(args).ok();
                 panel.leave_thread();
               }) *
               1e-9;
  if (failed) line.gop_s = NAN;
  const size_t some = 8;  // rows
  std::vector<double> expected(some * kPanelWidth, 0);
  for (size_t m = 0; m < some; ++m)
    for (size_t i = 0; i < k; ++i)
      for (size_t j = 0; j < kPanelWidth; ++j)
        expected[m * kPanelWidth + j] +=
            static_cast<double>(a[m * k + i]) * static_cast<double>(w[i * kPanelWidth + j]);
  compare(
      expected, [&](size_t i) { return static_cast<double>(c[i]); }, line);
  return line;
}

// Filling panels of weights that come from memory.
Line measure_unpack(const UnpackRow& row, const Format& format) {
  const size_t row_bytes = format.row_bytes(kPanelDepth);
  const size_t rows = kMemoryBytes / row_bytes / kPanelWidth * kPanelWidth;
  const AlignedBuffer<std::byte> weight = random_weight(format, rows, kPanelDepth, kPanelWidth);
  AlignedBuffer<std::byte> panel(panel_bytes(row.type));
  UnpackArgs args{nullptr,      row_bytes,     kPanelWidth,       kPanelDepth,       kPanelDepth,
                  panel.data(), format.decode, format.block_size, format.block_bytes};
  const auto run = [&](size_t first) {
    args.weight = reinterpret_cast<const uint8_t*>(weight.data() + first * row_bytes);
    row.run(args);
  };
  Line line;
  line.gb_s = static_cast<double>(rows * row_bytes) / seconds([&] {
                for (size_t r = 0; r < rows; r += kPanelWidth) run(r);
              }) *
              1e-9;
  run(0);
  std::vector<double> expected(kPanelWidth * kPanelDepth);
  std::vector<float> decoded(kPanelDepth);
  for (size_t r = 0; r < kPanelWidth; ++r) {
    format.decode(weight.data() + r * row_bytes, decoded.data(), kPanelDepth);
    for (size_t i = 0; i < kPanelDepth; ++i) expected[r * kPanelDepth + i] = static_cast<double>(decoded[i]);
  }
  compare(
      expected,
      [&](size_t i) {
        return static_cast<double>(test::panel_number(row.type, panel.data(), i % kPanelDepth, i / kPanelDepth));
      },
      line);
  return line;
}

// Softmax attention of m rows over 1,024 positions of a cache.
Line measure_attend(const AttendRow& row, KvType type) {
  const size_t dim = 128, positions = 1024, m = 64, row_bytes = nn::kv_row_bytes(type, dim);
  const AlignedBuffer<float> q = random_floats(m * dim);
  AlignedBuffer<float> kv = random_floats(positions * dim, 2);
  AlignedBuffer<std::byte> cache(positions * row_bytes);
  nn::kv_format(type).encode(kv.data(), cache.data(), kv.size());
  std::vector<const std::byte*> pages;
  for (size_t t = 0; t < positions; t += KETTE_KV_PAGE) pages.push_back(cache.data() + t * row_bytes);
  const std::vector<uint32_t> visible(m, static_cast<uint32_t>(positions));
  AlignedBuffer<float> out(m * dim), scratch(KETTE_ATTEND_SCRATCH(dim, dim, m));
  AttendArgs args{};
  args.q = q.data();
  args.q_stride = args.key_dim = args.value_dim = args.out_stride = dim;
  args.key_stride = args.value_stride = row_bytes;
  args.visible = visible.data();
  args.pages = pages.data();
  nn::set_type(args, type);
  args.scale = 0.1f;
  args.out = out.data();
  args.scratch = scratch.data();
  const auto time = [&](size_t rows) {
    args.rows = rows;
    return seconds([&] { row.run(args); });
  };
  Line line;
  line.gb_s = static_cast<double>(2 * positions * row_bytes) / time(1) * 1e-9;
  line.gop_s = 4.0 * static_cast<double>(m * positions * dim) / time(m) * 1e-9;
  std::vector<double> expected(dim, 0), score(positions);
  double sum = 0;
  for (size_t t = 0; t < positions; ++t) {
    for (size_t d = 0; d < dim; ++d) score[t] += static_cast<double>(q[d]) * static_cast<double>(kv[t * dim + d]);
    sum += score[t] = std::exp(0.1 * score[t]);
  }
  for (size_t t = 0; t < positions; ++t)
    for (size_t d = 0; d < dim; ++d) expected[d] += score[t] / sum * static_cast<double>(kv[t * dim + d]);
  compare(
      expected, [&](size_t i) { return static_cast<double>(out[i]); }, line);
  return line;
}

// An elementwise kernel over a row in the first level of cache: GB/s of its input.
template <class Call, class Found>
Line measure_elements(size_t n, const Call& call, const std::function<double(size_t)>& expected, const Found& found) {
  Line line;
  line.gb_s = static_cast<double>(n * sizeof(float)) / seconds(call) * 1e-9;
  std::vector<double> all(n);
  for (size_t i = 0; i < n; ++i) all[i] = expected(i);
  compare(all, found, line);
  return line;
}

template <class Report>
void measure_vector(const VectorRow& row, const Report& report) {
  const size_t n = 4096;
  const VectorKernels& v = *row.kernels;
  const AlignedBuffer<float> a = random_floats(n), b = random_floats(n, 2);
  AlignedBuffer<float> y(n), scale(n / 32), sum16(n / 16), wide(n);
  AlignedBuffer<int8_t> q(n);
  AlignedBuffer<uint16_t> narrow(n);
  const auto at = [](const AlignedBuffer<float>& x, size_t i) { return static_cast<double>(x[i]); };
  const auto in_y = [&](size_t i) { return at(y, i); };
  double square = 0;
  for (size_t i = 0; i < n; ++i) square += at(a, i) * at(a, i);
  const double norm = 1 / std::sqrt(square / static_cast<double>(n) + 1e-6);
  const auto of = [&](const char* name, const auto& measure) { report("vector", row.isa_name, name, measure); };
  of("rms_norm", [&] {
    return measure_elements(
        n, [&] { v.rms_norm(a.data(), b.data(), 1e-6f, n, y.data()); },
        [&](size_t i) { return at(a, i) * norm * at(b, i); }, in_y);
  });
  of("silu_mul", [&] {
    return measure_elements(
        n, [&] { v.silu_mul(a.data(), b.data(), n, y.data()); },
        [&](size_t i) { return at(a, i) / (1 + std::exp(-at(a, i))) * at(b, i); }, in_y);
  });
  of("quantize", [&] {
    return measure_elements(
        n, [&] { v.quantize(a.data(), n, q.data(), scale.data(), sum16.data()); }, [&](size_t i) { return at(a, i); },
        [&](size_t i) { return q[i] * at(scale, i / 32); });
  });
  const auto narrowed = [&](const char* name, auto to, const char* format) {
    of(name, [&] {
      return measure_elements(
          n, [&] { to(a.data(), n, narrow.data()); }, [&](size_t i) { return at(a, i); },
          [&](size_t i) {
            if (i == 0) find_format(format)->decode(reinterpret_cast<const std::byte*>(narrow.data()), wide.data(), n);
            return at(wide, i);
          });
    });
  };
  narrowed("to_f16", v.to_f16, "f16");
  narrowed("to_bf16", v.to_bf16, "bf16");
}

}  // namespace

int main(int argc, char** argv) {
  bool json = false;
  std::string only;
  for (int i = 1; i < argc; ++i) std::string(argv[i]) == "--json" ? void(json = true) : void(only = argv[i]);
  auto lines = nlohmann::ordered_json::array();
  const auto report = [&](const std::string& list, std::string_view isa, std::string_view name, const auto& measure) {
    const std::string title = list + " " + std::string(isa) + " " + std::string(name);
    if (title.find(only) == std::string::npos) return;
    const Line line = measure();
    if (!json)
      std::printf("%-32s %8.2f GB/s %8.1f Gop/s  error %.1e at most, %.1e in the mean\n", title.c_str(), line.gb_s,
                  line.gop_s, line.error_max, line.error_mean);
    std::fflush(stdout);
    lines.push_back({{"list", list},
                     {"isa", isa},
                     {"name", name},
                     {"gb_s", line.gb_s},
                     {"gop_s", line.gop_s},
                     {"error_max", line.error_max},
                     {"error_mean", line.error_mean}});
  };
  const Isa isa = detect_isa();
  const VectorKernels& vector = *vector_rows().back().kernels;
  for (const DotRow& row : dot_rows()) {
    const Format* format = find_format(row.format == "any" ? "q5_k" : row.format);
    if (row.isa <= isa && format != nullptr)
      report("dot", row.isa_name, std::string(row.format) + (row.many ? " many" : " few"),
             [&] { return measure_dot(row, *format, vector); });
  }
  for (const UnpackRow& row : unpack_rows()) {
    const Format* format = find_format(row.format == "any" ? "q5_k" : row.format);
    const std::string name = std::string(row.format) + " " + test::panel_type_name(row.type);
    if (row.isa <= isa && format != nullptr)
      report("unpack", row.isa_name, name, [&] { return measure_unpack(row, *format); });
  }
  std::string last;
  const auto panel = [&](const std::string& name, const char* least, auto make) {
    if (name == last || parse_isa(least).value_or(Isa::kAmx) > isa) return;
    last = name;  // what follows of that name is the same on an older CPU
    auto made = make();
    if (made.ok()) report("panel", least, name, [&] { return measure_panel(**made); });
  };
#define KETTE_PANEL(where, type, isa, ...) panel(#where "_" #type, #isa, &make_##where##_##type##_panel);
#include "kernels/panel.inc"
#undef KETTE_PANEL
  for (const VectorRow& row : vector_rows())
    if (row.isa <= isa) measure_vector(row, report);
  for (const AttendRow& row : attend_rows()) {
    if (row.isa > isa) continue;
#define KETTE_KV_TYPE(type, format) \
  report("attend", row.name, #format, [&] { return measure_attend(row, KvType::type); });
#include "kernels/kv_types.inc"
#undef KETTE_KV_TYPE
  }
  if (json) std::printf("%s\n", lines.dump(1).c_str());
  return 0;
}
