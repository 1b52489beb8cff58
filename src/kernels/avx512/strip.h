// Weights times int8 activations, for any number of activations: the walks that the integer formats share. A strip is 16
// weight rows, a group 32 weights of each. A lane of a vector is a weight row, so that lanes need no adding up, and one
// instruction multiplies four weights of each row by four of an activation. One or two activations, for which a strip
// is not worth unpacking, read the blocks in place: there a quarter of a vector is a row.
//
// y = for each group in order: y += (integer sum) * (the weights' scale * the activation's scale), then y += offset *
// (the activation's sum) for formats with offsets; formats with a scale for each half of a group: y += (first sum *
// first scale + second sum * second scale) * the activation's scale. Each += is one fused multiply-add, integer sums
// are exact, and so the bits are the same whatever the number of activations. Internal linkage only.
#pragma once

#include "kernels/avx512/floats.h"
#include "kernels/strip_rows.h"

namespace kette::kernels::avx512 {
namespace {

constexpr size_t kStrip = 16;   // weight rows
constexpr size_t kGroup = 32;   // weights of a row
constexpr size_t kDepth = 256;  // weights of a row that are unpacked at once
constexpr size_t kGroups = kDepth / kGroup;
constexpr size_t kPanel = 64;   // weight rows unpacked at once for many activations, into the first level of cache
constexpr size_t kColumns = 6;  // three activations and more are multiplied so many at a time,
constexpr size_t kPair = 2;     // by so many strips
constexpr size_t kCodes = kGroup * kStrip;  // bytes of a group's codes

// A Format says how the groups of its blocks become codes and factors.
//   kBlock, kBytes        weights and bytes of a block
//   kParts                scales of a group: 1, or 2 (of its halves)
//   kSums                 offsets of a group: 0 or 1
//   kMostCode             the largest code
//   kOffset               a code means code - kOffset, which the activation's sum makes good, exactly
//   factors(rows, out)    of one block of each row: [group][scales, kParts, then kSums offsets][row]
//   codes(rows, out)      [group][four][row][4], unsigned
//   kAtOnce               groups that `quarters` takes
//   quarters(rows, r, half, g, codes)   one half, 16 weights, of groups g, g + 1, .. of a block of rows r, r + 4, r + 8
//                         and r + 12, a row in each quarter, unsigned as above, but
//   kShift                for every second group to the left by so many bits, which saves shifting them
using Rows = StripRows<kStrip>;

// Four of the rows' 16 bytes at `at`, r, r + 4, r + 8 and r + 12, side by side. By way of halves: where vectors are two
// halves to the core, putting quarters into one takes three times its whole, this way twice.
inline __m512i four_rows(const Rows& rows, size_t r, size_t at) {
  const auto line = [&](size_t i) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(rows[i] + at)); };
  const auto two = [&](size_t i) { return _mm256_inserti128_si256(_mm256_castsi128_si256(line(i)), line(i + 4), 1); };
  return _mm512_inserti64x4(_mm512_castsi256_si512(two(r)), two(r + 8), 1);
}

// Floats of a group's factors.
template <class Format>
constexpr size_t kFactors = (Format::kParts + Format::kSums) * kStrip;

// kDepth weights of each row.
template <class Format>
struct Strip {
  alignas(64) uint8_t codes[kGroups * kCodes];
  alignas(64) float factors[kGroups * kFactors<Format>];

  // Of so many groups; the rows are then at the next ones.
  inline __attribute__((always_inline)) void fill(Rows& rows, size_t groups) {
    for (size_t g = 0; g < groups; g += Format::kBlock / kGroup, rows.at += Format::kBytes) {
      Format::factors(rows, factors + g * kFactors<Format>);
      Format::codes(rows, codes + g * kCodes);
    }
  }
};

// kDepth numbers of each of some activations.
template <class Format>
struct Columns {
  alignas(64) int8_t q[kColumns][kDepth];
  alignas(64) float scale[kColumns][kGroups];
  alignas(64) float sum[kColumns][kGroups];                       // of a group, where the format has offsets
  alignas(64) int32_t start[kColumns][kGroups * Format::kParts];  // -kOffset * the sum of q, in each part of a group

  void take(const Activation& x, size_t column, size_t k, size_t groups) {
    if (groups == kGroups)
      memcpy(q[column], x.q + k, kDepth);
    else
      memcpy(q[column], x.q + k, groups * kGroup);
    const __m512 s = _mm512_maskz_loadu_ps(first(groups), x.scale + k / kGroup);
    _mm256_store_ps(scale[column], _mm512_castps512_ps256(s));
    if (Format::kSums == 0 && Format::kOffset == 0) return;
    const __m512 halves = _mm512_maskz_loadu_ps(first(2 * groups), x.sum16 + k / 16);
    if (Format::kParts == 2) {
      const __m512i twice = _mm512_set_epi32(7, 7, 6, 6, 5, 5, 4, 4, 3, 3, 2, 2, 1, 1, 0, 0);
      _mm512_store_si512(start[column], missing(halves, _mm512_permutexvar_ps(twice, s)));
      return;
    }
    const __m512i even = _mm512_set_epi32(0, 0, 0, 0, 0, 0, 0, 0, 14, 12, 10, 8, 6, 4, 2, 0);
    const __m512 whole = _mm512_permutexvar_ps(even, _mm512_add_ps(halves, _mm512_permute_ps(halves, 0xb1)));
    if (Format::kSums > 0) _mm256_store_ps(sum[column], _mm512_castps512_ps256(whole));
    if (Format::kOffset > 0)
      _mm256_store_si256(reinterpret_cast<__m256i*>(start[column]), _mm512_castsi512_si256(missing(whole, s)));
  }

  // The integers come back from scale * integer: they have at most twelve bits, and both roundings leave 24. Where a
  // scale is zero or not finite, so is what the result is multiplied by.
  static __m512i missing(__m512 sums, __m512 scales) {
    const __m512i n = _mm512_cvtps_epi32(_mm512_div_ps(sums, scales));
    return _mm512_mullo_epi32(n, _mm512_set1_epi32(-static_cast<int32_t>(Format::kOffset)));
  }
};

// The integer sums of a part of group g: of a pair of strips, with kN activations.
template <class Format, size_t kN>
inline __attribute__((always_inline)) void products(const Strip<Format>* strips, const Columns<Format>& x, size_t g,
                                                    size_t part, __m512i (&dot)[kN][kPair]) {
  constexpr size_t kFours = kGroup / 4 / Format::kParts;
#pragma GCC unroll 8
  for (size_t i = 0; i < kN; ++i) {
#pragma GCC unroll 2
    for (size_t s = 0; s < kPair; ++s)
      dot[i][s] =
          Format::kOffset == 0 ? _mm512_setzero_si512() : _mm512_set1_epi32(x.start[i][g * Format::kParts + part]);
  }
#pragma GCC unroll 8
  for (size_t j = part * kFours; j < (part + 1) * kFours; ++j) {
    __m512i codes[kPair];
#pragma GCC unroll 2
    for (size_t s = 0; s < kPair; ++s) codes[s] = _mm512_load_si512(strips[s].codes + g * kCodes + 64 * j);
#pragma GCC unroll 8
    for (size_t i = 0; i < kN; ++i) {
      const __m512i v = in_each_lane(x.q[i] + g * kGroup + 4 * j);
#pragma GCC unroll 2
      for (size_t s = 0; s < kPair; ++s) dot[i][s] = _mm512_dpbusd_epi32(dot[i][s], codes[s], v);
    }
  }
}

// sum += groups of a pair of strips times kN activations; what is ahead is asked for.
template <class Format, size_t kN>
inline __attribute__((always_inline)) void add_groups(const Strip<Format>* strips, size_t groups,
                                                      const Columns<Format>& x, __m512 (&sum)[kN][kPair],
                                                      RowsAhead& ahead) {
  for (size_t g = 0; g < groups; ++g) {
    ahead.ask();
    const auto factors = [&](size_t s, size_t i) {
      return _mm512_load_ps(strips[s].factors + g * kFactors<Format> + i * kStrip);
    };
    __m512i dot[kN][kPair];
    products<Format, kN>(strips, x, g, 0, dot);
    if constexpr (Format::kParts == 1) {
#pragma GCC unroll 2
      for (size_t s = 0; s < kPair; ++s) {
#pragma GCC unroll 8
        for (size_t i = 0; i < kN; ++i) {
          const __m512 scale = _mm512_mul_ps(factors(s, 0), _mm512_set1_ps(x.scale[i][g]));
          sum[i][s] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot[i][s]), scale, sum[i][s]);
          if (Format::kSums > 0) sum[i][s] = _mm512_fmadd_ps(factors(s, 1), _mm512_set1_ps(x.sum[i][g]), sum[i][s]);
        }
      }
    } else {
      __m512 both[kN][kPair];
#pragma GCC unroll 8
      for (size_t i = 0; i < kN; ++i) {
#pragma GCC unroll 2
        for (size_t s = 0; s < kPair; ++s) both[i][s] = _mm512_mul_ps(_mm512_cvtepi32_ps(dot[i][s]), factors(s, 0));
      }
      products<Format, kN>(strips, x, g, 1, dot);
#pragma GCC unroll 8
      for (size_t i = 0; i < kN; ++i) {
#pragma GCC unroll 2
        for (size_t s = 0; s < kPair; ++s) {
          both[i][s] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot[i][s]), factors(s, 1), both[i][s]);
          sum[i][s] = _mm512_fmadd_ps(both[i][s], _mm512_set1_ps(x.scale[i][g]), sum[i][s]);
        }
      }
    }
  }
}

// Sums of each quarter of four vectors, of which vector r has rows r, r + 4, r + 8 and r + 12: rows 0 to 15.
inline __m512i add_up_quarters(const __m512i (&v)[4]) {
  const __m512i ab = _mm512_add_epi32(_mm512_unpacklo_epi32(v[0], v[1]), _mm512_unpackhi_epi32(v[0], v[1]));
  const __m512i cd = _mm512_add_epi32(_mm512_unpacklo_epi32(v[2], v[3]), _mm512_unpackhi_epi32(v[2], v[3]));
  return _mm512_add_epi32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
}

inline __m512i in_each_quarter(const int8_t* p) {
  return _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
}

// One block of each row of a strip times kN activations, at `group` of theirs.
template <class Format, size_t kN>
inline __attribute__((always_inline)) void add_block(const Rows& w, const Activation* x, size_t group,
                                                     __m512 (&sum)[kN]) {
  static_assert(Format::kShift == 0 || Format::kOffset == 0, "sums start from what is not shifted");
  constexpr size_t kAt = Format::kAtOnce, kParts = Format::kParts, kSteps = Format::kBlock / kGroup / kAt * 8;
  alignas(64) float factors[Format::kBlock / kGroup * kFactors<Format>];
  Format::factors(w, factors);
#pragma GCC unroll 8
  for (size_t g0 = 0; g0 < Format::kBlock / kGroup; g0 += kAt) {
    __m512i part[kAt][kN][4];      // of rows r, r + 4, r + 8, r + 12: four numbers of each
    __m512i dot[kAt][kN][kParts];  // of rows 0 to 15
#pragma GCC unroll 2
    for (size_t half = 0; half < 2; ++half) {
      const bool begins = kParts == 2 || half == 0, ends = kParts == 2 || half == 1;
      __m512i q[kAt][kN];
#pragma GCC unroll 4
      for (size_t j = 0; j < kAt; ++j) {
#pragma GCC unroll 2
        for (size_t i = 0; i < kN; ++i) {
          const int8_t* from = x[i].q + (group + g0 + j) * kGroup + 16 * half;
          q[j][i] = in_each_quarter(from);
          if (!begins) continue;
          // What the codes are too large by.
          __m512i start = _mm512_setzero_si512();
          if (Format::kOffset > 0) {
            const __m512i offset = _mm512_set1_epi8(static_cast<char>(Format::kOffset));
            __m512i excess = _mm512_dpbusd_epi32(start, offset, q[j][i]);
            if (!ends) excess = _mm512_dpbusd_epi32(excess, offset, in_each_quarter(from + 16));
            start = _mm512_sub_epi32(start, excess);
          }
#pragma GCC unroll 4
          for (size_t r = 0; r < 4; ++r) part[j][i][r] = start;
        }
      }
#pragma GCC unroll 4
      for (size_t r = 0; r < 4; ++r) {
        w.ask<Format::kBytes>(g0 / kAt * 8 + 4 * half + r, kSteps);
        __m512i codes[kAt];
        Format::quarters(w, r, half, g0, codes);
#pragma GCC unroll 4
        for (size_t j = 0; j < kAt; ++j) {
#pragma GCC unroll 2
          for (size_t i = 0; i < kN; ++i) part[j][i][r] = _mm512_dpbusd_epi32(part[j][i][r], codes[j], q[j][i]);
        }
      }
#pragma GCC unroll 4
      for (size_t j = 0; j < kAt; ++j) {
#pragma GCC unroll 2
        for (size_t i = 0; i < kN; ++i)
          if (ends) {
            const __m512i sums = add_up_quarters(part[j][i]);
            const bool is_shifted = Format::kShift > 0 && j % 2 == 1;
            dot[j][i][kParts == 1 ? 0 : half] = is_shifted ? _mm512_srai_epi32(sums, Format::kShift) : sums;
          }
      }
    }
#pragma GCC unroll 4
    for (size_t j = 0; j < kAt; ++j) {
      const size_t g = g0 + j;
      const float* f = factors + g * kFactors<Format>;
#pragma GCC unroll 2
      for (size_t i = 0; i < kN; ++i) {
        const __m512 scale = _mm512_set1_ps(x[i].scale[group + g]), first = _mm512_load_ps(f);
        if constexpr (kParts == 1) {
          sum[i] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot[j][i][0]), _mm512_mul_ps(first, scale), sum[i]);
        } else {
          const __m512 both = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot[j][i][1]), _mm512_load_ps(f + kStrip),
                                              _mm512_mul_ps(_mm512_cvtepi32_ps(dot[j][i][0]), first));
          sum[i] = _mm512_fmadd_ps(both, scale, sum[i]);
        }
        const float* sum16 = x[i].sum16 + 2 * (group + g);
        if (Format::kSums > 0)
          sum[i] = _mm512_fmadd_ps(_mm512_load_ps(f + kParts * kStrip), _mm512_set1_ps(sum16[0] + sum16[1]), sum[i]);
      }
    }
  }
}

// So few activations that a strip is not worth unpacking. The sums stay in registers.
template <class Format, size_t kN>
void dot_few(const DotArgs& a) {
  each_strip<kStrip>(a, [&](Rows w, size_t row, size_t step) {
    __m512 sum[kN];
#pragma GCC unroll 2
    for (size_t i = 0; i < kN; ++i) sum[i] = _mm512_setzero_ps();
    for (size_t k = 0; k < a.k; k += Format::kBlock, w.at += Format::kBytes)
      add_block<Format, kN>(w, a.x, k / kGroup, sum);
#pragma GCC unroll 2
    for (size_t i = 0; i < kN; ++i) {
      alignas(64) float sums[kStrip];
      _mm512_store_ps(sums, sum[i]);
      store_apart<kStrip>(a, i, row, step, sums);
    }
  });
}

// Two strips of a panel times kN activations. y: [kN][y_stride], n <= 32 numbers of each.
template <class Format, size_t kN>
void tile(const Strip<Format>* strips, size_t groups, const Columns<Format>& x, bool add, float* y, size_t y_stride,
          size_t n, RowsAhead& ahead) {
  const __mmask16 mask[2] = {first(n), n > kStrip ? first(n - kStrip) : first(0)};
  __m512 sum[kN][kPair];
#pragma GCC unroll 8
  for (size_t i = 0; i < kN; ++i) {
#pragma GCC unroll 2
    for (size_t s = 0; s < 2; ++s)
      sum[i][s] = add ? _mm512_maskz_loadu_ps(mask[s], y + i * y_stride + kStrip * s) : _mm512_setzero_ps();
  }
  add_groups<Format, kN>(strips, groups, x, sum, ahead);
#pragma GCC unroll 8
  for (size_t i = 0; i < kN; ++i) {
#pragma GCC unroll 2
    for (size_t s = 0; s < 2; ++s) _mm512_mask_storeu_ps(y + i * y_stride + kStrip * s, mask[s], sum[i][s]);
  }
}

// So many bytes of weight rows [first, last) are on their way into the second level of cache. Past the last it is harmless.
template <class Args>
inline __attribute__((always_inline)) void fetch(const Args& a, size_t first, size_t last, size_t from, size_t bytes) {
  for (size_t r = first; r < last; ++r) ask_for(a.weight + r * a.row_bytes + from, bytes);
}

// Columns [k, k + kDepth) of activations [first, last) are on their way into the first level of cache: where rows are long
// no hardware follows from one to the next.
inline __attribute__((always_inline)) void fetch(const Activation* x, size_t first, size_t last, size_t k) {
  for (size_t i = first; i < last; ++i) {
    ask_for<_MM_HINT_T0>(x[i].q + k, kDepth);
    _mm_prefetch(reinterpret_cast<const char*>(x[i].scale + k / kGroup), _MM_HINT_T0);
    _mm_prefetch(reinterpret_cast<const char*>(x[i].sum16 + k / 16), _MM_HINT_T0);
  }
}

// Three activations or more: 3 to kColumns at a time.
template <class Format>
void dot_many(const DotArgs& a) {
  constexpr size_t kBytes = kDepth / Format::kBlock * Format::kBytes;  // of kDepth weights
  Strip<Format> panel[kPanel / kStrip];
  Columns<Format> x;
  for (size_t row = 0; row < a.rows; row += kPanel) {
    const size_t rows = a.rows - row < kPanel ? a.rows - row : kPanel;
    for (size_t k = 0; k < a.k; k += kDepth) {
      const size_t groups = (a.k - k < kDepth ? a.k - k : kDepth) / kGroup, at = k / Format::kBlock * Format::kBytes;
      for (size_t r = 0; r < rows || r % (kPair * kStrip) != 0; r += kStrip) {
        Rows w(a, row + r);
        w.at = at;
        if (row == 0 && k == 0) fetch(a, r + kStrip, r + 2 * kStrip, 0, kBytes);  // nothing has asked for these
        panel[r / kStrip].fill(w, groups);
      }
      // Tiles differ by one activation at most.
      const size_t tiles = (a.m + kColumns - 1) / kColumns;
      // The same rows' next numbers, or the next rows' first ones.
      const bool more = k + kDepth < a.k;
      const size_t next = more ? row : row + rows, left = a.rows - next;
      RowsAhead ahead{a.weight + next * a.row_bytes + (more ? at + kBytes : 0), left < kPanel ? left : kPanel,
                      a.row_bytes, kBytes, tiles * ((rows + kPair * kStrip - 1) / (kPair * kStrip)) * groups};
      for (size_t t = 0, column = 0; t < tiles; ++t) {
        const size_t columns = (a.m - column + tiles - t - 1) / (tiles - t);
        for (size_t i = 0; i < columns; ++i) x.take(a.x[column + i], i, k, groups);
        const size_t next_column = column + columns,
                     of_next = t + 1 < tiles ? (a.m - next_column) / (tiles - t - 1) : 0;
        for (size_t r = 0; r < rows; r += kPair * kStrip) {
          fetch(a.x, next_column + r * of_next / kPanel, next_column + (r + kPair * kStrip) * of_next / kPanel, k);
          const Strip<Format>* strips = panel + r / kStrip;
          float* y = a.y + column * a.y_stride + row + r;
          switch (columns) {
            case 3: tile<Format, 3>(strips, groups, x, k > 0, y, a.y_stride, rows - r, ahead); break;
            case 4: tile<Format, 4>(strips, groups, x, k > 0, y, a.y_stride, rows - r, ahead); break;
            case 5: tile<Format, 5>(strips, groups, x, k > 0, y, a.y_stride, rows - r, ahead); break;
            default: tile<Format, 6>(strips, groups, x, k > 0, y, a.y_stride, rows - r, ahead);
          }
        }
        column += columns;
      }
    }
  }
}

template <class Format>
void dot_strips(const DotArgs& a) {
  switch (a.m) {
    case 1: return dot_few<Format, 1>(a);
    case 2: return dot_few<Format, 2>(a);
    default: dot_many<Format>(a);
  }
}

}  // namespace
}  // namespace kette::kernels::avx512
