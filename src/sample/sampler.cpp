// Logits -> token; the order of the steps is in sampler.h. Nothing is sorted: top_k and top_p find the last candidate
// they keep by radix selection, and the candidates stay in the order of their tokens, which makes a draw repeatable.
#include "sample/sampler.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "sample/vocab_scan.h"

namespace kette {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

}  // namespace

Sampler::Sampler(Sampling sampling, int32_t vocab_size)
    : sampling_(std::move(sampling)),
      vocab_size_(vocab_size),
      seen_(sampling_.penalty_window),
      random_(sampling_.seed) {}

bool Sampler::penalises() const {
  return sampling_.repetition_penalty != 1.0f || sampling_.presence_penalty != 0.0f ||
         sampling_.frequency_penalty != 0.0f;
}

void Sampler::accept(int32_t token) {
  if (penalises() && token >= 0 && token < vocab_size_) seen_.add(token);
}

Result<int32_t> Sampler::sample(std::span<const float> logits) {
  if (logits.size() != static_cast<size_t>(vocab_size_))
    return error(Code::kInvalidArgument, "sampler: found {} logits, expected {}", logits.size(), vocab_size_);
  logits = adjust(logits);
  KETTE_ASSIGN(const float largest, scan(logits));
  if (sampling_.temperature == 0.0f) return first_of(logits, largest);

  double total = 0.0;
  if (sampling_.top_k > 0 && sampling_.top_k < vocab_size_) {
    keep_top_k(logits);
    total = weigh_candidates(largest);
  } else {
    total = weigh_all(logits, largest);
    if (sampling_.top_p == 1.0f && sampling_.min_p == 0.0f) return draw_from_all(total);
    collect_likely(total);
  }
  if (sampling_.top_p < 1.0f) keep_likeliest(sampling_.top_p * total, [](const Candidate& c) { return c.weight; });
  std::erase_if(candidates_, [&](const Candidate& c) { return c.weight < sampling_.min_p; });
  return draw_candidate();
}

// The logits with bias and penalties; the logits themselves where there is nothing to change.
std::span<const float> Sampler::adjust(std::span<const float> logits) {
  if (sampling_.logit_bias.empty() && seen_.counts().empty()) return logits;
  adjusted_.assign(logits.begin(), logits.end());
  for (const auto& [token, bias] : sampling_.logit_bias) adjusted_[static_cast<size_t>(token)] += bias;
  for (const auto& [token, count] : seen_.counts()) {
    float& logit = adjusted_[static_cast<size_t>(token)];
    logit = logit > 0.0f ? logit / sampling_.repetition_penalty : logit * sampling_.repetition_penalty;
    logit -= sampling_.presence_penalty + sampling_.frequency_penalty * static_cast<float>(count);
  }
  return adjusted_;
}

// Fills block_max_ and gives the largest logit.
Result<float> Sampler::scan(std::span<const float> logits) {
  block_max_.resize((logits.size() + kVocabBlock - 1) / kVocabBlock);
  KeyRange all{0, order_key(-kInfinity)};
  VocabBlock last;
  for (size_t b = 0; b < block_max_.size(); ++b) {
    const KeyRange block = key_range(block_of(logits, b, last));
    block_max_[b] = from_order_key(block.largest);
    all = {std::min(all.least, block.least), std::max(all.largest, block.largest)};
  }
  if (all.largest >= order_key(kInfinity) || all.least < order_key(-kInfinity)) {
    const auto bad = std::find_if(logits.begin(), logits.end(), [](float x) { return !(x < kInfinity); });
    return error(Code::kNumeric, "sampler: logit of token {} is {}, expected finite or -infinity", bad - logits.begin(),
                 *bad);
  }
  const float largest = from_order_key(all.largest);
  if (largest == -kInfinity)
    return error(Code::kNumeric, "sampler: all {} logits are -infinity, expected one to be finite", logits.size());
  return largest;
}

int32_t Sampler::first_of(std::span<const float> logits, float largest) const {
  const auto block = std::find(block_max_.begin(), block_max_.end(), largest);
  const auto begin = logits.begin() + (block - block_max_.begin()) * static_cast<std::ptrdiff_t>(kVocabBlock);
  return static_cast<int32_t>(std::find(begin, logits.end(), largest) - logits.begin());
}

void Sampler::keep_top_k(std::span<const float> logits) {
  const auto k = static_cast<size_t>(sampling_.top_k);
  // k blocks have a maximum of at least the k-th largest maximum, so no smaller logit is among the k largest.
  float bound = -kInfinity;
  if (k < block_max_.size()) {
    weights_ = block_max_;
    const auto kth = weights_.begin() + static_cast<std::ptrdiff_t>(k - 1);
    std::nth_element(weights_.begin(), kth, weights_.end(), std::greater<>());
    bound = *kth;
  }
  candidates_.clear();
  for (size_t b = 0; b < block_max_.size(); ++b) {
    if (block_max_[b] < bound) continue;
    const size_t end = std::min(logits.size(), (b + 1) * kVocabBlock);
    for (size_t i = b * kVocabBlock; i < end; ++i) {
      if (logits[i] < bound || logits[i] == -kInfinity) continue;
      candidates_.push_back({logits[i] + 0.0f, static_cast<int32_t>(i)});  // + 0: -0 and 0 are equals
    }
  }
  if (candidates_.size() > k) keep_likeliest(sampling_.top_k, [](const Candidate&) { return 1.0; });
}

// Keeps candidates, from the largest weight down and of equal weights from the lowest token up, until their masses reach
// the target; at least one, and all if the target is not reached. Radix selection, 11, 11 and 10 bits of the weight's
// key: two passes over at most all candidates and no comparisons, so it takes the same time whatever the weights are.
template <class MassOf>
void Sampler::keep_likeliest(double target, MassOf mass_of) {
  constexpr uint32_t kBuckets = 1 << 11;
  const auto key_of = [](const Candidate& c) { return static_cast<uint32_t>(order_key(c.weight)) ^ 0x80000000u; };
  selection_ = candidates_;
  double above = 0.0;  // mass of the candidates whose key is larger than those of the selection
  for (const int shift : {21, 10, 0}) {
    const auto bucket_of = [&](const Candidate& c) { return key_of(c) >> shift & (kBuckets - 1); };
    histogram_.assign(kBuckets, 0.0);
    for (const Candidate& c : selection_) histogram_[bucket_of(c)] += mass_of(c);
    uint32_t last = kBuckets;
    for (uint32_t bucket = kBuckets; bucket-- > 0;) {
      if (histogram_[bucket] == 0.0) continue;
      if (last != kBuckets) above += histogram_[last];
      last = bucket;
      if (above + histogram_[bucket] >= target) break;
    }
    std::erase_if(selection_, [&](const Candidate& c) { return bucket_of(c) != last; });
  }
  const uint32_t last_key = key_of(selection_.front());
  std::erase_if(candidates_, [&](const Candidate& c) {
    if (key_of(c) != last_key) return key_of(c) < last_key;
    const bool enough = above >= target && above > 0.0;
    above += mass_of(c);
    return enough;
  });
}

double Sampler::weigh_candidates(float largest) {
  double total = 0.0;
  for (Candidate& c : candidates_) {
    c.weight = exp_of_negative((c.weight - largest) / sampling_.temperature);
    total += c.weight;
  }
  return total;
}

double Sampler::weigh_all(std::span<const float> logits, float largest) {
  const float temperature = sampling_.temperature;
  weights_.resize(block_max_.size() * kVocabBlock);
  block_mass_.resize(block_max_.size());
  double total = 0.0;
  VocabBlock last, weights;
  for (size_t b = 0; b < block_max_.size(); ++b) {
    const float* x = block_of(logits, b, last);
    for (size_t j = 0; j < kVocabBlock; ++j) weights[j] = exp_of_negative((x[j] - largest) / temperature);
    std::memcpy(weights_.data() + b * kVocabBlock, weights.data(), sizeof weights);
    block_mass_[b] = sum_of(weights);
    total += block_mass_[b];
  }
  return total;
}

// Leaves out what min_p drops, and what top_p is sure to drop: all tokens below its leftover mass / vocab_size together
// have less than that mass.
void Sampler::collect_likely(double total) {
  const double leftover = (1.0 - sampling_.top_p) * total / vocab_size_;
  const float bound =
      std::max({sampling_.min_p, static_cast<float>(leftover * 0.999), std::numeric_limits<float>::min()});
  candidates_.clear();
  for (size_t b = 0; b < block_mass_.size(); ++b) {
    if (block_mass_[b] < bound) continue;
    for (size_t i = b * kVocabBlock; i < (b + 1) * kVocabBlock; ++i)
      if (weights_[i] >= bound) candidates_.push_back({weights_[i], static_cast<int32_t>(i)});
  }
}

int32_t Sampler::draw_candidate() {
  double total = 0.0;
  for (const Candidate& c : candidates_) total += c.weight;
  double rest = random_.uniform() * total;
  for (const Candidate& c : candidates_) {
    rest -= c.weight;
    if (rest < 0.0) return c.token;
  }
  return candidates_.back().token;  // rounding left a little over
}

int32_t Sampler::draw_from_all(double total) {
  double rest = random_.uniform() * total;
  size_t block = 0, drawn = 0;
  // Rounding may leave a little over: then the last block, and the last token, that has any weight.
  for (size_t b = 0; b < block_mass_.size(); ++b) {
    if (block_mass_[b] == 0.0) continue;
    block = b;
    if (rest < block_mass_[b]) break;
    rest -= block_mass_[b];
  }
  for (size_t i = block * kVocabBlock; i < (block + 1) * kVocabBlock; ++i) {
    if (weights_[i] == 0.0f) continue;
    drawn = i;
    rest -= weights_[i];
    if (rest < 0.0) break;
  }
  return static_cast<int32_t>(drawn);
}

}  // namespace kette
