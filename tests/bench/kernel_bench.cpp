// Measures every kernel row that this CPU runs, on one thread: dot rows in GB/s of weights, unpack rows in weights/s and
// GB/s of them, panels in multiply-adds/s, attention in GFLOP/s, the elementwise kernels in numbers/s.
//   kernel_bench [ISA, format, or vector, attend, panel, unpack]
#include <algorithm>
#include <cstdio>
#include <cstring>
#include <ctime>
#include <random>
#include <string>
#include <string_view>
#include <vector>

#include "base/aligned_buffer.h"
#include "base/cpu_features.h"
#include "base/float_types.h"
#include "bench/measure.h"
#include "kernels/kernels.h"
#include "quant/format.h"
#include "support/panels.h"

namespace {

using namespace kette;
using namespace kette::kernels;
using kette::bench::random_floats;
using kette::bench::seconds;

// Bytes whose every 16 bits are a small half or bfloat16, so that no scale is infinite.
AlignedBuffer<uint8_t> random_weight(size_t bytes) {
  std::mt19937 random(2);
  AlignedBuffer<uint8_t> v(bytes);
  for (uint8_t& b : v.span()) b = static_cast<uint8_t>(random() & 0x3fu);
  return v;
}

// What a plain read of memory reaches, to compare the dot rows with.
void bench_read() {
  AlignedBuffer<uint64_t> data(size_t{12} << 20);
  std::fill(data.span().begin(), data.span().end(), 1);
  volatile uint64_t sink = 0;
  const double t = seconds([&] {
    uint64_t sum[8] = {};
    for (size_t i = 0; i < data.size(); i += 8)
      for (size_t j = 0; j < 8; ++j) sum[j] += data[i + j];
    sink = sink + sum[0] + sum[1] + sum[2] + sum[3] + sum[4] + sum[5] + sum[6] + sum[7];
  });
  std::printf("plain read of 96 MiB: %.1f GB/s\n", static_cast<double>(data.size() * 8) / t * 1e-9);
}

struct Quantized {
  AlignedBuffer<float> f32, scale, sum16;
  AlignedBuffer<int8_t> q;
  explicit Quantized(size_t k, const VectorKernels& v) : f32(random_floats(k)), scale(k / 32), sum16(k / 16), q(k) {
    v.quantize(f32.data(), k, q.data(), scale.data(), sum16.data());
  }
  Activation view() const { return {f32.data(), q.data(), scale.data(), sum16.data()}; }
};

void bench_dot(const DotRow& row, const Format& format, const VectorKernels& vector) {
  struct Shape {
    const char* where;
    size_t k, rows, bytes, m;
  };
  const Shape shapes[] = {{"memory", 2048, 0, size_t{96} << 20, 1},   {"memory", 4096, 0, size_t{96} << 20, 1},
                          {"memory", 8960, 0, size_t{96} << 20, 1},   {"L2", 2048, 0, size_t{512} << 10, 1},
                          {"L2, m=2", 2048, 0, size_t{512} << 10, 2}, {"L2, m=4", 2048, 0, size_t{512} << 10, 4}};
  std::printf("%-7s %-5s as %-5s, %s:", std::string(row.isa_name).c_str(), std::string(row.format).c_str(),
              std::string(format.name).c_str(), row.many ? "many" : "few");
  for (Shape s : shapes) {
    const size_t row_bytes = format.row_bytes(s.k);
    s.rows = s.bytes / row_bytes;
    const AlignedBuffer<uint8_t> weight = random_weight(s.rows * row_bytes);
    const Quantized x(s.k, vector);
    const std::vector<Activation> xs(s.m, x.view());
    AlignedBuffer<float> y(s.rows * s.m);
    DotArgs args{weight.data(),     row_bytes,         s.rows, s.k, xs.data(), s.m, y.data(), s.rows, format.decode,
                 format.block_size, format.block_bytes};
    // In calls of 256 rows, as the thread pool hands them out.
    const double t = seconds([&] {
      for (size_t r = 0; r < s.rows; r += 256) {
        args.weight = weight.data() + r * row_bytes;
        args.rows = std::min<size_t>(256, s.rows - r);
        args.y = y.data() + r;
        row.run(args);
      }
    });
    std::printf("  %s k=%zu %.1f GB/s", s.where, s.k, static_cast<double>(s.rows * row_bytes) / t * 1e-9);
  }
  // Prefill: 64 weight rows, a piece of work, times a prompt.
  if (row.many) {
    const size_t k = 2048, m = 512, row_bytes = format.row_bytes(k);
    const AlignedBuffer<uint8_t> weight = random_weight(64 * row_bytes);
    const Quantized x(k, vector);
    const std::vector<Activation> xs(m, x.view());
    AlignedBuffer<float> y(64 * m);
    const DotArgs args{weight.data(),     row_bytes,         64, k, xs.data(), m, y.data(), 64, format.decode,
                       format.block_size, format.block_bytes};
    const double t = seconds([&] { row.run(args); });
    std::printf("  m=512 k=%zu %.1f G multiply-adds/s", k, static_cast<double>(64 * k * m) / t * 1e-9);
  }
  std::printf("\n");
}

// Filling panels of 64 rows by 1,024 numbers, of weights in L2 and of weights in memory.
void bench_unpack(const UnpackRow& row, const Format& format) {
  std::printf("%-11s %-8s as %-8s into %s:", std::string(row.isa_name).c_str(), std::string(row.format).c_str(),
              std::string(format.name).c_str(), test::panel_type_name(row.type));
  AlignedBuffer<std::byte> panel(panel_bytes(row.type));
  for (const size_t columns : {kPanelDepth, 4 * kPanelDepth}) {
    const bool memory = columns > kPanelDepth;
    const size_t row_bytes = format.row_bytes(columns);
    const size_t rows = memory ? (size_t{96} << 20) / row_bytes / kPanelWidth * kPanelWidth : kPanelWidth;
    const AlignedBuffer<uint8_t> weight = random_weight(rows * row_bytes);
    const double t = seconds([&] {
      for (size_t r = 0; r < rows; r += kPanelWidth) {
        for (size_t k = 0; k < columns; k += kPanelDepth)
          row.run({weight.data() + r * row_bytes + format.row_bytes(k), row_bytes, kPanelWidth, kPanelDepth,
                   kPanelDepth, panel.data(), format.decode, format.block_size, format.block_bytes});
      }
    });
    std::printf("  %s %.2f G weights/s, %.1f GB/s", memory ? "memory" : "L2",
                static_cast<double>(rows * columns) / t * 1e-9, static_cast<double>(rows * row_bytes) / t * 1e-9);
  }
  std::printf("\n");
}

// A panel that stays in L2 times m activation rows: those of one depth, which stay there too, or walking along long ones.
void bench_panel(PanelMultiply& panel) {
  const PanelType type = panel.type();
  const size_t k = 8 * kPanelDepth, most = 512;
  const AlignedBuffer<std::byte> weights = test::make_panel(type, random_floats(kPanelDepth * kPanelWidth).span());
  const AlignedBuffer<float> a = random_floats(most * k);
  const test::PanelRows near(type, a.span().first(most * kPanelDepth), most), far(type, a.span(), most);
  AlignedBuffer<std::byte> scratch(panel.scratch_bytes());
  AlignedBuffer<float> c(most * kPanelWidth);
  for (const size_t m : {16, 64, 512}) {
    for (const bool walks : {false, true}) {
      PanelArgs args{};
      args.a_stride = walks ? far.stride : near.stride;
      args.m = m;
      args.panel = weights.data();
      args.k = kPanelDepth;
      args.width = kPanelWidth;
      args.c = c.data();
      args.c_stride = kPanelWidth;
      args.scratch = scratch.data();
      bool ok = true;
      const double t = seconds([&] {
        for (size_t at = 0; at < (walks ? k : kPanelDepth); at += kPanelDepth) {
          args.a = (walks ? far : near).data.data() + row_bytes(type, at);
          args.add = at > 0;
          ok &= panel.multiply(args).ok();
        }
        panel.leave_thread();
      });
      const double macs = static_cast<double>(m * kPanelWidth * (walks ? k : kPanelDepth));
      std::printf("panel %s m=%zu%s: %.0f G multiply-adds/s%s\n", test::panel_type_name(type), m,
                  walks ? ", long rows" : "", macs / t * 1e-9, ok ? "" : " (it failed)");
    }
  }
}

void bench_attend(const AttendRow& row) {
  constexpr size_t kFar = 131072;  // positions that no cache holds
  struct Shape {
    size_t rows, key_dim, value_dim, positions;  // key_dim 576: values are the first 512 numbers of the keys
    KvType type;
    std::string_view format;
  };
  const Shape shapes[] = {{1, 128, 128, kFar, KvType::kF16, "f16"},   {1, 128, 128, 1024, KvType::kF16, "f16"},
                          {3, 64, 64, 1024, KvType::kBf16, "bf16"},   {6, 128, 128, 1024, KvType::kF16, "f16"},
                          {6, 128, 128, 1024, KvType::kBf16, "bf16"}, {6, 128, 128, 1024, KvType::kQ8_0, "q8_0"},
                          {8, 128, 128, 1024, KvType::kF16, "f16"},   {48, 64, 64, 256, KvType::kF16, "f16"},
                          {48, 128, 128, 256, KvType::kF16, "f16"},   {48, 128, 128, 256, KvType::kQ8_0, "q8_0"},
                          {64, 192, 128, 512, KvType::kF32, "f32"},   {16, 576, 512, 256, KvType::kF16, "f16"},
                          {16, 576, 512, 256, KvType::kQ8_0, "q8_0"}, {48, 576, 512, 256, KvType::kF16, "f16"}};
  for (const Shape& s : shapes) {
    const Format& format = *find_format(s.format);
    // A page has its keys and then its values, if they are not a part of the keys.
    const size_t parts = s.key_dim == s.value_dim ? 2 : 1;
    const AlignedBuffer<float> q = random_floats(s.rows * s.key_dim),
                               kv = random_floats(parts * s.positions * s.key_dim);
    const size_t row_bytes = format.row_bytes(s.key_dim);
    AlignedBuffer<std::byte> data(parts * s.positions * row_bytes);
    format.encode(kv.data(), data.data(), kv.size());
    const std::vector<uint32_t> visible(s.rows, static_cast<uint32_t>(s.positions));
    AlignedBuffer<float> out(s.rows * s.value_dim), scratch(KETTE_ATTEND_SCRATCH(s.key_dim, s.value_dim, s.rows));
    std::vector<const std::byte*> pages;
    for (size_t t = 0; t < s.positions; t += KETTE_KV_PAGE) pages.push_back(data.data() + parts * t * row_bytes);
    AttendArgs args{};
    args.q = q.data();
    args.value_at = (parts - 1) * KETTE_KV_PAGE * row_bytes;
    args.q_stride = args.key_dim = s.key_dim;
    args.visible = visible.data();
    args.rows = s.rows;
    args.pages = pages.data();
    args.key_stride = args.value_stride = row_bytes;
    args.kv_type = s.type;
    args.decode = format.decode;
    args.block_size = format.block_size;
    args.block_bytes = format.block_bytes;
    args.value_dim = args.out_stride = s.value_dim;
    args.scale = 0.1f;
    args.out = out.data();
    args.scratch = scratch.data();
    const double t = seconds([&] { row.run(args); });
    const double flops = 2.0 * static_cast<double>(s.rows * (s.key_dim + s.value_dim) * s.positions);
    const double numbers = static_cast<double>((s.key_dim + s.value_dim) * s.positions);
    std::printf("attend %-16s rows=%zu dims=%zu,%zu %s%s: %.1f GFLOP/s, %.2f G numbers/s of cache\n",
                std::string(row.name).c_str(), s.rows, s.key_dim, s.value_dim, std::string(s.format).c_str(),
                s.positions == kFar ? ", memory" : "", flops / t * 1e-9, numbers / t * 1e-9);
  }
}

void bench_vector(const VectorRow& row) {
  const size_t n = 4096;
  const AlignedBuffer<float> a = random_floats(n), b = random_floats(n);
  AlignedBuffer<float> y = random_floats(n), scale(n / 32), sum16(n / 16);
  AlignedBuffer<int8_t> q(n);
  AlignedBuffer<uint16_t> half(n);
  const VectorKernels& v = *row.kernels;
  const auto report = [&](const char* name, size_t floats, double t) {
    std::printf("%-7s %s: %.2f G numbers/s\n", std::string(row.isa_name).c_str(), name,
                static_cast<double>(floats) / t * 1e-9);
  };
  report("rms_norm", n, seconds([&] { v.rms_norm(a.data(), b.data(), 1e-6f, n, y.data()); }));
  report("silu_mul", n, seconds([&] { v.silu_mul(a.data(), b.data(), n, y.data()); }));
  report("quantize", n, seconds([&] { v.quantize(a.data(), n, q.data(), scale.data(), sum16.data()); }));
  report("to_f16", n, seconds([&] { v.to_f16(a.data(), n, half.data()); }));
  report("to_bf16", n, seconds([&] { v.to_bf16(a.data(), n, half.data()); }));
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view only = argc > 1 ? argv[1] : "";
  const Isa isa = detect_isa();
  const VectorKernels& vector = *vector_rows().back().kernels;
  bench_read();
  for (const DotRow& row : dot_rows()) {
    const Format* format = find_format(row.format == "any" ? "q5_k" : row.format);
    if (row.isa > isa || format == nullptr) continue;
    if (only.empty() || only == row.isa_name || only == row.format) bench_dot(row, *format, vector);
  }
  for (const UnpackRow& row : unpack_rows()) {
    const Format* format = find_format(row.format == "any" ? "q5_k" : row.format);
    if (row.isa > isa || format == nullptr) continue;
    if (only.empty() || only == row.isa_name || only == row.format || only == "unpack") bench_unpack(row, *format);
  }
  for (const VectorRow& row : vector_rows()) {
    if (row.isa > isa) continue;
    if (only.empty() || only == row.isa_name || only == "vector") bench_vector(row);
  }
  for (const AttendRow& row : attend_rows()) {
    if (row.isa <= isa && (only.empty() || only == isa_name(row.isa) || only == "attend")) bench_attend(row);
  }
  if (only.empty() || only == "panel") {
    if (auto kernels = choose_kernels(isa, true, {}); kernels.ok()) kernels->each_panel(bench_panel);
  }
  return 0;
}
