// Attention in spans of positions: each span's part of a row's softmax is summed alone, and the parts are merged in
// order. The spans are fixed, so results depend neither on the threads nor on the rows beside; one token's work can
// still be shared out over its context.
#pragma once

#include <span>

#include "nn/kv_cache.h"
#include "nn/step.h"

namespace kette::nn {

inline constexpr size_t kSpan = 256;         // positions; a multiple of KETTE_KV_PAGE
inline constexpr size_t kSpanTaskRows = 48;  // at most: whole tiles of the kernels, and its sums fit in L2
inline constexpr size_t kMostPartialBytes = size_t{64} << 20;  // kept in all when a row's spans go to different tasks

// A part of a softmax's sums: what AttendArgs leaves in out, largest and sum.
struct Partial {
  float* out;  // [dim], undivided
  float *largest, *sum;
};

// `into` becomes the part over both stretches of positions.
void merge(const Partial& from, size_t dim, const Partial& into);
// The row itself: out /= sum.
void finish(const Partial& row, size_t dim);

// New tokens of one sequence over what its cache holds up to each. Every key/value head has `group` query heads.
struct SpanAttend {
  const KvCache* kv;
  size_t layer;
  size_t first_position, tokens;  // token i sees first_position + i + 1 positions
  size_t group;
  size_t value_dim;  // of the keys' rows, where the cache has no values
  float scale;
  const float* q;  // of each token, q_stride apart: [key/value heads][group][key_dim]
  size_t q_stride;
  float* out;  // of each token, out_stride apart: [key/value heads][group][value_dim]
  size_t out_stride;
};
// All of them in one stretch of work, and a second one where spans of a row went to different threads.
void attend_spans(Step& step, std::span<const SpanAttend> sequences);

}  // namespace kette::nn
