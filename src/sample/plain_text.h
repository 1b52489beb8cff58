// Plain characters: what a JSON string holds without escapes, and most of what tokens are made of. Code points but control
// characters, DEL, the quote and the backslash; as UTF-8.
#pragma once

#include <cstdint>
#include <string_view>

namespace kette {

// One way to write characters: the first byte, and which of the states below has the rest.
struct PlainLead {
  uint8_t first, last;
  uint8_t rest;  // 0: no more bytes
};
inline constexpr PlainLead kPlainLeads[] = {{0x20, 0x21, 0}, {0x23, 0x5b, 0}, {0x5d, 0x7e, 0}, {0xc2, 0xdf, 1},
                                            {0xe0, 0xe0, 2}, {0xe1, 0xec, 3}, {0xed, 0xed, 4}, {0xee, 0xef, 3},
                                            {0xf0, 0xf0, 5}, {0xf1, 0xf3, 6}, {0xf4, 0xf4, 7}};
// Continuations: the byte that follows, and the state after it. No overlong forms, surrogates, or beyond U+10FFFF.
inline constexpr PlainLead kPlainRest[] = {{0, 0, 0},       {0x80, 0xbf, 0}, {0xa0, 0xbf, 1}, {0x80, 0xbf, 1},
                                           {0x80, 0x9f, 1}, {0x90, 0xbf, 3}, {0x80, 0xbf, 3}, {0x80, 0x8f, 3}};

// How many plain characters `bytes` is; 0 if it is anything else.
inline uint32_t count_plain(std::string_view bytes) {
  uint32_t characters = 0;
  uint8_t rest = 0;
  for (const char c : bytes) {
    const auto byte = static_cast<uint8_t>(c);
    if (rest != 0) {
      if (byte < kPlainRest[rest].first || byte > kPlainRest[rest].last) return 0;
      rest = kPlainRest[rest].rest;
      continue;
    }
    const PlainLead* found = nullptr;
    for (const PlainLead& lead : kPlainLeads)
      if (byte >= lead.first && byte <= lead.last) found = &lead;
    if (found == nullptr) return 0;
    rest = found->rest;
    ++characters;
  }
  return rest == 0 ? characters : 0;
}

}  // namespace kette
