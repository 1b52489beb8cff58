// Activations times panels of integers. A lane is a weight row, and one instruction multiplies four of its codes by four
// numbers of an activation. Sums of codes that share a scale are cut to 16 bits, so that two of them meet two scales in
// one instruction too, and a block of 256 stays in integers.
#include "kernels/avx512/floats.h"
#include "kernels/strip_rows.h"

namespace kette::kernels::avx512 {
namespace {

constexpr size_t kStrip = 16, kStrips = KETTE_PANEL_WIDTH / kStrip;
constexpr size_t kRows = 4;   // activations at a time, times two strips
constexpr size_t kPair = 64;  // numbers of two groups

template <size_t kN>
using Sums = __m512i[kN][2];  // of kN activations times two strips

// dot = the sums of numbers [at, at + kNumbers) of a block, whose codes lose kShift bits.
template <size_t kNumbers, int kShift, size_t kN>
inline __attribute__((always_inline)) void multiply(const IntNumbers* const* x, const IntWeights* strips, size_t at,
                                                    Sums<kN>& dot) {
#pragma GCC unroll 4
  for (size_t i = 0; i < kN; ++i) {
    const int32_t* start = kShift == 0 ? x[i]->start_8 : kShift == 1 ? x[i]->start_32 : x[i]->start_128;
    dot[i][0] = dot[i][1] = _mm512_set1_epi32(start[at / kNumbers]);
  }
#pragma GCC unroll 8
  for (size_t four = 0; four < kNumbers / 4; ++four) {
    const size_t j = at / 4 + four;
    const __m512i a = _mm512_load_si512(strips[0].code[j]), b = _mm512_load_si512(strips[1].code[j]);
#pragma GCC unroll 4
    for (size_t i = 0; i < kN; ++i) {
      const __m512i q = in_each_lane(x[i]->q + 4 * j);
      dot[i][0] = _mm512_dpbusd_epi32(dot[i][0], a, q);
      dot[i][1] = _mm512_dpbusd_epi32(dot[i][1], b, q);
    }
  }
}

// Two sums, each without its last kShift bits, side by side.
template <int kShift>
inline __m512i side_by_side(__m512i low, __m512i high) {
  return _mm512_mask_blend_epi16(0xaaaaaaaa, _mm512_srai_epi32(low, kShift), _mm512_slli_epi32(high, 16 - kShift));
}

// kShare numbers of a row share a scale; whether there are offsets.
template <size_t kShare, int kShift, bool kOffsets>
struct Multiply {
  // c = (add: c +) pairs of groups of kN activations times two strips, n <= 32 numbers of each. What is ahead is asked for.
  template <size_t kN>
  static void tile(const IntNumbers* const* x, const IntWeights* strips, size_t pairs, bool add, float* c,
                   size_t c_stride, size_t n, RowsAhead& ahead) {
    Sums<kN> sum;
#pragma GCC unroll 4
    for (size_t i = 0; i < kN; ++i) sum[i][0] = sum[i][1] = _mm512_setzero_si512();
    for (size_t pair = 0; pair < pairs; ++pair) {
      ahead.ask();
#pragma GCC unroll 2
      for (size_t at = kPair * pair; at < kPair * (pair + 1); at += 2 * kShare) {
        Sums<kN> low, high;
        multiply<kShare, kShift>(x, strips, at, low);
        multiply<kShare, kShift>(x, strips, at + kShare, high);
#pragma GCC unroll 2
        for (size_t s = 0; s < 2; ++s) {
          const __m512i scales = _mm512_load_si512(strips[s].scale[at / kShare / 2]);
#pragma GCC unroll 4
          for (size_t i = 0; i < kN; ++i) {
            const __m512i ratio =
                kShare == 32 ? in_each_lane(x[i]->ratio + 2 * pair) : _mm512_set1_epi16(x[i]->ratio[at / 32]);
            sum[i][s] = _mm512_dpwssd_epi32(sum[i][s], side_by_side<kShift>(low[i][s], high[i][s]),
                                            _mm512_mulhrs_epi16(scales, ratio));
          }
        }
      }
#pragma GCC unroll 2
      for (size_t s = 0; kOffsets && s < 2; ++s) {
        const __m512i offsets = _mm512_load_si512(strips[s].offset[pair]);
#pragma GCC unroll 4
        for (size_t i = 0; i < kN; ++i)
          sum[i][s] = _mm512_dpwssd_epi32(sum[i][s], offsets, in_each_lane(x[i]->sum + 2 * pair));
      }
    }
#pragma GCC unroll 2
    for (size_t s = 0; s < 2; ++s) {
      const __mmask16 mask = n > s * kStrip ? first(n - s * kStrip) : first(0);
      const __m512 unit = _mm512_load_ps(strips[s].unit);
#pragma GCC unroll 4
      for (size_t i = 0; i < kN; ++i) {
        float* to = c + i * c_stride + s * kStrip;
        const __m512 before = add ? _mm512_maskz_loadu_ps(mask, to) : _mm512_setzero_ps();
        const __m512 scale = _mm512_mul_ps(unit, _mm512_set1_ps(x[i]->scale));
        _mm512_mask_storeu_ps(to, mask, _mm512_fmadd_ps(_mm512_cvtepi32_ps(sum[i][s]), scale, before));
      }
    }
  }

  static void run(const IntPanelArgs& a) {
    RowsAhead ahead{};
    if (a.next != nullptr) {
      const UnpackArgs& next = *a.next;
      ahead = {next.weight, next.rows, next.row_bytes, next.n / next.block_size * next.block_bytes,
               (a.m + kRows - 1) / kRows * ((a.width + 2 * kStrip - 1) / (2 * kStrip)) * ((a.k + kPair - 1) / kPair)};
    }
    for (size_t k = 0; k < a.k; k += KETTE_INT_BLOCK) {
      const size_t pairs = ((a.k - k < KETTE_INT_BLOCK ? a.k - k : KETTE_INT_BLOCK) + kPair - 1) / kPair;
      const IntWeights* strips = a.panel + k / KETTE_INT_BLOCK * kStrips;
      const IntNumbers* x = a.a + k / KETTE_INT_BLOCK;
      const bool add = a.add || k > 0;
      for (size_t row = 0; row < a.m; row += kRows) {
        const size_t rows = a.m - row < kRows ? a.m - row : kRows;
        const IntNumbers* of[kRows];
        for (size_t i = 0; i < rows; ++i) of[i] = x + (row + i) * a.a_stride;
        for (size_t s = 0; s * kStrip < a.width; s += 2) {
          // The next ones come from the second level, and no hardware follows from row to row.
          for (size_t i = row + kRows + s; i < row + kRows + s + 2 && i < a.m; ++i)
            ask_for<_MM_HINT_T0>(x + i * a.a_stride, sizeof(IntNumbers));
          float* c = a.c + row * a.c_stride + s * kStrip;
          const size_t n = a.width - s * kStrip;
          switch (rows) {
            case 1: tile<1>(of, strips + s, pairs, add, c, a.c_stride, n, ahead); break;
            case 2: tile<2>(of, strips + s, pairs, add, c, a.c_stride, n, ahead); break;
            case 3: tile<3>(of, strips + s, pairs, add, c, a.c_stride, n, ahead); break;
            default: tile<4>(of, strips + s, pairs, add, c, a.c_stride, n, ahead);
          }
        }
      }
    }
  }
};

}  // namespace

// The kinds that unpack_int.h makes.
void multiply_int(const IntPanelArgs& a) {
  const IntWeights& w = *a.panel;
  if (w.share == 16) return Multiply<16, 1, false>::run(a);
  if (w.shift == 4) return Multiply<32, 4, false>::run(a);
  return w.has_offsets ? Multiply<32, 0, true>::run(a) : Multiply<32, 0, false>::run(a);
}

}  // namespace kette::kernels::avx512
