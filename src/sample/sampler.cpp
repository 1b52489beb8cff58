// Logits -> token; the order of the steps is in sampler.h. No step sorts the vocabulary: each finds the last candidate it
// keeps by selection, and the candidates stay in the order of their tokens, which makes a draw repeatable.
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

// A total order: no weight is NaN, and no two candidates have one token.
bool Sampler::likelier(const Candidate& a, const Candidate& b) {
  return a.weight != b.weight ? a.weight > b.weight : a.token < b.token;
}

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
  if (sampling_.top_p < 1.0f) keep_top_p(sampling_.top_p * total);
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
  for (size_t b = 0; b < block_max_.size(); ++b) {
    const KeyRange block = key_range(load_block(logits, b, -kInfinity));
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
    for (size_t i = b * kVocabBlock; i < end; ++i)
      if (logits[i] >= bound && logits[i] > -kInfinity) candidates_.push_back({logits[i], static_cast<int32_t>(i)});
  }
  if (candidates_.size() <= k) return;
  selection_ = candidates_;
  const auto kth = selection_.begin() + static_cast<std::ptrdiff_t>(k - 1);
  std::nth_element(selection_.begin(), kth, selection_.end(), likelier);
  drop_after(*kth);
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
  for (size_t b = 0; b < block_max_.size(); ++b) {
    VocabBlock block = load_block(logits, b, -kInfinity);
    for (float& x : block) x = exp_of_negative((x - largest) / temperature);
    std::memcpy(weights_.data() + b * kVocabBlock, block.data(), sizeof block);
    block_mass_[b] = sum_of(block);
    total += block_mass_[b];
  }
  return total;
}

// Leaves out what min_p drops, and what top_p is sure to drop: all tokens below its leftover mass / vocab_size together
// have less than that mass.
void Sampler::collect_likely(double total) {
  const double leftover = (1.0 - sampling_.top_p) * total / vocab_size_;
  const float bound = std::max({sampling_.min_p, static_cast<float>(leftover * 0.999), std::numeric_limits<float>::min()});
  candidates_.clear();
  for (size_t b = 0; b < block_mass_.size(); ++b) {
    if (block_mass_[b] < bound) continue;
    for (size_t i = b * kVocabBlock; i < (b + 1) * kVocabBlock; ++i)
      if (weights_[i] >= bound) candidates_.push_back({weights_[i], static_cast<int32_t>(i)});
  }
}

// Keeps the likeliest candidates until their weights reach the target, at least one.
void Sampler::keep_top_p(double target) {
  selection_ = candidates_;
  const auto begin = selection_.begin();
  std::ptrdiff_t kept = 0, end = std::ssize(selection_);
  double kept_mass = 0.0;
  // The first `kept` of the selection are kept; the last one kept is before `end`. Halve what is between.
  while (end - kept > 1) {
    const std::ptrdiff_t middle = kept + (end - kept) / 2;
    std::nth_element(begin + kept, begin + middle, begin + end, likelier);
    double mass = kept_mass;
    for (std::ptrdiff_t i = kept; i < middle; ++i) mass += selection_[static_cast<size_t>(i)].weight;
    if (mass >= target) {
      end = middle;
    } else {
      kept = middle;
      kept_mass = mass;
    }
  }
  drop_after(selection_[static_cast<size_t>(kept)]);
}

void Sampler::drop_after(Candidate last) {
  std::erase_if(candidates_, [&](const Candidate& c) { return likelier(last, c); });
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
