#include "models/binder.h"

#include <array>
#include <cmath>

#include "file/printable.h"
#include "nn/rope.h"

namespace kette {
namespace {

constexpr size_t kProblemsShown = 8;

std::string shape_text(std::span<const uint64_t> shape) { return fmt::format("[{}]", fmt::join(shape, ", ")); }

}  // namespace

uint64_t WeightStore::bytes() const {
  uint64_t sum = 0;
  for (const auto& b : buffers_) sum += b.size();
  return sum;
}

std::span<const StoredType> stored_types() {
  constexpr size_t kMost = 64;
  struct Types {
    StoredType rows[kMost];
    size_t count = 0;
  };
  static const Types types = [] {
    Types t;
    for (const Format* f : formats())
      if (t.count < kMost) t.rows[t.count++] = {f->name, f->ggml_type, f->block_size, f->block_bytes};
    return t;
  }();
  return {types.rows, types.count};
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
  }
  return t;
}

const std::byte* Binder::bytes_of(const CheckpointTensor& t) {
  if (const auto it = bound_.find(&t); it != bound_.end()) return it->second;
  const std::byte* bytes = options_.map ? t.source->map(t.offset, t.bytes) : nullptr;
  if (bytes == nullptr) {
    std::byte* copy = store_.add(t.bytes);
    if (Status status = t.source->read_at(t.offset, {copy, t.bytes}); !status.ok()) {
      failed_ = std::move(status).within(t.name);
      return nullptr;
    }
    bytes = copy;
  }
  bound_.emplace(&t, bytes);
  done_ += t.bytes;
  if (options_.progress) failed_ = options_.progress(done_);
  return failed_.ok() ? bytes : nullptr;
}

nn::Weight Binder::matrix(const std::string& name, size_t rows, size_t cols) {
  // GGUF stores a matrix of one row as a vector.
  const CheckpointTensor* found = checkpoint_.find(name);
  const bool vector = rows == 1 && found != nullptr && found->shape.size() == 1;
  const CheckpointTensor* t = vector ? tensor(name, std::array{cols}) : tensor(name, std::array{rows, cols});
  if (t == nullptr) return {};
  const Format* format = find_format(t->type->name);
  return {format, bytes_of(*t), rows, cols};
}

nn::Weight Binder::stacked(const std::string& name, size_t n, size_t rows, size_t cols) {
  const CheckpointTensor* t = tensor(name, std::array{n, rows, cols});
  if (t == nullptr) return {};
  return {find_format(t->type->name), bytes_of(*t), n * rows, cols};
}

std::vector<float> Binder::vector(const std::string& name, size_t n) {
  const CheckpointTensor* t = tensor(name, std::array{n});
  if (t == nullptr) return {};
  const std::byte* bytes = bytes_of(*t);
  if (bytes == nullptr) return {};
  std::vector<float> out(n);
  find_format(t->type->name)->decode(bytes, out.data(), n);
  return out;
}

nn::Linear Binder::linear(const std::string& prefix, size_t out, size_t in, Bias bias) {
  const nn::Weight weight = matrix(prefix + ".weight", out, in);
  std::vector<float> b = bias == Bias::kYes ? vector(prefix + ".bias", out) : std::vector<float>{};
  if (weight.data == nullptr) return {};
  return nn::make_linear(weight, std::move(b), *options_.kernels, options_.mode);
}

nn::Linear Binder::linear(const nn::Weight& weight) {
  if (weight.data == nullptr) return {};
  return nn::make_linear(weight, {}, *options_.kernels, options_.mode);
}

nn::Linear Binder::exact_linear(const std::string& prefix, size_t out, size_t in) {
  const nn::Weight weight = matrix(prefix + ".weight", out, in);
  if (weight.data == nullptr) return {};
  return nn::make_linear(weight, {}, *options_.kernels, nn::Mode::kExact);
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
  const std::byte* bytes = t == nullptr ? nullptr : bytes_of(*t);
  if (bytes == nullptr) return all;
  const nn::Weight whole{find_format(t->type->name), bytes, n * out, in};
  for (size_t i = 0; i < n; ++i) all[i] = linear(nn::Weight{whole.format, whole.row(i * out), out, in});
  return all;
}

nn::RmsNorm Binder::rms_norm(const std::string& prefix, size_t n, float eps) { return {vector(prefix + ".weight", n), eps}; }

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
  s.head_dim = b.size("head_dim", 2, nn::kMaxHeadDim, static_cast<int64_t>(std::max<size_t>(1, s.hidden_size / heads)));
  b.require(s.head_dim % 2 == 0, fmt::format("head_dim: {}, expected an even number", s.head_dim));
  b.require(s.num_key_value_heads > 0 && s.num_attention_heads % std::max<size_t>(1, s.num_key_value_heads) == 0,
            fmt::format("num_attention_heads: {}, expected a multiple of num_key_value_heads {}", s.num_attention_heads,
                        s.num_key_value_heads));
  return s;
}

nn::GqaAttention bind_gqa(Binder& b, const std::string& prefix, const GqaSizes& s, Bias qkv_bias, QkNorm qk_norm) {
  const size_t q = s.num_attention_heads * s.head_dim, kv = s.num_key_value_heads * s.head_dim;
  nn::GqaAttention a;
  a.q_proj = b.linear(prefix + ".q_proj", q, s.hidden_size, qkv_bias);
  a.k_proj = b.linear(prefix + ".k_proj", kv, s.hidden_size, qkv_bias);
  a.v_proj = b.linear(prefix + ".v_proj", kv, s.hidden_size, qkv_bias);
  a.o_proj = b.linear(prefix + ".o_proj", s.hidden_size, q);
  if (qk_norm == QkNorm::kYes) {
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
// (where mscale_all_dim's part is on the softmax itself), or by m(1).
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
  const double all = b.real("rope_scaling.mscale_all_dim", 0, 1e3, 0.0);
  double magnitude = nn::yarn_magnitude(yarn.factor, b.real("rope_scaling.mscale", 0, 1e3, 1.0));
  if (all > 0) magnitude /= nn::yarn_magnitude(yarn.factor, all);
  rope.magnitude = static_cast<float>(b.real("rope_scaling.attention_factor", 0, 1e6, magnitude));
  return rope;
}

}  // namespace

nn::Rope bind_rope(Binder& b, size_t head_dim) {
  b.require(!b.has("partial_rotary_factor"), "partial_rotary_factor: set, expected rotary over the whole head");
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
