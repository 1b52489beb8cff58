#include "models/binder.h"

#include <array>
#include <cmath>

#include "file/printable.h"
#include "models/pack.h"
#include "nn/rope.h"

namespace kette {
namespace {

constexpr size_t kProblemsShown = 8;
constexpr size_t kMostColumns = 1 << 24;  // far above every model's
constexpr size_t kMaxHeadDim = 256;       // what attention is tested with

StoredType stored_type(const Format& f) { return {f.name, f.ggml_type, f.block_size, f.block_bytes}; }

std::string shape_text(std::span<const uint64_t> shape) { return fmt::format("[{}]", fmt::join(shape, ", ")); }

}  // namespace

uint64_t WeightStore::bytes() const {
  uint64_t sum = 0;
  for (const auto& b : buffers_) sum += b.size();
  return sum;
}

std::span<const StoredType> stored_types() {
  static const std::vector<StoredType> types = [] {
    std::vector<StoredType> rows;
    for (const Format* f : formats())
      if (f->ggml_type != kNoGgmlFormat) rows.push_back(stored_type(*f));
    return rows;
  }();
  return types;
}

std::span<const SafetensorsType> safetensors_types() {
  static const std::vector<SafetensorsType> types = [] {
    std::vector<SafetensorsType> rows;
    for (const Format* f : formats())
      if (!f->safetensors.empty()) rows.push_back({f->safetensors, stored_type(*f)});
    return rows;
  }();
  return types;
}

Binder::Binder(const Checkpoint& checkpoint, WeightStore& store, BinderOptions options)
    : checkpoint_(checkpoint), store_(store), options_(std::move(options)) {}

void Binder::problem(std::string text) { problems_.push_back(std::move(text)); }

template <class T>
T Binder::taken(Result<T> result) {
  if (result.ok()) return std::move(*result);
  problem(result.status().message());
  return T{};
}

size_t Binder::size(std::string_view key, int64_t low, int64_t high, std::optional<int64_t> fallback) {
  return static_cast<size_t>(taken(checkpoint_.config().integer(key, low, high, fallback)));
}
std::vector<size_t> Binder::sizes(std::string_view key, int64_t low, int64_t high) {
  std::vector<size_t> out;
  if (!has(key)) return out;
  for (const int64_t n : taken(checkpoint_.config().integers(key))) {
    require(n >= low && n <= high, fmt::format("{}: {} in it, expected integers from {} to {}", key, n, low, high));
    out.push_back(static_cast<size_t>(n));
  }
  return out;
}
double Binder::real(std::string_view key, double low, double high, std::optional<double> fallback) {
  return taken(checkpoint_.config().real(key, low, high, fallback));
}
bool Binder::boolean(std::string_view key, bool fallback) { return taken(checkpoint_.config().boolean(key, fallback)); }
std::string Binder::string(std::string_view key, std::string fallback) {
  return taken(checkpoint_.config().string(key, std::move(fallback)));
}
void Binder::require(bool condition, std::string_view text) {
  if (!condition) problem(std::string(text));
}

const CheckpointTensor* Binder::tensor(const std::string& name, std::span<const size_t> shape) {
  if (!failed_.ok()) return nullptr;
  const CheckpointTensor* t = checkpoint_.find(name);
  const std::vector<uint64_t> expected(shape.begin(), shape.end());
  if (t == nullptr) {
    problem(fmt::format("{}: missing, expected {}", name, shape_text(expected)));
  } else if (t->shape != expected) {
    problem(fmt::format("{}: shape {}, expected {}", name, shape_text(t->shape), shape_text(expected)));
    return nullptr;
  } else if (find_format(t->type->name) == nullptr) {
    problem(fmt::format("{}: stored as {}, which is no weight format", name, t->type->name));
    return nullptr;
  }
  return t;
}

// In place if it can be, else a copy; nullptr if it cannot be read.
const std::byte* Binder::bring(const Source& source, uint64_t offset, uint64_t bytes, const std::string& name) {
  const std::byte* mapped = options_.map ? source.map(offset, bytes) : nullptr;
  if (mapped != nullptr) return mapped;
  std::byte* copy = store_.add(bytes);
  failed_ = source.read_at(offset, {copy, bytes}).within(name);
  return failed_.ok() ? copy : nullptr;
}

const std::byte* Binder::bytes_of(const CheckpointTensor& t) {
  if (const auto it = bound_.find(&t); it != bound_.end()) return it->second;
  const std::byte* bytes = bring(*t.source, t.offset, t.bytes, t.name);
  if (bytes == nullptr) return nullptr;
  bound_.emplace(&t, bytes);
  done_ += t.bytes;
  return advance(done_) ? bytes : nullptr;
}

bool Binder::advance(uint64_t done) {
  if (options_.progress) failed_ = options_.progress(done);
  return failed_.ok();
}

nn::Weight Binder::matrix(const std::string& name, size_t rows, size_t cols) {
  // GGUF stores a matrix of one row as a vector.
  const CheckpointTensor* found = checkpoint_.find(name);
  const bool vector = rows == 1 && found != nullptr && found->shape.size() == 1;
  const CheckpointTensor* t = vector ? tensor(name, std::array{cols}) : tensor(name, std::array{rows, cols});
  return t == nullptr ? nn::Weight{} : weight_of(*t, rows, cols);
}

nn::Weight Binder::weight_of(const CheckpointTensor& t, size_t rows, size_t cols) {
  nn::Weight weight{find_format(t.type->name), nullptr, rows, cols};
  const bool tied = has("tie_word_embeddings") && boolean("tie_word_embeddings", false);
  if (const Format* target = options_.types.target(t, tied); target != nullptr)
    return {target, encoded(t, weight, *target), rows, cols};
  if (add_scales(t, weight)) weight.data = bytes_of(t);
  return weight;
}

bool Binder::add_scales(const CheckpointTensor& t, nn::Weight& weight) {
  const std::string scales = t.name + "_scale_inv";
  if (!weight.format->has_tile_scales) {
    require(!has_tensor(scales),
            fmt::format("{}: scales of weights stored as {}, which has none", scales, t.type->name));
    return true;
  }
  if (!has_tensor(scales)) {
    problem(fmt::format("{}: missing, expected the scales of fp8 weights", scales));
    return false;
  }
  weight.tile_scale = tile_scales(scales, weight.rows, weight.cols);
  return weight.tile_scale != nullptr;
}

const float* Binder::tile_scales(const std::string& name, size_t rows, size_t cols) {
  constexpr size_t kTile = nn::Weight::kTile;
  const std::array tiles{(rows + kTile - 1) / kTile, (cols + kTile - 1) / kTile};
  const CheckpointTensor* t = tensor(name, tiles);
  if (t == nullptr) return nullptr;
  const std::vector<float> scales = floats_of(*t, tiles[0] * tiles[1]);
  if (scales.empty()) return nullptr;
  auto* copy = reinterpret_cast<float*>(store_.add(scales.size() * sizeof(float)));  // files align them to nothing
  std::copy(scales.begin(), scales.end(), copy);
  return copy;
}

const std::byte* Binder::encoded(const CheckpointTensor& t, nn::Weight stored, const Format& target) {
  if (const auto it = encoded_.find(&t); it != encoded_.end()) return it->second;
  const std::byte* bytes = packed(t);
  if (bytes == nullptr && failed_.ok() && add_scales(t, stored)) {
    std::byte* own = store_.add(stored.rows * target.row_bytes(stored.cols));
    const auto nothing_more = [](uint64_t, std::span<const std::byte>) { return Status(); };
    failed_ = encode_rows(t, stored, target, own, nothing_more);
    bytes = failed_.ok() ? own : nullptr;
  }
  if (bytes != nullptr) encoded_.emplace(&t, bytes);
  return bytes;
}

const std::byte* Binder::packed(const CheckpointTensor& t) {
  const Pack::Entry* entry = options_.pack != nullptr ? options_.pack->find(t) : nullptr;
  if (entry == nullptr) return nullptr;
  const std::byte* bytes = bring(options_.pack->source(), entry->offset, entry->encoded.bytes, t.name);
  if (bytes == nullptr) return nullptr;
  const CheckpointTensor* scales = checkpoint_.find(t.name + "_scale_inv");  // are in the bytes
  done_ += t.bytes + (scales != nullptr ? scales->bytes : 0);
  return advance(done_) ? bytes : nullptr;
}

Status Binder::encode(const CheckpointTensor& t, const Format& target, const PieceDone& done) {
  const size_t cols = t.shape.back();
  size_t rows = 1;
  for (size_t i = 0; i + 1 < t.shape.size(); ++i) rows *= t.shape[i];
  if (rows == 0 || cols > kMostColumns)
    return error(Code::kUnsupported, "{}: shape {}, expected rows of at most {}", t.name, shape_text(t.shape),
                 kMostColumns);
  nn::Weight stored{find_format(t.type->name), nullptr, rows, cols};
  if (!add_scales(t, stored) || !problems_.empty()) return status();
  return encode_rows(t, stored, target, nullptr, done);
}

// Progress and cancel come between the pieces.
Status Binder::encode_rows(const CheckpointTensor& t, const nn::Weight& stored, const Format& target, std::byte* out,
                           const PieceDone& done) {
  const size_t row_bytes = stored.format->row_bytes(stored.cols), out_bytes = target.row_bytes(stored.cols);
  KETTE_TRY(encode_matrix(t, stored, target, options_.map, *options_.executor, out,
                          [&](uint64_t offset, std::span<const std::byte> piece) -> Status {
                            KETTE_TRY(done(offset, piece));
                            advance(done_ + (offset + piece.size()) / out_bytes * row_bytes);
                            return failed_;
                          }));
  done_ += t.bytes;
  return {};
}

nn::Weight Binder::stacked(const std::string& name, size_t n, size_t rows, size_t cols) {
  const CheckpointTensor* t = tensor(name, std::array{n, rows, cols});
  if (t == nullptr) return {};
  return {find_format(t->type->name), bytes_of(*t), n * rows, cols};
}

std::vector<float> Binder::vector(const std::string& name, size_t n) {
  const CheckpointTensor* t = tensor(name, std::array{n});
  return t == nullptr ? std::vector<float>{} : floats_of(*t, n);
}

std::vector<float> Binder::floats_of(const CheckpointTensor& t, size_t n) {
  const std::byte* bytes = bytes_of(t);
  if (bytes == nullptr) return {};
  std::vector<float> out(n);
  find_format(t.type->name)->decode(bytes, out.data(), n);
  return out;
}

nn::Linear Binder::linear(const std::string& prefix, size_t out, size_t in, Bias bias) {
  const nn::Weight weight = matrix(prefix + ".weight", out, in);
  std::vector<float> b = bias == Bias::kYes ? vector(prefix + ".bias", out) : std::vector<float>{};
  if (weight.data == nullptr) return {};
  return named(nn::make_linear(weight, std::move(b), *options_.kernels, options_.mode), prefix);
}

nn::Linear Binder::named(nn::Linear linear, std::string name) {
  const bool interleaved = rows_interleaved_rope(name + ".weight");
  linear.id = static_cast<uint32_t>(matrices_.size());
  matrices_.push_back({std::move(name), linear.out(), linear.in(), interleaved});
  return linear;
}

nn::Linear Binder::linear(const nn::Weight& weight) {
  if (weight.data == nullptr) return {};
  return nn::make_linear(weight, {}, *options_.kernels, options_.mode);
}

nn::Linear Binder::exact_linear(const std::string& prefix, size_t out, size_t in) {
  const nn::Weight weight = matrix(prefix + ".weight", out, in);
  if (weight.data == nullptr) return {};
  return named(nn::make_linear(weight, {}, *options_.kernels, nn::Mode::kExact), prefix);
}

std::vector<nn::Linear> Binder::linears(const std::string& prefix, std::string_view name, size_t n, size_t out,
                                        size_t in) {
  std::vector<nn::Linear> all(n);
  const std::string stacked = fmt::format("{}{}.weight", prefix, name);
  if (!has_tensor(stacked)) {
    for (size_t i = 0; i < n; ++i) all[i] = linear(fmt::format("{}{}.{}", prefix, i, name), out, in);
    return all;
  }
  const CheckpointTensor* t = tensor(stacked, std::array{n, out, in});
  const nn::Weight whole = t == nullptr ? nn::Weight{} : weight_of(*t, n * out, in);
  if (whole.data == nullptr) return all;
  for (size_t i = 0; i < n; ++i)
    all[i] = named(linear(whole.slice(i * out, out)), fmt::format("{}{}.{}", prefix, i, name));
  return all;
}

nn::RmsNorm Binder::rms_norm(const std::string& prefix, size_t n, float eps) {
  return {vector(prefix + ".weight", n), eps};
}

bool Binder::rows_interleaved_rope(const std::string& name) const {
  const CheckpointTensor* t = checkpoint_.find(name);
  return t != nullptr && t->rows_interleaved_rope;
}

Status Binder::status() const {
  if (!failed_.ok()) return failed_;
  if (problems_.empty()) return {};
  std::string text;
  for (size_t i = 0; i < problems_.size() && i < kProblemsShown; ++i) text += (i > 0 ? "; " : "") + problems_[i];
  if (problems_.size() > kProblemsShown) text += fmt::format("; and {} more", problems_.size() - kProblemsShown);
  return Status(Code::kCorrupt, std::move(text)).within(checkpoint_.architecture());
}

float bind_eps(Binder& b) { return static_cast<float>(b.real("rms_norm_eps", 0, 1, 1e-6)); }

GqaSizes bind_gqa_sizes(Binder& b) {
  GqaSizes s{};
  s.hidden_size = b.size("hidden_size", 1, 1 << 20);
  s.num_attention_heads = b.size("num_attention_heads", 1, 4096);
  s.num_key_value_heads =
      b.size("num_key_value_heads", 1, 4096, static_cast<int64_t>(std::max<size_t>(1, s.num_attention_heads)));
  const size_t heads = std::max<size_t>(1, s.num_attention_heads);
  s.head_dim = b.size("head_dim", 2, kMaxHeadDim, static_cast<int64_t>(std::max<size_t>(1, s.hidden_size / heads)));
  b.require(s.head_dim % 2 == 0, fmt::format("head_dim: {}, expected an even number", s.head_dim));
  b.require(s.num_key_value_heads > 0 && s.num_attention_heads % std::max<size_t>(1, s.num_key_value_heads) == 0,
            fmt::format("num_attention_heads: {}, expected a multiple of num_key_value_heads {}", s.num_attention_heads,
                        s.num_key_value_heads));
  return s;
}

Bias bind_attention_bias(Binder& b) {
  return b.boolean("attention_bias", b.has_tensor("model.layers.0.self_attn.q_proj.bias")) ? Bias::kYes : Bias::kNo;
}

nn::GqaAttention bind_gqa(Binder& b, const std::string& prefix, const GqaSizes& s, const GqaParts& parts) {
  const size_t q = s.num_attention_heads * s.head_dim, kv = s.num_key_value_heads * s.head_dim;
  nn::GqaAttention a;
  a.q_proj = b.linear(prefix + ".q_proj", q, s.hidden_size, parts.qkv_bias);
  a.k_proj = b.linear(prefix + ".k_proj", kv, s.hidden_size, parts.qkv_bias);
  a.v_proj = b.linear(prefix + ".v_proj", kv, s.hidden_size, parts.qkv_bias);
  a.o_proj = b.linear(prefix + ".o_proj", s.hidden_size, q, parts.o_bias);
  if (parts.qk_norm == QkNorm::kYes) {
    a.q_norm = b.rms_norm(prefix + ".q_norm", s.head_dim, bind_eps(b));
    a.k_norm = b.rms_norm(prefix + ".k_norm", s.head_dim, bind_eps(b));
  }
  a.num_heads = s.num_attention_heads;
  a.num_kv_heads = s.num_key_value_heads;
  a.head_dim = s.head_dim;
  a.rope_interleaved = b.rows_interleaved_rope(prefix + ".q_proj.weight");
  b.require(a.rope_interleaved == b.rows_interleaved_rope(prefix + ".k_proj.weight"),
            prefix + ": q_proj and k_proj pair their rotary rows differently");
  return a;
}

nn::SwiGlu bind_swiglu(Binder& b, const std::string& prefix, size_t hidden_size, size_t intermediate_size) {
  return {b.linear(prefix + ".gate_proj", intermediate_size, hidden_size),
          b.linear(prefix + ".up_proj", intermediate_size, hidden_size),
          b.linear(prefix + ".down_proj", hidden_size, intermediate_size)};
}

namespace {

// YaRN turns the softmax's temperature by scaling cosine and sine: by attention_factor, or by DeepSeek's two mscales
// (where mscale_all_dim's part is on the softmax itself), or, unless both are set, by m(1).
nn::Rope bind_yarn(Binder& b, nn::Rope rope, double theta) {
  nn::Yarn yarn{};
  yarn.factor = b.real("rope_scaling.factor", 1e-3, 1e6);
  yarn.beta_fast = b.real("rope_scaling.beta_fast", 1e-6, 1e6, 32.0);
  yarn.beta_slow = b.real("rope_scaling.beta_slow", 1e-6, 1e6, 1.0);
  const bool given = b.has("rope_scaling.original_max_position_embeddings");
  yarn.original_max_position_embeddings =
      b.real(given ? "rope_scaling.original_max_position_embeddings" : "max_position_embeddings", 1, 1e9);
  b.require(theta > 1, "rope_theta: expected above 1 with yarn");
  b.require(b.boolean("rope_scaling.truncate", true), "rope_scaling.truncate: false, expected true");
  if (!b.status().ok()) return rope;
  nn::scale_yarn(rope.inv_freq, theta, yarn);
  const double mscale = b.real("rope_scaling.mscale", 0, 1e3, 0.0);
  const double all = b.real("rope_scaling.mscale_all_dim", 0, 1e3, 0.0);
  const double magnitude = mscale > 0 && all > 0
                               ? nn::yarn_magnitude(yarn.factor, mscale) / nn::yarn_magnitude(yarn.factor, all)
                               : nn::yarn_magnitude(yarn.factor, 1.0);
  rope.magnitude = static_cast<float>(b.real("rope_scaling.attention_factor", 0, 1e6, magnitude));
  return rope;
}

}  // namespace

nn::Rope bind_rope(Binder& b, size_t head_dim) {
  b.require(b.real("partial_rotary_factor", 0, 1e3, 1.0) == 1.0,
            "partial_rotary_factor: expected 1, rotary over the whole head");
  const double theta = b.real("rope_theta", 1e-3, 1e12, 10000.0);
  nn::Rope rope{nn::rope_frequencies(head_dim, theta)};
  std::vector<float>& inv_freq = rope.inv_freq;
  if (b.has_tensor("model.rope_freqs.weight")) {
    const std::vector<float> divisors = b.vector("model.rope_freqs.weight", inv_freq.size());
    for (size_t i = 0; i < divisors.size(); ++i) {
      b.require(std::isfinite(divisors[i]) && divisors[i] > 0, "model.rope_freqs.weight: a divisor is not positive");
      inv_freq[i] /= divisors[i];
    }
    return rope;
  }
  const std::string type = b.string("rope_scaling.rope_type", b.string("rope_scaling.type", "default"));
  if (type == "llama3") {
    const double low = b.real("rope_scaling.low_freq_factor", 1e-6, 1e6);
    const double high = b.real("rope_scaling.high_freq_factor", 1e-6, 1e6);
    const double factor = b.real("rope_scaling.factor", 1e-3, 1e6);
    const double original = b.real("rope_scaling.original_max_position_embeddings", 1, 1e9);
    b.require(high > low, "rope_scaling.high_freq_factor: expected above low_freq_factor");
    nn::scale_llama3(inv_freq, factor, low, high, original);
  } else if (type == "linear") {
    const double factor = b.real("rope_scaling.factor", 1e-3, 1e6);
    for (float& f : inv_freq) f = static_cast<float>(static_cast<double>(f) / factor);
  } else if (type == "yarn") {
    return bind_yarn(b, std::move(rope), theta);
  } else {
    b.require(type == "default" || type == "none",
              fmt::format("rope_scaling.type: {}, expected llama3, linear or yarn", printable(type)));
  }
  return rope;
}

}  // namespace kette
