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
constexpr size_t kInPlace = 2;  // up to this many activations read the blocks in place
constexpr size_t kFew = 8;      // up to this many activations are multiplied by a strip at once
constexpr size_t kColumns = 6;  // of more activations: times two strips
constexpr size_t kCodes = kGroup * kStrip;  // bytes of codes in a record

// A Format says how its blocks become records, one a group of a strip: codes [8 fours of weights][16 rows][4], unsigned,
// then vectors of floats: scales [kParts][16 rows], offsets [kSums][16 rows].
//   kBlock, kBytes        weights and bytes of a block
//   kParts                scales of a group: 1, or 2 (of its halves)
//   kSums                 offsets of a group: 0 or 1
//   kOffset               a code means code - kOffset, which the activation's sum makes good, exactly
//   factors(rows, out)    the floats of one block of each row, into records kRecord<Format> bytes apart
//   codes(rows, out)      the codes, likewise
//   kAtOnce               groups that `quarters` takes
//   quarters(rows, r, half, g, codes)   one half, 16 weights, of groups g, g + 1, .. of a block of rows r, r + 4, r + 8
//                         and r + 12, a row in each quarter, unsigned as above
using Rows = StripRows<kStrip>;

// Four of the rows' 16 bytes at `at`, r, r + 4, r + 8 and r + 12, side by side.
inline __m512i four_rows(const Rows& rows, size_t r, size_t at) {
  const auto line = [&](size_t i) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(rows[i] + at)); };
  const __m512i two = _mm512_inserti32x4(_mm512_castsi128_si512(line(r)), line(r + 4), 1);
  return _mm512_inserti32x4(_mm512_inserti32x4(two, line(r + 8), 2), line(r + 12), 3);
}

template <class Format>
constexpr size_t kRecord = kCodes + (Format::kParts + Format::kSums) * kStrip * sizeof(float);
template <class Format>
constexpr size_t kStripBytes = kGroups* kRecord<Format>;

// kDepth numbers of each of some activations.
template <class Format>
struct Columns {
  alignas(64) int8_t q[kFew][kDepth];
  alignas(64) float scale[kFew][kGroups];
  alignas(64) float sum[kFew][kGroups];                       // of a group, where the format has offsets
  alignas(64) int32_t start[kFew][kGroups * Format::kParts];  // -kOffset * the sum of q, in each part of a group

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

// The integer sums of a part of group g: of the records w of kS strips, with kN activations.
template <class Format, size_t kN, size_t kS>
inline __attribute__((always_inline)) void products(const uint8_t* w, const Columns<Format>& x, size_t g, size_t part,
                                                    __m512i (&dot)[kN][kS]) {
  constexpr size_t kFours = kGroup / 4 / Format::kParts;
#pragma GCC unroll 8
  for (size_t i = 0; i < kN; ++i) {
#pragma GCC unroll 2
    for (size_t s = 0; s < kS; ++s)
      dot[i][s] =
          Format::kOffset == 0 ? _mm512_setzero_si512() : _mm512_set1_epi32(x.start[i][g * Format::kParts + part]);
  }
#pragma GCC unroll 8
  for (size_t j = part * kFours; j < (part + 1) * kFours; ++j) {
    __m512i codes[kS];
#pragma GCC unroll 2
    for (size_t s = 0; s < kS; ++s) codes[s] = _mm512_load_si512(w + s * kStripBytes<Format> + 64 * j);
#pragma GCC unroll 8
    for (size_t i = 0; i < kN; ++i) {
      const __m512i v = in_each_lane(x.q[i] + g * kGroup + 4 * j);
#pragma GCC unroll 2
      for (size_t s = 0; s < kS; ++s) dot[i][s] = _mm512_dpbusd_epi32(dot[i][s], codes[s], v);
    }
  }
}

// sum += groups of kS strips times kN activations; ask(g) before each.
template <class Format, size_t kN, size_t kS, class Ask>
inline __attribute__((always_inline)) void add_groups(const uint8_t* strips, size_t groups, const Columns<Format>& x,
                                                      __m512 (&sum)[kN][kS], const Ask& ask) {
  for (size_t g = 0; g < groups; ++g) {
    ask(g);
    const uint8_t* w = strips + g * kRecord<Format>;
    const auto factors = [&](size_t s, size_t vector) {
      return _mm512_load_ps(w + s * kStripBytes<Format> + kCodes + 64 * vector);
    };
    __m512i dot[kN][kS];
    products<Format, kN, kS>(w, x, g, 0, dot);
    if constexpr (Format::kParts == 1) {
#pragma GCC unroll 2
      for (size_t s = 0; s < kS; ++s) {
#pragma GCC unroll 8
        for (size_t i = 0; i < kN; ++i) {
          const __m512 scale = _mm512_mul_ps(factors(s, 0), _mm512_set1_ps(x.scale[i][g]));
          sum[i][s] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot[i][s]), scale, sum[i][s]);
          if (Format::kSums > 0) sum[i][s] = _mm512_fmadd_ps(factors(s, 1), _mm512_set1_ps(x.sum[i][g]), sum[i][s]);
        }
      }
    } else {
      __m512 both[kN][kS];
#pragma GCC unroll 8
      for (size_t i = 0; i < kN; ++i) {
#pragma GCC unroll 2
        for (size_t s = 0; s < kS; ++s) both[i][s] = _mm512_mul_ps(_mm512_cvtepi32_ps(dot[i][s]), factors(s, 0));
      }
      products<Format, kN, kS>(w, x, g, 1, dot);
#pragma GCC unroll 8
      for (size_t i = 0; i < kN; ++i) {
#pragma GCC unroll 2
        for (size_t s = 0; s < kS; ++s) {
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
                                                     __m512 (&sum)[kN][1]) {
  constexpr size_t kAt = Format::kAtOnce, kParts = Format::kParts, kSteps = Format::kBlock / kGroup / kAt * 8;
  alignas(64) uint8_t records[Format::kBlock / kGroup * kRecord<Format>];
  Format::factors(w, records);
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
          if (ends) dot[j][i][kParts == 1 ? 0 : half] = add_up_quarters(part[j][i]);
      }
    }
#pragma GCC unroll 4
    for (size_t j = 0; j < kAt; ++j) {
      const size_t g = g0 + j;
      const float* f = reinterpret_cast<const float*>(records + g * kRecord<Format> + kCodes);
#pragma GCC unroll 2
      for (size_t i = 0; i < kN; ++i) {
        const __m512 scale = _mm512_set1_ps(x[i].scale[group + g]), first = _mm512_load_ps(f);
        if constexpr (kParts == 1) {
          sum[i][0] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot[j][i][0]), _mm512_mul_ps(first, scale), sum[i][0]);
        } else {
          const __m512 both = _mm512_fmadd_ps(_mm512_cvtepi32_ps(dot[j][i][1]), _mm512_load_ps(f + kStrip),
                                              _mm512_mul_ps(_mm512_cvtepi32_ps(dot[j][i][0]), first));
          sum[i][0] = _mm512_fmadd_ps(both, scale, sum[i][0]);
        }
        const float* sum16 = x[i].sum16 + 2 * (group + g);
        if (Format::kSums > 0)
          sum[i][0] =
              _mm512_fmadd_ps(_mm512_load_ps(f + kParts * kStrip), _mm512_set1_ps(sum16[0] + sum16[1]), sum[i][0]);
      }
    }
  }
}

// Some activations times one strip after the other: up to kInPlace read the blocks in place, more unpack them. The sums
// stay in registers.
template <class Format, size_t kN>
void dot_few(const DotArgs& a) {
  constexpr size_t kBytes = kDepth / Format::kBlock * Format::kBytes;  // of kDepth weights
  alignas(64) uint8_t records[kStripBytes<Format>];
  Columns<Format> x;
  each_strip<kStrip>(a, [&](Rows w, size_t row, size_t step) {
    __m512 sum[kN][1];
#pragma GCC unroll 8
    for (size_t i = 0; i < kN; ++i) sum[i][0] = _mm512_setzero_ps();
    for (size_t k = 0; k < a.k; k += kDepth) {
      const size_t groups = (a.k - k < kDepth ? a.k - k : kDepth) / kGroup;
      for (size_t g = 0; g < groups; g += Format::kBlock / kGroup, w.at += Format::kBytes) {
        if constexpr (kN <= kInPlace) {
          add_block<Format, kN>(w, a.x, k / kGroup + g, sum);
        } else {
          Format::factors(w, records + g * kRecord<Format>);
          Format::codes(w, records + g * kRecord<Format>);
        }
      }
      if constexpr (kN > kInPlace) {
        for (size_t i = 0; i < kN; ++i) x.take(a.x[i], i, k, groups);
        add_groups<Format, kN, 1>(
            records, groups, x, sum, [&](size_t g) __attribute__((always_inline)) { w.ask<kBytes>(g, kGroups); });
      }
    }
#pragma GCC unroll 8
    for (size_t i = 0; i < kN; ++i) {
      alignas(64) float sums[kStrip];
      _mm512_store_ps(sums, sum[i][0]);
      store_apart<kStrip>(a, i, row, step, sums);
    }
  });
}

// Two strips of a panel times kN activations. y: [kN][y_stride], n <= 32 numbers of each.
template <class Format, size_t kN>
void tile(const uint8_t* strips, size_t groups, const Columns<Format>& x, bool add, float* y, size_t y_stride,
          size_t n) {
  const __mmask16 mask[2] = {first(n), n > kStrip ? first(n - kStrip) : first(0)};
  __m512 sum[kN][2];
#pragma GCC unroll 8
  for (size_t i = 0; i < kN; ++i) {
#pragma GCC unroll 2
    for (size_t s = 0; s < 2; ++s)
      sum[i][s] = add ? _mm512_maskz_loadu_ps(mask[s], y + i * y_stride + kStrip * s) : _mm512_setzero_ps();
  }
  add_groups<Format, kN, 2>(strips, groups, x, sum, [](size_t) {});
#pragma GCC unroll 8
  for (size_t i = 0; i < kN; ++i) {
#pragma GCC unroll 2
    for (size_t s = 0; s < 2; ++s) _mm512_mask_storeu_ps(y + i * y_stride + kStrip * s, mask[s], sum[i][s]);
  }
}

// So many bytes of weight rows [first, last) are on their way into the second level of cache. Past the last it is harmless.
template <class Args>
inline __attribute__((always_inline)) void fetch(const Args& a, size_t first, size_t last, size_t from, size_t bytes) {
  for (size_t r = first; r < last; ++r) {
    const char* p = reinterpret_cast<const char*>(a.weight + r * a.row_bytes + from);
    __asm__ volatile("" : "+r"(p));  // as in `ask`
    for (size_t i = 0; i < bytes; i += 64) _mm_prefetch(p + i, _MM_HINT_T1);
  }
}

// Columns [k, k + kDepth) of activations [first, last) are on their way into the first level of cache: where rows are long
// no hardware follows from one to the next.
inline __attribute__((always_inline)) void fetch(const Activation* x, size_t first, size_t last, size_t k) {
  for (size_t i = first; i < last; ++i) {
    const int8_t* q = x[i].q + k;
    __asm__ volatile("" : "+r"(q));  // as in `ask`
    for (size_t j = 0; j < kDepth; j += 64) _mm_prefetch(reinterpret_cast<const char*>(q + j), _MM_HINT_T0);
    _mm_prefetch(reinterpret_cast<const char*>(x[i].scale + k / kGroup), _MM_HINT_T0);
    _mm_prefetch(reinterpret_cast<const char*>(x[i].sum16 + k / 16), _MM_HINT_T0);
  }
}

// More than kFew activations.
template <class Format>
void dot_many(const DotArgs& a) {
  constexpr size_t kBytes = kDepth / Format::kBlock * Format::kBytes;  // of kDepth weights
  alignas(64) uint8_t panel[kPanel / kStrip * kStripBytes<Format>];
  Columns<Format> x;
  for (size_t row = 0; row < a.rows; row += kPanel) {
    const size_t rows = a.rows - row < kPanel ? a.rows - row : kPanel;
    for (size_t k = 0; k < a.k; k += kDepth) {
      const size_t groups = (a.k - k < kDepth ? a.k - k : kDepth) / kGroup, at = k / Format::kBlock * Format::kBytes;
      for (size_t r = 0; r < rows || r % (2 * kStrip) != 0; r += kStrip) {
        Rows w(a, row + r);
        w.at = at;
        uint8_t* out = panel + r / kStrip * kStripBytes<Format>;
        for (size_t g = 0; g < groups; g += Format::kBlock / kGroup, w.at += Format::kBytes) {
          Format::factors(w, out + g * kRecord<Format>);
          Format::codes(w, out + g * kRecord<Format>);
        }
      }
      // Tiles differ by one activation at most.
      const size_t tiles = (a.m + kColumns - 1) / kColumns, next_rows = k + kDepth < a.k ? rows : 0;
      for (size_t t = 0, column = 0; t < tiles; ++t) {
        fetch(a, row + t * next_rows / tiles, row + (t + 1) * next_rows / tiles, at + kBytes, kBytes);
        const size_t columns = (a.m - column + tiles - t - 1) / (tiles - t);
        for (size_t i = 0; i < columns; ++i) x.take(a.x[column + i], i, k, groups);
        const size_t next = column + columns, of_next = t + 1 < tiles ? (a.m - next) / (tiles - t - 1) : 0;
        for (size_t r = 0; r < rows; r += 2 * kStrip) {
          fetch(a.x, next + r * of_next / kPanel, next + (r + 2 * kStrip) * of_next / kPanel, k);
          const uint8_t* strips = panel + r / kStrip * kStripBytes<Format>;
          float* y = a.y + column * a.y_stride + row + r;
          switch (columns) {
            case 4: tile<Format, 4>(strips, groups, x, k > 0, y, a.y_stride, rows - r); break;
            case 5: tile<Format, 5>(strips, groups, x, k > 0, y, a.y_stride, rows - r); break;
            default: tile<Format, 6>(strips, groups, x, k > 0, y, a.y_stride, rows - r);
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
    case 3: return dot_few<Format, 3>(a);
    case 4: return dot_few<Format, 4>(a);
    case 5: return dot_few<Format, 5>(a);
    case 6: return dot_few<Format, 6>(a);
    case 7: return dot_few<Format, 7>(a);
    case 8: return dot_few<Format, 8>(a);
    default: dot_many<Format>(a);
  }
}

}  // namespace
}  // namespace kette::kernels::avx512
