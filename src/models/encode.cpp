#include "models/encode.h"

#include <algorithm>

#include "base/aligned_buffer.h"

namespace kette {
namespace {

constexpr size_t kPieceBytes = 16 << 20;  // of a piece's numbers as floats
constexpr size_t kRowsOfTask = 8;

}  // namespace

Status encode_matrix(const CheckpointTensor& tensor, const nn::Weight& stored, const Format& target, bool map,
                     Executor& executor, std::byte* out, const PieceDone& done) {
  const size_t row_bytes = stored.format->row_bytes(stored.cols), out_bytes = target.row_bytes(stored.cols);
  const size_t piece_rows = std::clamp<size_t>(kPieceBytes / (stored.cols * sizeof(float)), 1, stored.rows);
  AlignedBuffer<float> numbers(executor.width() * stored.cols);  // a row for each thread
  AlignedBuffer<std::byte> own(out == nullptr ? piece_rows * out_bytes : 0);
  const std::byte* mapped = map ? tensor.source->map(tensor.offset, tensor.bytes) : nullptr;
  AlignedBuffer<std::byte> read(mapped == nullptr ? piece_rows * row_bytes : 0);
  for (size_t first = 0; first < stored.rows; first += piece_rows) {
    nn::Weight piece = stored;
    piece.first_row = first;
    piece.rows = std::min(piece_rows, stored.rows - first);
    piece.data = mapped == nullptr ? read.data() : mapped + first * row_bytes;
    if (mapped == nullptr)
      KETTE_TRY(tensor.source->read_at(tensor.offset + first * row_bytes, {read.data(), piece.rows * row_bytes})
                    .within(tensor.name));
    std::byte* to = out == nullptr ? own.data() : out + first * out_bytes;
    const auto tasks = static_cast<uint32_t>((piece.rows + kRowsOfTask - 1) / kRowsOfTask);
    executor.parallel_for(tasks, [&](uint32_t i, uint32_t worker) {
      float* row = numbers.data() + worker * stored.cols;
      for (size_t r = i * kRowsOfTask; r < std::min(piece.rows, (i + 1) * kRowsOfTask); ++r) {
        piece.decode(r, 0, stored.cols, row);
        target.encode(row, to + r * out_bytes, stored.cols);
      }
    });
    KETTE_TRY(done(first * out_bytes, {to, piece.rows * out_bytes}));
  }
  return {};
}

}  // namespace kette
