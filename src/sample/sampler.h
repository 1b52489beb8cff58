// Logits -> token.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "base/status.h"
#include "sample/random.h"
#include "sample/seen_tokens.h"

namespace kette {

// Applied in the order of Hugging Face's generate: logit_bias; the penalties; then, at temperature 0, the likeliest token
// (of equals the lowest id), else temperature, top_k, top_p, min_p and a draw. top_p counts the mass of what top_k kept.
struct Sampling {
  float temperature = 1.0f;         // 0: greedy
  float top_p = 1.0f;               // keep the smallest set of most likely tokens with this mass; 1: all
  float min_p = 0.0f;               // drop tokens less likely than min_p times the likeliest
  int32_t top_k = 0;                // keep the k likeliest; 0: all
  float repetition_penalty = 1.0f;  // divides positive and multiplies negative logits of seen tokens; 1: off
  float presence_penalty = 0.0f;    // subtracted once from the logit of every seen token
  float frequency_penalty = 0.0f;   // subtracted once for each time the token was seen
  int32_t penalty_window = -1;      // how many of the last tokens count as seen; -1: all
  uint64_t seed = 0;
  std::vector<std::pair<int32_t, float>> logit_bias;  // token, added to its logit; several for one token add up
};

// kInvalidArgument with the field, its range and its value if any is out of range or not finite.
Status validate(const Sampling& sampling, int32_t vocab_size);

// One generation's sampler. Deterministic: the same seed, logits and calls give the same tokens. Each drawn token takes
// one random number.
class Sampler {
 public:
  // `sampling` has passed validate().
  explicit Sampler(Sampling sampling, int32_t vocab_size);
  // Choose from logits [vocab_size] (left unchanged). -infinity excludes a token. kNumeric if a logit is NaN or +infinity
  // or none is finite; then no random number is used up.
  Result<int32_t> sample(std::span<const float> logits);
  // Tell the sampler of a token that is now part of the sequence (prompt or chosen), for the penalties.
  void accept(int32_t token);

 private:
  struct Candidate {
    float weight;  // the logit, or exp((logit - largest) / temperature)
    int32_t token;
  };
  bool penalises() const;
  std::span<const float> adjust(std::span<const float> logits);
  Result<float> scan(std::span<const float> logits);
  int32_t first_of(std::span<const float> logits, float largest) const;
  void keep_top_k(std::span<const float> logits);
  double weigh_candidates(float largest);
  double weigh_all(std::span<const float> logits, float largest);
  void collect_likely(double total);
  template <class MassOf>
  void keep_likeliest(double target, MassOf mass_of);
  int32_t draw_candidate();
  int32_t draw_from_all(double total);

  Sampling sampling_;
  int32_t vocab_size_;
  SeenTokens seen_;
  Random random_;
  std::vector<float> adjusted_;        // [vocab_size] logits with bias and penalties
  std::vector<float> block_max_;       // [blocks] the largest logit of each block of the vocabulary
  std::vector<float> weights_;         // [blocks * block size]
  std::vector<double> block_mass_;     // [blocks] the sum of the block's weights
  std::vector<Candidate> candidates_;  // what truncation left, by token
  std::vector<Candidate> selection_;   // scratch of keep_likeliest, as is
  std::vector<double> histogram_;      // this
};

}  // namespace kette
