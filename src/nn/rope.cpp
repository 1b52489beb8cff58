#include "nn/rope.h"

#include <cmath>
#include <numbers>

namespace kette::nn {

// The product is taken in float as the reference does; its sine and cosine are then exact to float.
void Rope::angles(size_t position, float* cos, float* sin) const {
  for (size_t i = 0; i < inv_freq.size(); ++i) {
    const double angle = static_cast<float>(position) * inv_freq[i];
    cos[i] = static_cast<float>(std::cos(angle));
    sin[i] = static_cast<float>(std::sin(angle));
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
      const double smooth = (original_max_position_embeddings / wavelength - low_freq_factor) /
                            (high_freq_factor - low_freq_factor);
      scaled *= (1 - smooth) / factor + smooth;
    }
    f = static_cast<float>(scaled);
  }
}

}  // namespace kette::nn
