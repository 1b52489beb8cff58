// What a kernel is: plain functions over plain pointers. The only header from outside that files in ISA folders include,
// beside <immintrin.h>, C's, and code that they share without linkage: nothing here may be an inline or template function,
// or the linker could keep a copy compiled for an instruction set that the CPU at hand does not have.
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <cstddef>  // std::byte

namespace kette::kernels {

#define KETTE_TILE 128
#define KETTE_PANEL_WIDTH 64

// One activation vector in the forms that dot kernels read. Which are filled is said by the kernel's row.
struct Activation {
  const float* f32;    // [k]
  const int8_t* q;     // [k]       round(f32 / scale of its 32), in [-127, 127]
  const float* scale;  // [k / 32]  largest magnitude of the 32 / 127
  const float* sum16;  // [k / 16]  scale * (sum of q over the 16)
};

// y[i][r] = sum over k of weight[r][k] * x[i][k]. Each y depends on its own row and x alone, in an order of
// additions that does not depend on `rows` or `m`.
struct DotArgs {
  const uint8_t* weight;  // [rows][row_bytes], blocks as stored in the file
  size_t row_bytes;
  size_t rows;
  size_t k;             // a multiple of block_size
  const Activation* x;  // [m]
  size_t m;             // 1 to 16, or at least 1: see dot.inc
  float* y;             // [m][y_stride]
  size_t y_stride;
  // Of the weight's format, for kernels that take any.
  void (*decode)(const std::byte* blocks, float* out, size_t n);
  size_t block_size, block_bytes;
  // A factor for each tile of KETTE_TILE x KETTE_TILE weights, or nullptr; of kernels for any format and for fp8. Tiles
  // begin at the whole weight's first row, of which `weight` points at row `first_row`.
  const float* tile_scale = nullptr;  // [ceil(rows of the whole / KETTE_TILE)][tile_stride]
  size_t tile_stride = 0;             // ceil(k / KETTE_TILE)
  size_t first_row = 0;
};
using Dot = void (*)(const DotArgs&);

// What panels of integers are made of, and the activations that they are multiplied by: 256 numbers, kept together.
#define KETTE_INT_BLOCK 256
#define KETTE_INT_MOST_SCALE 4095
#define KETTE_INT_MOST_OFFSET 32767
// A number is q * scale * ratio / 2^15 of its group of 32.
struct IntNumbers {
  int8_t q[KETTE_INT_BLOCK];            // -127 to 127; 0 behind the last number
  int16_t ratio[KETTE_INT_BLOCK / 32];  // of a group's largest magnitude to that of the block, times 2^15 - 1
  int16_t sum[KETTE_INT_BLOCK / 32];    // of q over the group, times ratio / 2^15
  float scale;
  // What sums of q * code start from: -zero * the sum of q, and half of 2^shift, of each `share` numbers.
  int32_t start_8[KETTE_INT_BLOCK / 32];    // zero 8, share 32, shift 0
  int32_t start_32[KETTE_INT_BLOCK / 16];   // zero 32, share 16, shift 1
  int32_t start_128[KETTE_INT_BLOCK / 32];  // zero 128, share 32, shift 4
};
// 16 weight rows. A number is ((code - zero) * 2^-shift * scale + offset) * unit; `share` of them share a scale, and 32 an
// offset: one of the kinds above. Scales and offsets behind a row's last number, to the next multiple of 64, are 0, codes
// any. The multiply's sums are those of
//   (start + the sum over `share` of q * code) >> shift, of 16 bits, times round(scale * ratio / 2^15), and offset * sum,
// and stay below 2^31 over a block.
struct IntWeights {
  uint8_t code[KETTE_INT_BLOCK / 4][16][4];
  int16_t scale[KETTE_INT_BLOCK / 32][16][2];   // of two times `share` numbers; at most KETTE_INT_MOST_SCALE
  int16_t offset[KETTE_INT_BLOCK / 64][16][2];  // of two times 32; at most KETTE_INT_MOST_OFFSET
  float unit[16];
  alignas(64) uint32_t share;  // these are the same in a whole panel
  int32_t shift;
  bool has_offsets;
};

// Weight rows become the columns of a panel (kernels/panel.h): for the matmul of many rows.
//   f32   panel [depth][KETTE_PANEL_WIDTH]
//   bf16  panel [depth / 2][KETTE_PANEL_WIDTH][2], rounded to nearest even; depth is even
//   ints  panel [depth / KETTE_INT_BLOCK][KETTE_PANEL_WIDTH / 16] of IntWeights, whose units are as small as may be
// Numbers from n to depth are zeros, and so are the panel's columns from `rows` to the next multiple of 16 (of integers:
// in those, to the next multiple of 32, lie any). What lies beyond that column is left as it is.
struct UnpackArgs {
  const uint8_t* weight;  // [rows][row_bytes], blocks as stored: at the panel's first row and number
  size_t row_bytes;
  size_t rows;   // 1 to KETTE_PANEL_WIDTH
  size_t n;      // numbers of a row, a multiple of block_size
  size_t depth;  // of the panel, at least n
  void* panel;   // cache-line aligned
  // Of the weight's format, for kernels that take any.
  void (*decode)(const std::byte* blocks, float* out, size_t n);
  size_t block_size, block_bytes;
  // As in DotArgs; `weight` points at number `first_column` of row `first_row`.
  const float* tile_scale = nullptr;
  size_t tile_stride = 0;
  size_t first_row = 0, first_column = 0;
  bool is_near = false;  // the weights are in the second level of cache, or on their way
};
using Unpack = void (*)(const UnpackArgs&);

// c[i][j] = (add: c[i][j] +) sum over k of a[i][k] * panel[k][j], block after block, whatever m is.
struct IntPanelArgs {
  const IntNumbers* a;  // [m][a_stride]
  size_t a_stride, m;
  const IntWeights* panel;
  size_t k;      // numbers; a multiple of KETTE_INT_BLOCK but for a row's last
  size_t width;  // columns of c, at most KETTE_PANEL_WIDTH
  bool add;
  float* c;  // [m][c_stride]
  size_t c_stride;
  const UnpackArgs* next;  // weights that are unpacked after this, to be asked for meanwhile; nullptr: none are
};
namespace avx512 {
void multiply_int(const IntPanelArgs&);
}

enum class KvType : int32_t {
#define KETTE_KV_TYPE(type, format) type,
#include "kernels/kv_types.inc"
#undef KETTE_KV_TYPE
};

// Softmax attention of query rows that share one key/value head (their group's heads, for several tokens).
// out[i] = sum over t < visible[i] of softmax(scale * q[i] . key[t]) * value[t], accumulated online over blocks of
// 32 positions counted from 0, so that a row's result does not depend on the rows beside it. Positions lie in pages of
// KETTE_KV_PAGE, a multiple of 32. Values may lie within the rows of the keys.
#define KETTE_KV_PAGE 64
#define KETTE_KV_BLOCK 256
struct AttendArgs {
  const float* q;  // [rows][q_stride], key_dim used
  size_t q_stride;
  const uint32_t* visible;  // [rows]; at least 1 unless `largest` is given
  size_t rows;
  const std::byte* const* pages;  // of positions 0 to KETTE_KV_PAGE - 1, and so on
  bool more = false;              // the positions behind those that rows see are read next, and may be asked for
  // In bytes: where in each page keys and values begin, and from one position's row to the next.
  size_t key_at, value_at, key_stride, value_stride;
  KvType kv_type;  // of the rows: whole blocks, of which key_dim and value_dim numbers are used
  // Of the type's format, for kernels that have no reader of their own for it. At most KETTE_KV_BLOCK numbers a block.
  void (*decode)(const std::byte* blocks, float* out, size_t n);
  size_t block_size, block_bytes;
  size_t key_dim, value_dim;  // multiples of 2
  float scale;
  float* out;  // [rows][out_stride]
  size_t out_stride;
  float* scratch;  // KETTE_ATTEND_SCRATCH(key_dim, value_dim, rows) floats, cache-line aligned
  // [rows] each, or nullptr. Where given, these positions are a part of a longer context: a row's largest score and
  // its sum of e^(score - largest) go here, and out is left undivided by the sum (-infinity, 0 and zeros if it sees none).
  float *largest, *sum;
};
using Attend = void (*)(const AttendArgs&);

// The operations around the matmuls. Every ISA has all of them.
struct VectorKernels {
  // y = x / sqrt(mean(x^2) + eps) * weight; y may be x.
  void (*rms_norm)(const float* x, const float* weight, float eps, size_t n, float* y);
  // y = gate / (1 + exp(-gate)) * up; y may be gate or up.
  void (*silu_mul)(const float* gate, const float* up, size_t n, float* y);
  // y += x
  void (*add)(const float* x, size_t n, float* y);
  // Rotate pairs by the angles of cos/sin [half]: half-split pairs are (x[i], x[half + i]), interleaved ones
  // (x[2i], x[2i + 1]).
  void (*rotate_half)(float* x, const float* cos, const float* sin, size_t half);
  void (*rotate_interleaved)(float* x, const float* cos, const float* sin, size_t half);
  // The integer form of an activation; n is a multiple of 32. Of 32 numbers of which one is not a number the scale is none
  // either.
  void (*quantize)(const float* x, size_t n, int8_t* q, float* scale, float* sum16);
  // Narrow to half or bfloat16, rounding to nearest even.
  void (*to_f16)(const float* x, size_t n, uint16_t* y);
  void (*to_bf16)(const float* x, size_t n, uint16_t* y);
  // An activation for panels of integers, [ceil(n / KETTE_INT_BLOCK)]; n is any number. It takes what `quantize` does.
  void (*to_int)(const float* x, size_t n, IntNumbers* y);
};

// Floats of AttendArgs::scratch: a block of keys and of values as floats, then per row a maximum, a sum and scores, and
// the row itself where it is rounded.
#define KETTE_ATTEND_BLOCK 32
#define KETTE_ATTEND_ROWS(key_dim, value_dim, rows) \
  (KETTE_ATTEND_BLOCK * ((key_dim) + (value_dim) + 32) + (rows) * (KETTE_ATTEND_BLOCK + 32))
#define KETTE_ATTEND_SCRATCH(key_dim, value_dim, rows) \
  (KETTE_ATTEND_ROWS(key_dim, value_dim, rows) + (rows) * ((key_dim) / 2))

#define KETTE_VECTOR(isa)             \
  namespace isa {                     \
  extern const VectorKernels kVector; \
  }
#define KETTE_DOT(isa, format, form, rows)    \
  namespace isa {                             \
  void dot_##format##_##rows(const DotArgs&); \
  }
#define KETTE_ATTEND(where, numbers, isa)   \
  namespace where {                         \
  void attend_##numbers(const AttendArgs&); \
  }
#define KETTE_UNPACK(isa, format, type)             \
  namespace isa {                                   \
  void unpack_##format##_##type(const UnpackArgs&); \
  }
#include "kernels/attend.inc"
#include "kernels/dot.inc"
#include "kernels/unpack.inc"
#include "kernels/vector.inc"
#undef KETTE_ATTEND
#undef KETTE_UNPACK
#undef KETTE_VECTOR
#undef KETTE_DOT

}  // namespace kette::kernels
