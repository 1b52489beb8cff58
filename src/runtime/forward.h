// One forward pass over a stretch of tokens of one or more sequences, in parts: embed, each layer, head. Between any two pieces
// of a part's work it can pause (budget), be dropped (cancel), and go on later; the result is the same.
#pragma once

#include <array>
#include <functional>
#include <optional>

#include "models/model.h"
#include "runtime/safe_points.h"

namespace kette {

class Forward {
 public:
  // Rows that one pass takes at most; a longer prompt goes in several.
  static constexpr size_t kMaxRows = 512;

  Forward(const Model& model, Runtime& runtime, nn::Mode mode);

  // What goes in of one sequence: tokens, at least one, each below vocab_size, at `position` of `kv`. The logits of the
  // last `rows` of them are wanted.
  struct Input {
    std::span<const int32_t> tokens;
    nn::KvCache* kv;
    size_t position, rows;
  };

  // Of at most kMaxRows tokens together, of different sequences. The logits that are wanted go to `logits`, [their
  // rows][vocab_size] in the order of the inputs, which stays valid until the pass is done or dropped, as do the caches.
  // This and the next three make room in `kv` and throw std::bad_alloc where there is none; no pass has then begun, and
  // they may be called again.
  void begin(std::span<const Input> inputs, float* logits);
  void begin(std::span<const int32_t> tokens, nn::KvCache& kv, size_t position, float* logits, size_t rows) {
    begin(std::array{Input{tokens, &kv, position, rows}}, logits);
  }
  // The same for the hidden states after the model's last norm: `normed` [rows][hidden_size].
  void begin_normed(std::span<const int32_t> tokens, nn::KvCache& kv, size_t position, float* normed, size_t rows);
  // Multi-token prediction for the first next.size() rows of the pass done last: `next` are the tokens that follow
  // them, `position` is that of the first. The logits of the last `rows` say what comes after those.
  void begin_ahead(std::span<const int32_t> next, nn::KvCache& kv, size_t position, float* logits, size_t rows);
  // One position further, if `next` is what follows the last row of that.
  void begin_further(int32_t next, nn::KvCache& kv, size_t position, float* logits);
  // What is added to the model's matrices in the main passes begun from here on; nullptr: nothing. The module's own
  // passes go without: what it guesses is checked.
  void set_adapters(const nn::Adapters* adapters) { adapters_ = adapters; }
  // Measure the passes from here on, anew if that was on; or stop, and keep what was measured until the next start.
  void set_profile(bool on);
  const nn::Profile* profile() const { return profile_.get(); }
  // Of what is being measured now; nullptr: nothing.
  nn::Profile* measuring() const { return profiling_ ? profile_.get() : nullptr; }
  bool under_way() const { return under_way_; }
  size_t rows() const { return tokens_.size(); }  // of the pass begun last
  // The pass begun last then starts anew, should it be run again.
  void drop() {
    under_way_ = part_begun_ = false;
    part_ = 0;
  }

  // Work until done (true), the deadline passed (false), or the flag was set or something failed: then the pass is
  // dropped. Gets at least one piece further, however near the deadline is.
  Result<bool> run(std::optional<Clock::time_point> deadline, const CancelFlag* cancel);
  // The longest piece of work between two safe points, of the runs with a deadline since begin_measuring().
  Clock::duration longest_piece() const { return points_.longest(); }
  void begin_measuring() { points_.reset_longest(); }

  // Called after the embedding (0) and after each layer (1 ...) with the hidden states, [rows][hidden_size].
  void observe(std::function<void(size_t part, const nn::Tensor& x)> observer) { observer_ = std::move(observer); }

  size_t scratch_bytes() const {
    return scratch_.bytes() + (ahead_.size() + x_.size() + cos_.size() + sin_.size()) * sizeof(float);
  }

 private:
  enum class Pass { kMain, kNormed, kAhead, kFurther };
  bool main() const { return pass_ == Pass::kMain || pass_ == Pass::kNormed; }
  void start(Pass pass, std::span<const Input> inputs, float* logits);
  size_t parts() const { return main() ? model_.shape().num_hidden_layers + 2 : 2; }
  void grow(size_t rows);
  void run_part(nn::Step& step, bool may_stop);
  nn::Tensor wanted(nn::Step& step, const nn::Tensor& x) const;

  const Model& model_;
  Runtime& runtime_;
  nn::Mode mode_;
  const nn::Adapters* adapters_ = nullptr;
  SafePoints points_;
  std::unique_ptr<nn::Profile> profile_;
  bool profiling_ = false;
  nn::Scratch scratch_;
  Pass pass_ = Pass::kMain;
  AlignedBuffer<float> ahead_;          // [rows][hidden_size] of the module, if the model has one
  AlignedBuffer<float> x_, cos_, sin_;  // [rows][hidden_size], [rows][half] of the pass under way
  size_t capacity_ = 0;                 // rows that they hold
  std::vector<int32_t> tokens_;
  std::vector<nn::Sequence> sequences_;
  std::vector<size_t> wanted_;  // of each sequence's rows how many, the last, have their logits wanted
  float* logits_ = nullptr;
  size_t logit_rows_ = 0;  // all of those
  bool under_way_ = false;
  std::function<void(size_t, const nn::Tensor&)> observer_;
  size_t part_ = 0;          // 0: embed; 1 .. layers: that layer; layers + 1: head. Ahead: 0: the module; 1: its head
  bool part_begun_ = false;  // and was interrupted
};

}  // namespace kette
