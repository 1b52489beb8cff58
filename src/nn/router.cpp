#include "nn/router.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace kette::nn {
namespace {

bool above(float a, float b) { return a > b || (std::isnan(a) && !std::isnan(b)); }

// Of x [n] the indices of the k largest, the largest first.
void largest(const float* x, size_t n, size_t k, uint32_t* out) {
  size_t found = 0;
  for (size_t i = 0; i < n; ++i) {
    if (found == k && !above(x[i], x[out[k - 1]])) continue;
    size_t at = found < k ? found++ : k - 1;
    for (; at > 0 && above(x[i], x[out[at - 1]]); --at) out[at] = out[at - 1];
    out[at] = static_cast<uint32_t>(i);
  }
}

void softmax(const float* logits, size_t n, float* out) {
  const float most = *std::max_element(logits, logits + n);
  float sum = 0;
  for (size_t i = 0; i < n; ++i) {
    out[i] = std::exp(logits[i] - most);
    sum += out[i];
  }
  for (size_t i = 0; i < n; ++i) out[i] /= sum;
}

void sigmoid(const float* logits, size_t n, float* out) {
  for (size_t i = 0; i < n; ++i) out[i] = 1.0f / (1.0f + std::exp(-logits[i]));
}

// Experts outside the best groups rank below all others.
void keep_best_groups(const Routing& r, float* rank, size_t num_experts) {
  const size_t size = num_experts / r.n_group;
  float group_score[kMaxExpertGroups];
  uint32_t best[kMaxExperts];
  for (size_t g = 0; g < r.n_group; ++g) {
    largest(rank + g * size, size, r.group_experts, best);
    group_score[g] = 0;
    for (size_t i = 0; i < r.group_experts; ++i) group_score[g] += rank[g * size + best[i]];
  }
  largest(group_score, r.n_group, r.topk_group, best);
  std::sort(best, best + r.topk_group);
  for (size_t g = 0; g < r.n_group; ++g)
    if (!std::binary_search(best, best + r.topk_group, g))
      std::fill_n(rank + g * size, size, -std::numeric_limits<float>::infinity());
}

}  // namespace

void Router::choose(const float* logits, Choice* chosen) const {
  const size_t n = num_experts(), k = routing.num_experts_per_tok;
  float scores[kMaxExperts], rank[kMaxExperts];
  routing.scores == RouterScores::kSoftmax ? softmax(logits, n, scores) : sigmoid(logits, n, scores);
  std::copy_n(scores, n, rank);
  for (size_t i = 0; i < e_score_correction_bias.size(); ++i) rank[i] += e_score_correction_bias[i];
  if (routing.topk_group < routing.n_group) keep_best_groups(routing, rank, n);

  uint32_t best[kMaxExperts];
  largest(rank, n, k, best);
  float sum = 0;
  for (size_t i = 0; i < k; ++i) sum += scores[best[i]];
  const float factor = routing.routed_scaling_factor / (routing.norm_topk_prob ? sum + routing.norm_epsilon : 1.0f);
  for (size_t i = 0; i < k; ++i) chosen[i] = {best[i], scores[best[i]] * factor};
}

}  // namespace kette::nn
