#include "runtime/text_stream.h"

#include <algorithm>

namespace kette {
namespace {

// Length of the UTF-8 character that `b` begins with: 1 to 4; 0 if all of b is the beginning of one; negative if the
// bytes cannot be one: how many of them could, at least 1 (a maximal subpart). (Unicode 15, table 3-7 and section 3.9)
int character(std::string_view b) {
  const auto at = [&](size_t i) { return static_cast<unsigned char>(b[i]); };
  const unsigned char c = at(0);
  if (c < 0x80) return 1;
  const int length = c >= 0xc2 && c <= 0xdf ? 2 : c >= 0xe0 && c <= 0xef ? 3 : c >= 0xf0 && c <= 0xf4 ? 4 : -1;
  for (int i = 1; i < length; ++i) {
    if (static_cast<size_t>(i) == b.size()) return 0;
    unsigned char low = 0x80, high = 0xbf;
    if (i == 1) {
      if (c == 0xe0) low = 0xa0;
      if (c == 0xed) high = 0x9f;
      if (c == 0xf0) low = 0x90;
      if (c == 0xf4) high = 0x8f;
    }
    if (at(static_cast<size_t>(i)) < low || at(static_cast<size_t>(i)) > high) return -i;
  }
  return length;
}

}  // namespace

std::string TextStream::valid(std::string bytes, bool final) {
  if (raw_) return bytes;
  bytes.insert(0, partial_);
  partial_.clear();
  std::string out;
  for (std::string_view rest = bytes; !rest.empty();) {
    const int n = character(rest);
    if (n > 0) {
      out.append(rest.substr(0, static_cast<size_t>(n)));
      rest.remove_prefix(static_cast<size_t>(n));
    } else if (n == 0 && !final) {
      partial_ = rest;
      break;
    } else {
      out += "\xef\xbf\xbd";
      rest.remove_prefix(n == 0 ? rest.size() : static_cast<size_t>(-n));
    }
  }
  return out;
}

std::string TextStream::push(std::string_view bytes) {
  if (stopped_) return {};
  held_ += bytes;
  // The stop string that is complete first, of those the longest: the same however the bytes are cut.
  size_t first = std::string::npos, end = std::string::npos;
  for (const std::string& stop : stops_) {
    const size_t at = held_.find(stop);
    if (at == std::string::npos || at + stop.size() > end || (at + stop.size() == end && at > first)) continue;
    first = at;
    end = at + stop.size();
  }
  if (first != std::string::npos) {
    stopped_ = true;
    return valid(held_.substr(0, first), true);
  }
  // Keep the longest end that is the beginning of a stop string.
  size_t keep = 0;
  for (const std::string& stop : stops_)
    for (size_t n = std::min(stop.size() - 1, held_.size()); n > keep; --n)
      if (std::string_view(held_).substr(held_.size() - n) == std::string_view(stop).substr(0, n)) keep = n;
  std::string out = valid(held_.substr(0, held_.size() - keep), false);
  held_.erase(0, held_.size() - keep);
  return out;
}

std::string TextStream::finish() {
  if (stopped_) return {};
  std::string rest = std::move(held_);
  held_.clear();
  return valid(std::move(rest), true);
}

}  // namespace kette
