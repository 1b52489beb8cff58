#include "nn/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace kette::nn {

// The product is taken in float as the reference does; its sine and cosine are then exact to float.
void Rope::angles(size_t position, float* cos, float* sin) const {
  for (size_t i = 0; i < inv_freq.size(); ++i) {
    const double angle = static_cast<float>(position) * inv_freq[i];
    cos[i] = static_cast<float>(std::cos(angle)) * magnitude;
    sin[i] = static_cast<float>(std::sin(angle)) * magnitude;
  }
}

std::vector<float> rope_frequencies(size_t head_dim, double theta) {
  std::vector<float> inv_freq(head_dim / 2);
  for (size_t i = 0; i < inv_freq.size(); ++i)
    inv_freq[i] = static_cast<float>(std::pow(theta, -2.0 * static_cast<double>(i) / static_cast<double>(head_dim)));
  return inv_freq;
}

void scale_llama3(std::span<float> inv_freq, double factor, double low_freq_factor, double high_freq_factor,
                  double original_max_position_embeddings) {
  const double low_wavelength = original_max_position_embeddings / low_freq_factor;
  const double high_wavelength = original_max_position_embeddings / high_freq_factor;
  for (float& f : inv_freq) {
    const double wavelength = 2 * std::numbers::pi / static_cast<double>(f);
    double scaled = static_cast<double>(f);
    if (wavelength > low_wavelength) {
      scaled /= factor;
    } else if (wavelength > high_wavelength) {
      const double smooth =
          (original_max_position_embeddings / wavelength - low_freq_factor) / (high_freq_factor - low_freq_factor);
      scaled *= (1 - smooth) / factor + smooth;
    }
    f = static_cast<float>(scaled);
  }
}

void scale_yarn(std::span<float> inv_freq, double theta, const Yarn& yarn) {
  const double head_dim = 2 * static_cast<double>(inv_freq.size());
  // The (real) index of the pair that turns so many times over the original context.
  const auto pair_of = [&](double turns) {
    return head_dim * std::log(yarn.original_max_position_embeddings / (turns * 2 * std::numbers::pi)) /
           (2 * std::log(theta));
  };
  const double low = std::max(std::floor(pair_of(yarn.beta_fast)), 0.0);
  const double high = std::min(std::ceil(pair_of(yarn.beta_slow)), head_dim - 1);
  const double width = high == low ? 0.001 : high - low;
  for (size_t i = 0; i < inv_freq.size(); ++i) {
    const double stretched = std::clamp((static_cast<double>(i) - low) / width, 0.0, 1.0);
    const double f = static_cast<double>(inv_freq[i]);
    inv_freq[i] = static_cast<float>(f / yarn.factor * stretched + f * (1 - stretched));
  }
}

double yarn_magnitude(double factor, double mscale) { return factor <= 1 ? 1 : 0.1 * mscale * std::log(factor) + 1; }

}  // namespace kette::nn
