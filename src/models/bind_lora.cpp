#include "models/bind_lora.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "base/hash.h"
#include "file/printable.h"

namespace kette {
namespace {

constexpr uint64_t kMostRank = 4096;

// What adapters are stored in; other formats round too much to be one.
bool is_known_type(std::string_view name) { return name == "f32" || name == "f16" || name == "bf16" || name == "q8_0"; }

Status check_shape(const CheckpointTensor& t, size_t dimension, size_t expected, std::string_view matrix,
                   const NamedMatrix& m) {
  if (!is_known_type(t.type->name))
    return error(Code::kUnsupported, "{}: stored as {}, expected f32, f16, bf16 or q8_0", printable(t.name, 96),
                 t.type->name);
  if (t.shape[dimension] == expected) return {};
  return error(Code::kCorrupt, "{}: shape [{}], expected {} {}: {} is [{}, {}]", printable(t.name, 96),
               fmt::join(t.shape, ", "), expected, dimension == 0 ? "rows" : "columns", matrix, m.out, m.in);
}

// All of a tensor's numbers.
Status read_floats(const CheckpointTensor& t, float* out) {
  std::vector<std::byte> bytes(t.bytes);
  KETTE_TRY(t.source->read_at(t.offset, bytes).within(printable(t.name, 96)));
  const size_t n = static_cast<size_t>(t.shape[0] * t.shape[1]);
  find_format(t.type->name)->decode(bytes.data(), out, n);
  if (std::all_of(out, out + n, [](float f) { return std::isfinite(f); })) return {};
  return error(Code::kCorrupt, "{}: has numbers that are not finite", printable(t.name, 96));
}

// Where a row of a matrix whose rotary pairs lie half a head apart is when they lie side by side.
size_t interleaved_row(size_t row, size_t head_dim) {
  const size_t in_head = row % head_dim, half = head_dim / 2;
  return row - in_head + in_head % half * 2 + in_head / half;
}

class LoraBinder {
 public:
  LoraBinder(const Model& model, const kernels::Kernels& kernels, Allocator* allocator)
      : model_(model), kernels_(kernels), allocator_(allocator) {
    for (const NamedMatrix& m : model.matrices()) places_.emplace(m.name, static_cast<uint32_t>(places_.size()));
  }

  Status add(const LoraPair& pair, BoundLora& out) {
    const auto place = places_.find(pair.name);
    if (place == places_.end())
      return error(Code::kUnsupported, "{}: {} is no matrix of the model that adapters can change",
                   printable(pair.a.name, 96), printable(pair.name, 96));
    const NamedMatrix& m = model_.matrices()[place->second];
    KETTE_TRY(check_shape(pair.a, 1, m.in, pair.name, m));
    KETTE_TRY(check_shape(pair.b, 0, m.out, pair.name, m));
    if (pair.rank() < 1 || pair.rank() > kMostRank)
      return error(Code::kUnsupported, "{}: rank {}, expected 1 to {}", printable(pair.a.name, 96), pair.rank(),
                   kMostRank);
    const auto rank = static_cast<size_t>(pair.rank());
    BoundLora::Part part{
        place->second, AlignedBuffer<float>(rank * (m.in + m.out), allocator_, MemoryUse::kWeights), {}};
    float* a = part.numbers.data();
    KETTE_TRY(read_floats(pair.a, a));
    KETTE_TRY(read_transposed(pair.b, m, a + rank * m.in));
    const nn::Weight weight{find_format("f32"), reinterpret_cast<const std::byte*>(a), rank, m.in};
    part.low_rank = {nn::make_linear(weight, {}, kernels_, nn::Mode::kExact), a + rank * m.in, m.out,
                     static_cast<float>(pair.scale)};
    out.bytes += part.numbers.size() * sizeof(float);
    out.parts.push_back(std::move(part));
    return {};
  }

 private:
  // b: [out, rank] -> to [rank, out], with the rows of the model's order.
  Status read_transposed(const CheckpointTensor& b, const NamedMatrix& m, float* to) const {
    const size_t rank = static_cast<size_t>(b.shape[1]), head_dim = model_.shape().kv.key_dim;
    std::vector<float> rows(m.out * rank);
    KETTE_TRY(read_floats(b, rows.data()));
    const bool reorder = m.rows_interleaved_rope != b.rows_interleaved_rope;
    if (reorder && (head_dim % 2 != 0 || m.out % head_dim != 0))
      return error(Code::kUnsupported, "{}: {} rows, expected heads of {}", printable(b.name, 96), m.out, head_dim);
    for (size_t i = 0; i < m.out; ++i) {
      size_t from = i, at = i;
      if (reorder) (m.rows_interleaved_rope ? at : from) = interleaved_row(i, head_dim);
      for (size_t r = 0; r < rank; ++r) to[r * m.out + at] = rows[from * rank + r];
    }
    return {};
  }

  const Model& model_;
  const kernels::Kernels& kernels_;
  Allocator* allocator_;
  std::map<std::string_view, uint32_t> places_;
};

std::string key_of(const BoundLora& lora) {
  Hash128 hash;
  for (const BoundLora::Part& part : lora.parts) {
    hash.number(part.matrix);
    hash.number(part.low_rank.a.out());
    hash.bytes(std::as_bytes(part.numbers.span()));
    hash.bytes(std::as_bytes(std::span(&part.low_rank.scale, 1)));
  }
  return hash.hex();
}

}  // namespace

Result<BoundLora> bind_lora(const LoraFile& file, const Model& model, const kernels::Kernels& kernels,
                            Allocator* allocator, const std::function<Status()>& check) {
  LoraBinder binder(model, kernels, allocator);
  BoundLora out;
  for (const LoraPair& pair : file.pairs) {
    KETTE_TRY(check());
    KETTE_TRY(binder.add(pair, out));
  }
  out.key = key_of(out);
  return out;
}

}  // namespace kette
