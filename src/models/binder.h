// Binds a model's parts to a checkpoint's tensors and settings: checks names and shapes, brings the bytes, chooses
// the kernels. Problems are collected, so that one message names them all.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "file/checkpoint.h"
#include "models/encode.h"
#include "models/model.h"
#include "models/weight_types.h"
#include "nn/decoder_layer.h"
#include "nn/embedding.h"
#include "nn/mla_attention.h"
#include "nn/rope.h"

namespace kette {

class Pack;

// The bytes of bound tensors that are not mapped in place.
class WeightStore {
 public:
  explicit WeightStore(Allocator* allocator = nullptr) : allocator_(allocator) {}
  std::byte* add(size_t bytes) { return buffers_.emplace_back(bytes, allocator_, MemoryUse::kWeights).data(); }
  uint64_t bytes() const;

 private:
  Allocator* allocator_;
  std::vector<AlignedBuffer<std::byte>> buffers_;
};

// The types that files may store tensors in: the rows of formats.inc that GGUF or safetensors files have.
std::span<const StoredType> stored_types();
std::span<const SafetensorsType> safetensors_types();

struct BinderOptions {
  const kernels::Kernels* kernels;
  nn::Mode mode;
  bool map;                                     // use mapped bytes in place where the source can
  nn::MlaForm mla_form = nn::MlaForm::kChosen;  // forced by tests and measurements
  Executor* executor = nullptr;                 // encodes matrices to other formats; wanted where `types` says so
  WeightTypes types = {};
  const Pack* pack = nullptr;  // has some of them encoded already
  // Called after each tensor, and in between where one is encoded, with the bytes done; a Status that is not ok stops
  // the binding.
  std::function<Status(uint64_t done)> progress;
};

enum class Bias { kNo, kYes };
enum class QkNorm { kNo, kYes };

class Binder {
 public:
  Binder(const Checkpoint& checkpoint, WeightStore& store, BinderOptions options);

  const std::string& architecture() const { return checkpoint_.architecture(); }
  nn::Mode mode() const { return options_.mode; }
  nn::MlaForm mla_form() const { return options_.mla_form; }

  // Settings, under their config.json keys; 0, false or empty after a problem.
  bool has(std::string_view key) const { return checkpoint_.config().has(key); }
  size_t size(std::string_view key, int64_t low, int64_t high, std::optional<int64_t> fallback = std::nullopt);
  std::vector<size_t> sizes(std::string_view key, int64_t low, int64_t high);  // empty if absent
  double real(std::string_view key, double low, double high, std::optional<double> fallback = std::nullopt);
  bool boolean(std::string_view key, bool fallback);
  std::string string(std::string_view key, std::string fallback);
  void require(bool condition, std::string_view problem);

  // Tensors, by their full name; shapes as given or a problem.
  bool has_tensor(std::string_view name) const { return checkpoint_.find(name) != nullptr; }
  nn::Weight matrix(const std::string& name, size_t rows, size_t cols);
  nn::Weight stacked(const std::string& name, size_t n, size_t rows,
                     size_t cols);                            // [n][rows][cols] as [n * rows][cols]
  std::byte* own(size_t bytes) { return store_.add(bytes); }  // for what a model makes of its tensors
  std::vector<float> vector(const std::string& name, size_t n);
  nn::Linear linear(const std::string& prefix, size_t out, size_t in, Bias bias = Bias::kNo);
  nn::Linear linear(const nn::Weight& weight);  // without a bias, and not among matrices()
  // Float32 activations whatever the mode.
  nn::Linear exact_linear(const std::string& prefix, size_t out, size_t in);
  // n of one shape: `prefix`N.`name` each (Hugging Face), or stacked as `prefix``name` [n, out, in] (GGUF).
  std::vector<nn::Linear> linears(const std::string& prefix, std::string_view name, size_t n, size_t out, size_t in);
  nn::RmsNorm rms_norm(const std::string& prefix, size_t n, float eps);
  bool rows_interleaved_rope(const std::string& name) const;
  // What was bound by name as a linear so far.
  std::span<const NamedMatrix> matrices() const { return matrices_; }

  // Encodes a tensor without binding it: its bytes go to `done` alone.
  Status encode(const CheckpointTensor& tensor, const Format& target, const PieceDone& done);

  // All problems so far.
  Status status() const;

 private:
  const CheckpointTensor* tensor(const std::string& name, std::span<const size_t> shape);
  const std::byte* bytes_of(const CheckpointTensor& tensor);
  const std::byte* bring(const Source& source, uint64_t offset, uint64_t bytes, const std::string& name);
  std::vector<float> floats_of(const CheckpointTensor& tensor, size_t n);
  nn::Weight weight_of(const CheckpointTensor& tensor, size_t rows, size_t cols);
  bool add_scales(const CheckpointTensor& tensor, nn::Weight& weight);  // false after a problem
  const float* tile_scales(const std::string& name, size_t rows, size_t cols);
  const std::byte* encoded(const CheckpointTensor& tensor, nn::Weight stored, const Format& target);
  const std::byte* packed(const CheckpointTensor& tensor);  // nullptr: the pack does not have it, or failed
  Status encode_rows(const CheckpointTensor& tensor, const nn::Weight& stored, const Format& target, std::byte* out,
                     const PieceDone& done);
  nn::Linear named(nn::Linear linear, std::string name);
  bool advance(uint64_t done);  // tells the progress; false ends the binding
  void problem(std::string text);
  template <class T>
  T taken(Result<T> result);

  const Checkpoint& checkpoint_;
  WeightStore& store_;
  BinderOptions options_;
  std::map<const CheckpointTensor*, const std::byte*> bound_, encoded_;
  std::vector<NamedMatrix> matrices_;
  uint64_t done_ = 0;
  std::vector<std::string> problems_;
  Status failed_;  // of reading or of the host; ends the binding at once
};

// Parts that several architectures have.
struct GqaSizes {
  size_t hidden_size, num_attention_heads, num_key_value_heads, head_dim;
};
float bind_eps(Binder& binder);  // rms_norm_eps
GqaSizes bind_gqa_sizes(Binder& binder);
struct GqaParts {
  Bias qkv_bias = Bias::kNo, o_bias = Bias::kNo;
  QkNorm qk_norm = QkNorm::kNo;
};
Bias bind_attention_bias(Binder& binder);  // attention_bias; files that don't say have the tensors or not
nn::GqaAttention bind_gqa(Binder& binder, const std::string& prefix, const GqaSizes& sizes, const GqaParts& parts);
nn::SwiGlu bind_swiglu(Binder& binder, const std::string& prefix, size_t hidden_size, size_t intermediate_size);
// rope_theta and rope_scaling (llama3, linear, yarn; rope_freqs.weight in GGUF).
nn::Rope bind_rope(Binder& binder, size_t head_dim);

}  // namespace kette
