// A model file, opened: weights bound to kernels, vocabulary, chat template. Immutable and shared by sessions.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "base/hash.h"
#include "chat/dialect.h"
#include "file/checkpoint.h"
#include "models/binder.h"
#include "models/model.h"
#include "models/pack.h"
#include "runtime/memory_plan.h"
#include "runtime/prefix_index.h"
#include "runtime/runtime.h"
#include "sample/sampler.h"
#include "sample/token_index.h"
#include "text/tokenizer.h"

namespace kette {

// How files are opened: the file system or a host's virtual one.
using OpenFile = std::function<Result<std::unique_ptr<Source>>(const std::string& path)>;

struct OpenOptions {
  nn::Mode mode = nn::Mode::kFast;
  bool vocab_only = false;
  bool map = true;
  std::string weight_type;  // see WeightTypes; empty: as stored
  // Where encoded matrices are kept for the next opening (see Pack): a folder of the file system, whatever files the
  // model comes from. Empty: nowhere.
  std::string pack_dir;
  uint64_t memory_budget = 0;  // of weights and of one session, see MemoryPlan; 0: no limit
  uint64_t plan_context = 0;   // tokens of that session; 0: a session's default
  // Pages of ended sessions that are kept for sessions that begin alike; 0: what the budget leaves, at most 64 MiB.
  uint64_t prefix_cache_bytes = 0;
  bool prefix_cache = true;                     // false: sessions take no pages from each other
  nn::MlaForm mla_form = nn::MlaForm::kChosen;  // forced by tests and measurements
  const CancelFlag* cancel = nullptr;
  std::function<bool(uint64_t done, uint64_t total)> progress;  // false stops
};

class LoadedModel {
 public:
  // `path` through `open`: a GGUF, a directory with a Hugging Face checkpoint, its model.safetensors or
  // model.safetensors.index.json; with vocab_only also a tokenizer.json.
  static Result<std::shared_ptr<LoadedModel>> open(std::shared_ptr<Runtime> runtime, const OpenFile& open,
                                                   const std::string& path, const OpenOptions& options);
  // One file that is already there.
  static Result<std::shared_ptr<LoadedModel>> open(std::shared_ptr<Runtime> runtime, std::unique_ptr<Source> source,
                                                   const OpenFile& siblings, const OpenOptions& options);
  // JSON of what the headers say, without loading: parameters, the memory that each kind of weights needs, and whether
  // `runtime`'s machine can run it.
  static Result<std::string> probe(const Runtime& runtime, const OpenFile& open, const std::string& path,
                                   const OpenOptions& options);

  Runtime& runtime() const { return *runtime_; }
  nn::Mode mode() const { return mode_; }
  const Model* model() const { return model_.get(); }  // nullptr: vocabulary only
  const std::string& architecture() const;             // "LlamaForCausalLM"; empty: a tokenizer.json alone
  // kUnsupported if the file has none.
  Result<const Tokenizer*> tokenizer() const;
  Result<const ChatTemplate*> chat_template() const;
  const std::string& info_json() const { return info_; }
  std::optional<int64_t> info_number(const std::string& key) const;
  uint64_t weight_bytes() const { return weight_bytes_; }
  const WeightStore& store() const { return store_; }
  // kBudget if a session of so many tokens, with a cache of so many bytes, is beyond the budget.
  Status check_budget(uint64_t context, uint64_t kv_bytes) const;
  // The same of a scheduler whose passes are of so many sessions.
  Status check_scheduler_budget(uint64_t max_batch) const;
  uint64_t scheduler_scratch_bytes(uint64_t max_batch) const {
    return kette::scheduler_scratch_bytes(*checkpoint_, max_batch, *runtime_);
  }
  MemoryPlan plan() const { return plan_memory(*checkpoint_, plan_options_, *runtime_); }  // with weights only
  // What its sessions know of each other; nullptr where that is switched off.
  PrefixIndex* prefixes() const { return prefixes_.get(); }
  // Tells this model, with its settings and in its weight types, from others: a hash of samples, made when first asked
  // for.
  Result<Hash128> fingerprint() const;
  // Tokens that end an answer.
  std::span<const Token> ends() const { return ends_; }
  // How its makers sample from it, where the files say so.
  const Sampling& sampling() const { return sampling_; }
  // What the chat template says of thinking and tool calls; of a model without one, nothing.
  const Dialect& dialect() const { return dialect_; }
  // The vocabulary as grammars see it: control tokens stand for no text. Made at the first call, which takes a while;
  // thread-safe. kUnsupported as tokenizer().
  Result<std::shared_ptr<const TokenIndex>> token_index() const;

  struct Place;

 private:
  static Result<std::shared_ptr<LoadedModel>> open_place(std::shared_ptr<Runtime> runtime, Place place,
                                                         const OpenOptions& options);
  Status load_weights(const OpenOptions& options);
  Status prepare_pack(const OpenOptions& options, const BinderOptions& binding);
  Status encode_into_pack(const std::string& directory, Access access, const BinderOptions& binding);
  Status load_gguf_text();
  Status load_hf_text(const Source* tokenizer, const OpenFile& beside);
  Status find_ends();
  void compile_template(std::string_view source);
  void describe();

  std::shared_ptr<Runtime> runtime_;
  nn::Mode mode_ = nn::Mode::kFast;
  std::optional<Checkpoint> checkpoint_;
  PlanOptions plan_options_;
  uint64_t memory_budget_ = 0;
  std::optional<Pack> pack_;
  struct PackReport {
    std::string state;     // found, written, failed, not_needed; empty: none was wanted
    std::string rejected;  // why the file that was there was not taken
    std::string problem;   // of failed
  } pack_report_;
  WeightStore store_;
  std::unique_ptr<Model> model_;
  std::optional<Tokenizer> tokenizer_;
  std::optional<ChatTemplate> template_;
  Dialect dialect_;
  Sampling sampling_;
  std::string name_, template_problem_, info_;
  uint64_t weight_bytes_ = 0;
  std::vector<Token> ends_;
  mutable std::mutex token_index_mutex_;
  mutable std::shared_ptr<const TokenIndex> token_index_;
  std::unique_ptr<PrefixIndex> prefixes_;
  mutable std::mutex fingerprint_mutex_;
  mutable std::optional<Hash128> fingerprint_;
};

}  // namespace kette
