#include "chat/json_scan.h"

namespace kette {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }

}  // namespace

bool JsonScan::open(char bracket) {
  if (open_.size() == kMostDepth) return go(State::kBad);
  open_ += bracket;
  return go(bracket == '{' ? State::kFirstKey : State::kFirstValue);
}

bool JsonScan::close(char bracket) {
  if (open_.back() != bracket) return go(State::kBad);
  open_.pop_back();
  return go(open_.empty() ? State::kDone : State::kAfter);
}

bool JsonScan::value(char c) {
  if (c == '{' || c == '[') return open(c);
  if (c == '"') {
    key_ = false;
    return go(State::kString);
  }
  if (c == '-' || is_digit(c)) {
    digits_ = c == '-' ? Digits::kMinus : c == '0' ? Digits::kZero : Digits::kWhole;
    return go(State::kNumber);
  }
  literal_ = c == 't' ? "rue" : c == 'f' ? "alse" : c == 'n' ? "ull" : "";
  return go(literal_.empty() ? State::kBad : State::kLiteral);
}

bool JsonScan::string(char c) {
  if (hex_ > 0) {
    --hex_;
    return is_hex(c) || go(State::kBad);
  }
  if (escaped_) {
    escaped_ = false;
    if (c == 'u') hex_ = 4;
    return c == 'u' || std::string_view("\"\\/bfnrt").find(c) != std::string_view::npos || go(State::kBad);
  }
  if (c == '"') return go(key_ ? State::kColon : State::kAfter);
  escaped_ = c == '\\';
  return static_cast<unsigned char>(c) >= 0x20 || go(State::kBad);
}

bool JsonScan::number(char c) {
  const auto to = [&](Digits digits) {
    digits_ = digits;
    return true;
  };
  const Digits d = digits_;
  if (is_digit(c)) {
    if (d == Digits::kMinus) return to(c == '0' ? Digits::kZero : Digits::kWhole);
    if (d == Digits::kZero) return go(State::kBad);
    if (d == Digits::kPoint) return to(Digits::kFraction);
    if (d == Digits::kE || d == Digits::kESign) return to(Digits::kExponent);
    return true;
  }
  const bool whole = d == Digits::kZero || d == Digits::kWhole;
  if (c == '.' && whole) return to(Digits::kPoint);
  if ((c == 'e' || c == 'E') && (whole || d == Digits::kFraction)) return to(Digits::kE);
  if ((c == '+' || c == '-') && d == Digits::kE) return to(Digits::kESign);
  if (!whole && d != Digits::kFraction && d != Digits::kExponent) return go(State::kBad);
  state_ = State::kAfter;  // it ended before this byte
  return push(c);
}

bool JsonScan::push(char c) {
  if (state_ == State::kString) return string(c);
  if (state_ == State::kNumber) return number(c);
  if (state_ == State::kLiteral) {
    if (c != literal_.front()) return go(State::kBad);
    literal_.remove_prefix(1);
    return !literal_.empty() || go(State::kAfter);
  }
  if (state_ == State::kBad || state_ == State::kDone) return go(State::kBad);
  if (is_json_space(c)) return true;
  switch (state_) {
    case State::kStart: return c == '{' ? open(c) : go(State::kBad);
    case State::kFirstKey:
      if (c == '}') return close('{');
      [[fallthrough]];
    case State::kKey: key_ = true; return go(c == '"' ? State::kString : State::kBad);
    case State::kColon: return go(c == ':' ? State::kValue : State::kBad);
    case State::kFirstValue:
      if (c == ']') return close('[');
      [[fallthrough]];
    case State::kValue: return value(c);
    default:  // kAfter
      if (c == ',') return go(open_.back() == '{' ? State::kKey : State::kValue);
      return c == '}' ? close('{') : c == ']' ? close('[') : go(State::kBad);
  }
}

}  // namespace kette
