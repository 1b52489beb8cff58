// Weights times int8 activations, for any number of activations: the walks that the integer formats share. A strip is
// eight weight rows, a group 32 weights of each. A group's integer sums are exact, whatever the order of additions, and
// a float vector holds those of the eight rows. Internal linkage only.
//
// y = for each group in order: y += (integer sum) * (the weights' scale * the activation's scale), then y += offset *
// (the activation's sum) for the format's offsets; each += is one fused multiply-add. So the bits are the same for one
// activation, which reads the blocks in place, and for many, for which the blocks are unpacked into a panel: vectors
// that hold four weights of each row of a strip, so that lanes need no adding up.
#pragma once

#include "kernels/avx2/floats.h"
#include "kernels/avx2/transpose.h"
#include "kernels/strip_rows.h"

namespace kette::kernels::avx2 {
namespace {

constexpr size_t kStrip = 8;    // weight rows
constexpr size_t kGroup = 32;   // weights of a row
constexpr size_t kPanel = 32;   // weight rows unpacked at once, into the first level of cache
constexpr size_t kColumns = 4;  // activations multiplied at once

// A Format says how its blocks become records, one a group of a strip: codes, then floats: the scales [8], then the
// offsets [kSums][8].
//   kBlock, kBytes   weights and bytes of a block
//   kCodes           bytes of codes in a record
//   kXBytes          bytes that an activation's group takes, as `spread` lays it out
//   kSums            sums of the activation that offsets multiply: 0, 1 (of the 32) or 2 (of each 16)
//   kDepth           weights of a row in a panel
//   factors(rows [8], out)      the floats of one block of each row, into records kRecord<Format> bytes apart
//   codes(rows [8], out)        the codes, likewise
//   spread(q, x)                a group of an activation
//   products<kN>(w, x, dot)     the integer sums of a group: of the record w and that of the next strip, with kN
//                               activations kXRow<Format> bytes apart
//   kAtOnce                     groups that `sums` takes
//   sums<kN>(rows, g, record, q, dot)   the same for groups g, g + 1, .. of a block of each row, from the blocks; the
//                               records have their floats. q: where the first group's activations begin
using Rows = StripRows<kStrip>;

template <class Format>
constexpr size_t kRecord = Format::kCodes + (1 + Format::kSums) * kStrip * sizeof(float);
template <class Format>
constexpr size_t kStripBytes = Format::kDepth / kGroup* kRecord<Format>;
template <class Format>
constexpr size_t kXRow = Format::kDepth / kGroup* Format::kXBytes;

// Stretches of activations, beside each other.
template <class Format>
struct Columns {
  alignas(32) uint8_t q[kColumns * kXRow<Format>];
  alignas(32) float scale[kColumns][Format::kDepth / kGroup];
  alignas(32) float sum[kColumns][Format::kDepth / kGroup * (Format::kSums > 0 ? Format::kSums : 1)];

  void take(const Activation& x, size_t column, size_t k, size_t groups) {
    uint8_t* out = q + column * kXRow<Format>;
    for (size_t g = 0; g < groups; ++g) Format::spread(x.q + k + g * kGroup, out + g * Format::kXBytes);
    const float *scales = x.scale + k / kGroup, *sum16 = x.sum16 + k / 16;
    size_t g = 0;
    for (; g + 8 <= groups; g += 8) {
      _mm256_store_ps(scale[column] + g, _mm256_loadu_ps(scales + g));
      if (Format::kSums == 0) continue;
      const __m256 a = _mm256_loadu_ps(sum16 + 2 * g), b = _mm256_loadu_ps(sum16 + 2 * g + 8);
      float* to = sum[column] + Format::kSums * g;
      if (Format::kSums ==
          1) {  // sums of neighbours come as 0 1 4 5 2 3 6 7 of pairs: put the middle quarters in place
        const __m256d pairs = _mm256_castps_pd(_mm256_hadd_ps(a, b));
        _mm256_store_ps(to, _mm256_castpd_ps(_mm256_permute4x64_pd(pairs, _MM_SHUFFLE(3, 1, 2, 0))));
      } else {
        _mm256_store_ps(to, a);
        _mm256_store_ps(to + 8, b);
      }
    }
    for (; g < groups; ++g) {
      scale[column][g] = scales[g];
      if (Format::kSums == 1) sum[column][g] = sum16[2 * g] + sum16[2 * g + 1];
      if (Format::kSums == 2) memcpy(sum[column] + 2 * g, sum16 + 2 * g, 2 * sizeof(float));
    }
  }
};

// Two strips of a panel times kN activations. y: [kN][y_stride], n <= 16 numbers of each.
template <class Format, size_t kN>
void tile(const uint8_t* panel, size_t groups, const Columns<Format>& x, bool add, float* y, size_t y_stride,
          size_t n) {
  const size_t last[2] = {n, n > 8 ? n - 8 : 0};
  __m256 sum[kN][2];
#pragma GCC unroll 4
  for (size_t i = 0; i < kN; ++i) {
#pragma GCC unroll 2
    for (size_t s = 0; s < 2; ++s)
      sum[i][s] = add ? load_first(y + i * y_stride + 8 * s, last[s]) : _mm256_setzero_ps();
  }
  for (size_t g = 0; g < groups; ++g) {
    const uint8_t* w = panel + g * kRecord<Format>;
    __m256i dot[kN][2];
    Format::template products<kN>(w, x.q + g * Format::kXBytes, dot);
#pragma GCC unroll 2
    for (size_t s = 0; s < 2; ++s) {
      const float* factors = reinterpret_cast<const float*>(w + s * kStripBytes<Format> + Format::kCodes);
#pragma GCC unroll 4
      for (size_t i = 0; i < kN; ++i) {
        const __m256 scale = _mm256_mul_ps(_mm256_load_ps(factors), _mm256_broadcast_ss(&x.scale[i][g]));
        sum[i][s] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dot[i][s]), scale, sum[i][s]);
#pragma GCC unroll 2
        for (size_t o = 0; o < Format::kSums; ++o)
          sum[i][s] = _mm256_fmadd_ps(_mm256_load_ps(factors + (1 + o) * kStrip),
                                      _mm256_broadcast_ss(&x.sum[i][g * Format::kSums + o]), sum[i][s]);
      }
    }
  }
#pragma GCC unroll 4
  for (size_t i = 0; i < kN; ++i) {
#pragma GCC unroll 2
    for (size_t s = 0; s < 2; ++s) store_first(y + i * y_stride + 8 * s, last[s], sum[i][s]);
  }
}

template <class Format>
void pack_strip(const DotArgs& a, size_t row, size_t k, size_t groups, uint8_t* out) {
  Rows w(a, row);
  w.at = k / Format::kBlock * Format::kBytes;
  for (size_t g = 0; g < groups; g += Format::kBlock / kGroup, w.at += Format::kBytes) {
    Format::factors(w, out + g * kRecord<Format>);
    Format::codes(w, out + g * kRecord<Format>);
  }
}

template <class Format>
void dot_many(const DotArgs& a) {
  alignas(64) uint8_t panel[kPanel / kStrip * kStripBytes<Format>];
  Columns<Format> x;
  for (size_t row = 0; row < a.rows; row += kPanel) {
    const size_t rows = a.rows - row < kPanel ? a.rows - row : kPanel;
    for (size_t k = 0; k < a.k; k += Format::kDepth) {
      const size_t groups = (a.k - k < Format::kDepth ? a.k - k : Format::kDepth) / kGroup;
      for (size_t r = 0; r < rows || r % (2 * kStrip) != 0; r += kStrip)
        pack_strip<Format>(a, row + r, k, groups, panel + r / kStrip * kStripBytes<Format>);
      for (size_t column = 0; column < a.m; column += kColumns) {
        const size_t columns = a.m - column < kColumns ? a.m - column : kColumns;
        for (size_t i = 0; i < columns; ++i) x.take(a.x[column + i], i, k, groups);
        for (size_t r = 0; r < rows; r += 2 * kStrip) {
          const uint8_t* strips = panel + r / kStrip * kStripBytes<Format>;
          float* y = a.y + column * a.y_stride + row + r;
          const size_t n = rows - r < 2 * kStrip ? rows - r : 2 * kStrip;
          switch (columns) {
            case 1: tile<Format, 1>(strips, groups, x, k > 0, y, a.y_stride, n); break;
            case 2: tile<Format, 2>(strips, groups, x, k > 0, y, a.y_stride, n); break;
            case 3: tile<Format, 3>(strips, groups, x, k > 0, y, a.y_stride, n); break;
            default: tile<Format, 4>(strips, groups, x, k > 0, y, a.y_stride, n);
          }
        }
      }
    }
  }
}

// One block of each row of a strip times kN activations, at `group` of theirs.
template <class Format, size_t kN>
inline __attribute__((always_inline)) void add_block(const Rows& w, const Activation* x, size_t group,
                                                     __m256 (&sum)[kN]) {
  alignas(32) uint8_t records[Format::kBlock / kGroup * kRecord<Format>];
  Format::factors(w, records);
#pragma GCC unroll 8
  for (size_t first = 0; first < Format::kBlock / kGroup; first += Format::kAtOnce) {
    w.ask<Format::kBytes>(first / Format::kAtOnce, Format::kBlock / kGroup / Format::kAtOnce);
    const int8_t* q[kN];
#pragma GCC unroll 4
    for (size_t i = 0; i < kN; ++i) q[i] = x[i].q + (group + first) * kGroup;
    __m256i dot[Format::kAtOnce][kN];
    Format::template sums<kN>(w, first, records + first * kRecord<Format>, q, dot);
#pragma GCC unroll 4
    for (size_t g = first; g < first + Format::kAtOnce; ++g) {
      const float* f = reinterpret_cast<const float*>(records + g * kRecord<Format> + Format::kCodes);
#pragma GCC unroll 4
      for (size_t i = 0; i < kN; ++i) {
        const __m256 scale = _mm256_mul_ps(_mm256_load_ps(f), _mm256_broadcast_ss(x[i].scale + group + g));
        sum[i] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(dot[g - first][i]), scale, sum[i]);
        const float* sum16 = x[i].sum16 + 2 * (group + g);
        if (Format::kSums == 1)
          sum[i] = _mm256_fmadd_ps(_mm256_load_ps(f + kStrip), _mm256_set1_ps(sum16[0] + sum16[1]), sum[i]);
        if (Format::kSums == 2) {
          sum[i] = _mm256_fmadd_ps(_mm256_load_ps(f + kStrip), _mm256_broadcast_ss(sum16), sum[i]);
          sum[i] = _mm256_fmadd_ps(_mm256_load_ps(f + 2 * kStrip), _mm256_broadcast_ss(sum16 + 1), sum[i]);
        }
      }
    }
  }
}

template <class Format, size_t kN>
void dot_few(const DotArgs& a) {
  each_strip<kStrip>(a, [&](Rows w, size_t row, size_t step) {
    __m256 sum[kN];
#pragma GCC unroll 4
    for (size_t i = 0; i < kN; ++i) sum[i] = _mm256_setzero_ps();
    for (size_t block = 0; block < a.k / Format::kBlock; ++block, w.at += Format::kBytes)
      add_block<Format, kN>(w, a.x, block * (Format::kBlock / kGroup), sum);
#pragma GCC unroll 4
    for (size_t i = 0; i < kN; ++i) {
      alignas(32) float sums[kStrip];
      _mm256_store_ps(sums, sum[i]);
      store_apart<kStrip>(a, i, row, step, sums);
    }
  });
}

template <class Format>
void dot_strips(const DotArgs& a) {
  switch (a.m) {
    case 1: return dot_few<Format, 1>(a);
    case 2: return dot_few<Format, 2>(a);
    default: dot_many<Format>(a);
  }
}

inline __m256i load(const void* p) { return _mm256_loadu_si256(static_cast<const __m256i*>(p)); }
inline __m128i load16(const void* p) { return _mm_loadu_si128(static_cast<const __m128i*>(p)); }
inline __m256i twice16(const void* p) { return _mm256_broadcastsi128_si256(load16(p)); }
inline void store(uint8_t* p, __m256i v) { _mm256_store_si256(reinterpret_cast<__m256i*>(p), v); }
inline void store(uint8_t* p, __m256 v) { _mm256_store_ps(reinterpret_cast<float*>(p), v); }

// Four bytes at p, in every lane.
inline __m256i four(const void* p) {
  int32_t v;
  memcpy(&v, p, 4);
  return _mm256_set1_epi32(v);
}

// sum + p. GCC would otherwise add many products in another order, one in which all of them are alive at once, and
// there are sixteen registers.
inline __m256i plus16(__m256i sum, __m256i p) {
  sum = _mm256_add_epi16(sum, p);
  __asm__("" : "+x"(sum));
  return sum;
}
inline __m256i plus32(__m256i sum, __m256i p) {
  sum = _mm256_add_epi32(sum, p);
  __asm__("" : "+x"(sum));
  return sum;
}

inline int half_at(const uint8_t* p) {
  uint16_t bits;
  memcpy(&bits, p, 2);
  return bits;
}

// A half of each of eight rows, as floats. No array: GCC would fill it in a loop.
inline __m256 halves(const Rows& rows, size_t at) {
  __m128i v = _mm_cvtsi32_si128(half_at(rows[0] + at));
  v = _mm_insert_epi16(v, half_at(rows[1] + at), 1);
  v = _mm_insert_epi16(v, half_at(rows[2] + at), 2);
  v = _mm_insert_epi16(v, half_at(rows[3] + at), 3);
  v = _mm_insert_epi16(v, half_at(rows[4] + at), 4);
  v = _mm_insert_epi16(v, half_at(rows[5] + at), 5);
  v = _mm_insert_epi16(v, half_at(rows[6] + at), 6);
  return _mm256_cvtph_ps(_mm_insert_epi16(v, half_at(rows[7] + at), 7));
}

// Sums of each of four vectors' lanes, of the lower and of the upper halves.
inline __m256i add_up_halves(const __m256i* v) {
  const __m256i ab = _mm256_add_epi32(_mm256_unpacklo_epi32(v[0], v[1]), _mm256_unpackhi_epi32(v[0], v[1]));
  const __m256i cd = _mm256_add_epi32(_mm256_unpacklo_epi32(v[2], v[3]), _mm256_unpackhi_epi32(v[2], v[3]));
  return _mm256_add_epi32(_mm256_unpacklo_epi64(ab, cd), _mm256_unpackhi_epi64(ab, cd));
}
// Sums of each of eight vectors' lanes.
inline __m256i add_up32(const __m256i (&v)[8]) {
  const __m256i a = add_up_halves(v), b = add_up_halves(v + 4);
  return _mm256_add_epi32(_mm256_permute2x128_si256(a, b, 0x20), _mm256_permute2x128_si256(a, b, 0x31));
}
// The same of four vectors of 16-bit lanes, each half for itself: of rows r and r + 4 in vector r come rows 0 to 7.
// Sums by eights must fit into 16 bits.
inline __m256i add_up_pairs(const __m256i (&v)[4]) {
  const __m256i ab = _mm256_add_epi16(_mm256_unpacklo_epi32(v[0], v[1]), _mm256_unpackhi_epi32(v[0], v[1]));
  const __m256i cd = _mm256_add_epi16(_mm256_unpacklo_epi32(v[2], v[3]), _mm256_unpackhi_epi32(v[2], v[3]));
  const __m256i abcd = _mm256_add_epi16(_mm256_unpacklo_epi64(ab, cd), _mm256_unpackhi_epi64(ab, cd));
  return _mm256_madd_epi16(abcd, _mm256_set1_epi16(1));
}

// Rows r and r + 4 at `at`, side by side.
inline __m256i two_rows(const Rows& rows, size_t r, size_t at) {
  return _mm256_inserti128_si256(_mm256_castsi128_si256(load16(rows[r] + at)), load16(rows[r + 4] + at), 1);
}
// Four such pairs into the dwords of all eight rows: v[j] lane r = dword j of row r.
inline void transpose_pairs(__m256i (&v)[4]) {
  const __m256i ab = _mm256_unpacklo_epi32(v[0], v[1]), cd = _mm256_unpacklo_epi32(v[2], v[3]);
  const __m256i ab2 = _mm256_unpackhi_epi32(v[0], v[1]), cd2 = _mm256_unpackhi_epi32(v[2], v[3]);
  v[0] = _mm256_unpacklo_epi64(ab, cd);
  v[1] = _mm256_unpackhi_epi64(ab, cd);
  v[2] = _mm256_unpacklo_epi64(ab2, cd2);
  v[3] = _mm256_unpackhi_epi64(ab2, cd2);
}

inline void spread_plain(const int8_t* q, uint8_t* x) { store(x, load(q)); }

// Nibbles as they lie in q4_0 and q4_1: 16 bytes of each row at `at`, the low nibbles first.
inline void pack_nibbles(const Rows& rows, size_t at, uint8_t* out) {
  __m256i v[4] = {two_rows(rows, 0, at), two_rows(rows, 1, at), two_rows(rows, 2, at), two_rows(rows, 3, at)};
  transpose_pairs(v);
  const __m256i mask = _mm256_set1_epi8(15);
#pragma GCC unroll 4
  for (size_t j = 0; j < 4; ++j) {
    store(out + 32 * j, _mm256_and_si256(v[j], mask));
    store(out + 32 * (j + 4), _mm256_and_si256(_mm256_srli_epi16(v[j], 4), mask));
  }
}
template <size_t kN>
inline __attribute__((always_inline)) void nibble_sums(const Rows& rows, size_t at, const int8_t* const (&q)[kN],
                                                       __m256i (&dot)[1][kN]) {
  const __m256i mask = _mm256_set1_epi8(15);
  __m256i sum[kN][4];
#pragma GCC unroll 4
  for (size_t r = 0; r < 4; ++r) {
    const __m256i v = two_rows(rows, r, at);
    const __m256i low = _mm256_and_si256(v, mask), high = _mm256_and_si256(_mm256_srli_epi16(v, 4), mask);
#pragma GCC unroll 4
    for (size_t i = 0; i < kN; ++i)
      sum[i][r] =
          _mm256_add_epi16(_mm256_maddubs_epi16(low, twice16(q[i])), _mm256_maddubs_epi16(high, twice16(q[i] + 16)));
  }
#pragma GCC unroll 4
  for (size_t i = 0; i < kN; ++i) dot[0][i] = add_up_pairs(sum[i]);
}

// Codes up to 15, [8 fours of weights][8 rows][4]: the sixteen products of a 16-bit lane cannot overflow,
// 16 * 15 * 128 < 2^15.
template <class Format, size_t kN>
inline void nibble_products(const uint8_t* w, const uint8_t* x, __m256i (&dot)[kN][2]) {
#pragma GCC unroll 8
  for (size_t j = 0; j < 8; ++j) {
    const __m256i w0 = load(w + 32 * j), w1 = load(w + kStripBytes<Format> + 32 * j);
#pragma GCC unroll 4
    for (size_t i = 0; i < kN; ++i) {
      const __m256i v = four(x + i * kXRow<Format> + 4 * j);
      const __m256i p0 = _mm256_maddubs_epi16(w0, v), p1 = _mm256_maddubs_epi16(w1, v);
      dot[i][0] = j == 0 ? p0 : plus16(dot[i][0], p0);
      dot[i][1] = j == 0 ? p1 : plus16(dot[i][1], p1);
    }
  }
  const __m256i ones = _mm256_set1_epi16(1);
#pragma GCC unroll 4
  for (size_t i = 0; i < kN; ++i) {
    dot[i][0] = _mm256_madd_epi16(dot[i][0], ones);
    dot[i][1] = _mm256_madd_epi16(dot[i][1], ones);
  }
}

}  // namespace
}  // namespace kette::kernels::avx2
