// Reads one JSON object byte by byte, strictly by RFC 8259 (but for UTF-8, which is not looked at): where it stands,
// where it ends, and the first byte that cannot belong to it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace kette {

inline bool is_json_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }

class JsonScan {
 public:
  static constexpr size_t kMostDepth = 512;

  // False: the byte cannot be here; nothing after it means anything. Not to be called after done().
  bool push(char c);

  bool done() const { return state_ == State::kDone; }
  size_t depth() const { return open_.size(); }  // of objects and lists that are open
  bool expects_key() const { return state_ == State::kFirstKey || state_ == State::kKey; }
  bool expects_value() const { return state_ == State::kValue || state_ == State::kFirstValue; }
  bool after_value() const { return state_ == State::kAfter; }
  bool in_string() const { return state_ == State::kString; }
  bool in_key() const { return in_string() && key_; }
  bool in_number() const { return state_ == State::kNumber; }

 private:
  enum class State : uint8_t {
    kStart,
    kFirstKey,
    kKey,
    kColon,
    kFirstValue,
    kValue,
    kAfter,
    kString,
    kNumber,
    kLiteral,
    kDone,
    kBad
  };
  enum class Digits : uint8_t { kMinus, kZero, kWhole, kPoint, kFraction, kE, kESign, kExponent };

  bool go(State state) {
    state_ = state;
    return state != State::kBad;
  }
  bool open(char bracket);
  bool close(char bracket);
  bool value(char c);
  bool string(char c);
  bool number(char c);

  State state_ = State::kStart;
  std::string open_;  // the brackets
  bool key_ = false;  // the string is a key
  bool escaped_ = false;
  int hex_ = 0;  // digits still to come of \uXXXX
  Digits digits_ = Digits::kMinus;
  std::string_view literal_;  // what is still to come of true, false, null
};

}  // namespace kette
