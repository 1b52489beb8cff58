// Fixed work for each main kernel, and for a decode step of the tiny model, each behind one call of kette_measured():
// instructions.py counts the instructions of these calls under valgrind and compares them with instructions.json. One
// line on standard output for each call, in order: its name.
#include <cstdio>
#include <random>
#include <string>
#include <vector>

#include "kernels/kernels.h"
#include "nn/kv_type.h"
#include "quant/format.h"
#include "support/model.h"

// Counting begins and ends with it. Not to be inlined, and named so that the script finds it.
extern "C" __attribute__((noinline)) void kette_measured(void (*call)(const void*), const void* of) { call(of); }

namespace {

using namespace kette;
using namespace kette::kernels;

template <class Call>
void measure(const std::string& name, const Call& call) {
  call();  // what is done once only is not counted
  std::puts(name.c_str());
  kette_measured([](const void* of) { (*static_cast<const Call*>(of))(); }, &call);
}

AlignedBuffer<float> random_floats(size_t n) {
  std::mt19937 random(1);
  AlignedBuffer<float> v(n);
  for (float& f : v.span()) f = static_cast<float>(random() % 2001) / 1000.0f - 1.0f;
  return v;
}

AlignedBuffer<uint8_t> random_weight(size_t bytes) {
  std::mt19937 random(2);
  AlignedBuffer<uint8_t> v(bytes);
  for (uint8_t& b : v.span()) b = static_cast<uint8_t>(random() & 0x3fu);  // no scale is infinite
  return v;
}

// 32 rows of 1,024 weights times m activations.
void measure_dot(const DotRow& row, const VectorKernels& vector, size_t m) {
  const Format& format = *find_format(row.format == "any" ? "q5_k" : row.format);
  const size_t k = 1024, rows = 32, row_bytes = format.row_bytes(k);
  const AlignedBuffer<uint8_t> weight = random_weight(rows * row_bytes);
  const AlignedBuffer<float> x = random_floats(m * k);
  AlignedBuffer<int8_t> q(m * k);
  AlignedBuffer<float> scale(m * k / 32), sum16(m * k / 16), y(m * rows);
  std::vector<Activation> xs;
  for (size_t i = 0; i < m; ++i) {
    vector.quantize(x.data() + i * k, k, q.data() + i * k, scale.data() + i * k / 32, sum16.data() + i * k / 16);
    xs.push_back({x.data() + i * k, q.data() + i * k, scale.data() + i * k / 32, sum16.data() + i * k / 16});
  }
  const DotArgs args{weight.data(),     row_bytes,         rows, k, xs.data(), m, y.data(), rows, format.decode,
                     format.block_size, format.block_bytes};
  measure("dot " + std::string(row.isa_name) + " " + std::string(row.format) + " m=" + std::to_string(m),
          [&] { row.run(args); });
}

// 32 rows of 1,024 weights into a panel.
void measure_unpack(const UnpackRow& row) {
  const Format& format = *find_format(row.format == "any" ? "q5_k" : row.format);
  const size_t row_bytes = format.row_bytes(kPanelDepth);
  const AlignedBuffer<uint8_t> weight = random_weight(32 * row_bytes);
  AlignedBuffer<float> panel(kPanelDepth * kPanelWidth);
  const UnpackArgs args{weight.data(),     row_bytes,         32, kPanelDepth, kPanelDepth, panel.data(), format.decode,
                        format.block_size, format.block_bytes};
  measure("unpack " + std::string(row.isa_name) + " " + std::string(row.format), [&] { row.run(args); });
}

void measure_vector(const VectorRow& row) {
  const VectorKernels& v = *row.kernels;
  const size_t n = 2048, half = 64;
  const AlignedBuffer<float> a = random_floats(n), b = random_floats(n), cos = random_floats(half);
  AlignedBuffer<float> y = random_floats(n), scale(n / 32), sum16(n / 16);
  AlignedBuffer<int8_t> q(n);
  AlignedBuffer<uint16_t> narrow(n);
  const auto of = [&](const char* name, const auto& call) { measure(std::string(row.isa_name) + " " + name, call); };
  of("rms_norm", [&] { v.rms_norm(a.data(), b.data(), 1e-6f, n, y.data()); });
  of("silu_mul", [&] { v.silu_mul(a.data(), b.data(), n, y.data()); });
  of("add", [&] { v.add(a.data(), n, y.data()); });
  of("quantize", [&] { v.quantize(a.data(), n, q.data(), scale.data(), sum16.data()); });
  of("to_f16", [&] { v.to_f16(a.data(), n, narrow.data()); });
  of("to_bf16", [&] { v.to_bf16(a.data(), n, narrow.data()); });
  of("rotate_half", [&] {
    for (size_t i = 0; i < n; i += 2 * half) v.rotate_half(y.data() + i, cos.data(), cos.data(), half);
  });
}

// Seven rows over 128 positions.
void measure_attend(const AttendRow& row) {
  const size_t rows = 7, dim = 64, positions = 128;
  const AlignedBuffer<float> query = random_floats(rows * dim), kv = random_floats(positions * dim);
  AlignedBuffer<uint16_t> cache(positions * dim);
  nn::kv_format(KvType::kF16).encode(kv.data(), reinterpret_cast<std::byte*>(cache.data()), kv.size());
  std::vector<const std::byte*> pages;
  for (size_t t = 0; t < positions; t += KETTE_KV_PAGE)
    pages.push_back(reinterpret_cast<const std::byte*>(cache.data() + t * dim));
  const std::vector<uint32_t> visible(rows, static_cast<uint32_t>(positions));
  AlignedBuffer<float> out(rows * dim), scratch(KETTE_ATTEND_SCRATCH(dim, dim, rows));
  AttendArgs args{};
  args.q = query.data();
  args.q_stride = args.out_stride = args.key_dim = args.value_dim = dim;
  args.key_stride = args.value_stride = dim * sizeof(uint16_t);
  args.visible = visible.data();
  args.rows = rows;
  args.pages = pages.data();
  nn::set_type(args, KvType::kF16);
  args.scale = 0.1f;
  args.out = out.data();
  args.scratch = scratch.data();
  measure("attend " + std::string(row.name), [&] { row.run(args); });
}

// One token after 64, on one thread and without generated code.
void measure_step(Isa isa) {
  RuntimeOptions options;
  options.pool.n_threads = 1;
  options.jit = false;
  options.max_isa = isa;
  const auto loaded = test::value(LoadedModel::open(
      test::value(make_runtime(std::move(options))), [](const std::string& p) { return open_path(p, Access::kMap); },
      KETTE_TINY_MODEL, OpenOptions()));
  const auto session = test::open_session(loaded);
  std::vector<float> logits(loaded->model()->shape().vocab_size);
  test::ok(session->eval(std::vector<Token>(64, 1), logits.data(), 1));
  const Token token = 2;
  measure(std::string(isa_name(isa)) + " decode step of the tiny model", [&] {
    test::ok(session->eval({&token, 1}, logits.data(), 1));
  });
}

}  // namespace

int main() {
  if (detect_isa() < Isa::kAvx2) {
    std::fputs("SKIPPED: this CPU has no AVX2\n", stderr);
    return 77;
  }
  const VectorKernels& ref = *vector_rows().back().kernels;
  for (const DotRow& row : dot_rows()) {
    if (row.isa > Isa::kAvx2) continue;
    measure_dot(row, ref, 1);
    measure_dot(row, ref, row.many ? 32 : 4);
  }
  for (const UnpackRow& row : unpack_rows())
    if (row.isa <= Isa::kAvx2 && row.type == PanelType::kF32) measure_unpack(row);
  for (const VectorRow& row : vector_rows())
    if (row.isa <= Isa::kAvx2) measure_vector(row);
  for (const AttendRow& row : attend_rows())
    if (row.isa <= Isa::kAvx2) measure_attend(row);
  measure_step(Isa::kRef);
  measure_step(Isa::kAvx2);
  return 0;
}
