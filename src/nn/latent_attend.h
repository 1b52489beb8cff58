// Attention in spans of positions: each span's part of a row's softmax is summed alone, and the parts are merged in
// order. The spans are fixed, so results depend neither on the threads nor on the rows beside; one token's work can
// still be shared out over its context.
#pragma once

#include "nn/step.h"

namespace kette::nn {

inline constexpr size_t kSpan = 256;  // positions; a multiple of KETTE_KV_PAGE

// A part of a softmax's sums: what AttendArgs leaves in out, largest and sum.
struct Partial {
  float* out;  // [dim], undivided
  float *largest, *sum;
};

// `into` becomes the part over both stretches of positions.
void merge(const Partial& from, size_t dim, const Partial& into);
// The row itself: out /= sum.
void finish(const Partial& row, size_t dim);

// Rows over cached latents: keys [key_dim] whose first value_dim numbers are the values.
struct LatentAttend {
  const float* q;  // [rows][key_dim]
  size_t rows;
  const uint32_t* visible;        // [rows] positions, at least 1, not decreasing
  const std::byte* const* pages;  // of positions, as in AttendArgs
  size_t latents_at;              // where in each the latents begin: [KETTE_KV_PAGE][key_dim] of type
  kernels::KvType type;
  size_t key_dim, value_dim;
  float scale;
  float* out;  // [rows][value_dim]
};
// All of them, of the same key_dim, value_dim and scale, as one parallel stretch of work and one that merges.
void attend_latents(Step& step, std::span<const LatentAttend> all);

}  // namespace kette::nn
