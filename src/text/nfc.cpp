// Text is cut before each code point that neither reorders nor composes with what precedes it; only pieces of more than
// one code point, and code points with a decomposition of their own, are taken apart and composed again.
#include "text/nfc.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstdint>
#include <vector>

#include "text/unicode.h"

namespace kette {
namespace {

enum class Joining { kNone, kStartsPiece, kJoinsPrevious };

// kNone: starts a piece and is its own NFC.
Joining joining_of(int32_t code_point) {
  if (code_point < 0x300) return Joining::kNone;
  const bool vowel_or_tail_jamo = code_point >= 0x1160 && code_point < 0x1200;
  const utf8proc_property_t* property = utf8proc_get_property(code_point);
  const bool second_of_a_pair = property->comb_index != UINT16_MAX && property->comb_index >= 0x8000;
  if (vowel_or_tail_jamo || property->combining_class != 0 || second_of_a_pair) return Joining::kJoinsPrevious;
  const bool decomposes = property->decomp_type == 0 && property->decomp_seqindex != UINT16_MAX;
  return decomposes ? Joining::kStartsPiece : Joining::kNone;
}

// Canonical ordering: utf8proc's own is quadratic in the length of a run of marks.
void reorder(std::vector<int32_t>& points) {
  const auto combining_class = [](int32_t c) { return utf8proc_get_property(c)->combining_class; };
  for (size_t i = 0; i < points.size();) {
    if (combining_class(points[i]) == 0) {
      ++i;
      continue;
    }
    size_t end = i + 1;
    while (end < points.size() && combining_class(points[end]) != 0) ++end;
    std::stable_sort(points.begin() + static_cast<ptrdiff_t>(i), points.begin() + static_cast<ptrdiff_t>(end),
                     [&](int32_t a, int32_t b) { return combining_class(a) < combining_class(b); });
    i = end;
  }
}

void append_composed(std::string_view piece, std::vector<int32_t>& points, std::string& out) {
  points.clear();
  for (size_t i = 0; i < piece.size();) {
    const CodePoint point = decode_utf8(piece, i);
    i += point.bytes;
    int32_t decomposed[8];  // canonical decompositions have at most four code points
    int boundary = 0;
    const auto count = utf8proc_decompose_char(point.value, decomposed, 8, UTF8PROC_DECOMPOSE, &boundary);
    if (count < 1 || count > 8) {
      points.push_back(point.value);
    } else {
      points.insert(points.end(), decomposed, decomposed + count);
    }
  }
  reorder(points);
  const auto composed = utf8proc_normalize_utf32(points.data(), static_cast<utf8proc_ssize_t>(points.size()),
                                                 static_cast<utf8proc_option_t>(UTF8PROC_COMPOSE | UTF8PROC_STABLE));
  for (utf8proc_ssize_t i = 0; i < composed; ++i) {
    utf8proc_uint8_t encoded[4];
    const auto size = utf8proc_encode_char(points[static_cast<size_t>(i)], encoded);
    out.append(reinterpret_cast<const char*>(encoded), static_cast<size_t>(size));
  }
}

}  // namespace

bool may_change_under_nfc(std::string_view text) {
  return std::any_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) >= 0xCC; });
}

std::string to_nfc(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  std::vector<int32_t> points;
  size_t done = 0;       // bytes of `text` already in `out`
  size_t piece = 0;      // start of the current piece, done <= piece
  bool compose = false;  // the current piece must be taken apart
  const auto end_piece = [&](size_t end) {
    if (!compose) return;
    out.append(text, done, piece - done);
    append_composed(text.substr(piece, end - piece), points, out);
    done = end;
    compose = false;
  };
  bool after_invalid = true;  // nothing joins an invalid byte or the start of the text
  for (size_t i = 0; i < text.size();) {
    const CodePoint point = decode_utf8(text, i);
    const Joining joining = point.value == kInvalidByte ? Joining::kNone : joining_of(point.value);
    if (joining != Joining::kJoinsPrevious || after_invalid) {
      end_piece(i);
      piece = i;
    }
    compose |= joining != Joining::kNone;
    after_invalid = point.value == kInvalidByte;
    i += point.bytes;
  }
  end_piece(text.size());
  out.append(text, done, text.size() - done);
  return out;
}

}  // namespace kette
