// Rotary position embedding (Su et al. 2021): which angle each pair of a head turns by at a position.
#pragma once

#include <cstddef>
#include <span>
#include <vector>

namespace kette::nn {

struct Rope {
  std::vector<float> inv_freq;  // [head_dim / 2], radians per position
  float magnitude = 1;          // of cosine and sine (YaRN)

  // cos, sin: [half] each.
  void angles(size_t position, float* cos, float* sin) const;
};

// inv_freq[i] = theta^(-2i / head_dim)
std::vector<float> rope_frequencies(size_t head_dim, double theta);

// Llama 3.1's scaling: long waves are stretched by `factor`, short ones kept, those between blended.
// (transformers modeling_rope_utils.py, _compute_llama3_parameters)
void scale_llama3(std::span<float> inv_freq, double factor, double low_freq_factor, double high_freq_factor,
                  double original_max_position_embeddings);

// YaRN (Peng et al. 2023): pairs that turn more than beta_fast times over the original context are kept, those that
// turn less than beta_slow times are stretched by `factor`, those between blended.
struct Yarn {
  double factor, beta_fast, beta_slow, original_max_position_embeddings;
};
void scale_yarn(std::span<float> inv_freq, double theta, const Yarn& yarn);

// m(mscale) = 0.1 mscale ln(factor) + 1: what YaRN multiplies the softmax's temperature by, in one of several places.
double yarn_magnitude(double factor, double mscale);

}  // namespace kette::nn
