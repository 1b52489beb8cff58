#include "chat/deepseek_calls.h"

#include <utility>

namespace kette {
namespace {

enum Marker : int { kCallsBegin, kCallBegin, kCallEnd, kCallsEnd, kSeparator };

// No name or type is longer than this: what goes on is text.
constexpr size_t kLongestName = 256;

std::string_view trim(std::string_view text) {
  while (!text.empty() && is_json_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_json_space(text.back())) text.remove_suffix(1);
  return text;
}

}  // namespace

DeepseekReader::DeepseekReader(bool typed)
    : typed_(typed),
      text_(std::span(kDeepseekMarkers).first(2)),
      inside_(std::span(kDeepseekMarkers).first(4)),
      broken_(std::span(kDeepseekMarkers).first(4)) {}

void DeepseekReader::push(char c, AnswerSink& out) {
  switch (state_) {
    case State::kText: return find(text_, c, out);
    case State::kOpened: return opened(c, out);
    case State::kHead: return head(c, out);
    case State::kName: return name(c, out);
    case State::kFence: return fence(c, out);
    case State::kArguments: return arguments(c, out);
    case State::kBroken: return find(broken_, c, out);
    case State::kAfterCall:
      if (is_json_space(c) || (typed_ && c == '`')) return;
      state_ = State::kSurplus;
      return find(inside_, c, out);
    case State::kSurplus: return find(inside_, c, out);
    case State::kAfterCalls:
      if (c == '\n') return;
      state_ = State::kText;
      return find(text_, c, out);
  }
}

bool DeepseekReader::push_control(std::string_view spelling, AnswerSink& out) {
  if (state_ != State::kArguments) return false;
  for (const int which : {kCallsBegin, kCallBegin, kCallEnd, kCallsEnd}) {
    if (spelling != kDeepseekMarkers[static_cast<size_t>(which)]) continue;
    out.end(true);
    marker(which, {});
    return true;
  }
  return false;
}

void DeepseekReader::finish(AnswerSink& out) {
  switch (state_) {
    case State::kText: out.text(text_.take()); break;
    case State::kOpened:
    case State::kHead:
    case State::kName: out.text(std::exchange(held_, {})); break;
    case State::kBroken: out.arguments(broken_.take()); [[fallthrough]];
    case State::kFence:
    case State::kArguments: out.end(true); break;
    case State::kSurplus: out.text(inside_.take()); break;
    case State::kAfterCall:
    case State::kAfterCalls: break;
  }
  state_ = State::kText;
}

// Text, or broken arguments, up to a marker.
void DeepseekReader::find(TagMatcher& matcher, char c, AnswerSink& out) {
  released_.clear();
  const int which = matcher.push(c, released_);
  const bool broken = state_ == State::kBroken;
  broken ? out.arguments(released_) : out.text(released_);
  any_arguments_ = any_arguments_ || (broken && !released_.empty());
  if (which == TagMatcher::kNone) return;
  if (broken) out.end(any_arguments_);
  marker(which, matcher.take());
}

void DeepseekReader::marker(int which, const std::string& before) {
  partial_.clear();
  name_.clear();
  switch (which) {
    case kCallsBegin:
    case kCallBegin:
      held_ = before;
      held_ += kDeepseekMarkers[static_cast<size_t>(which)];
      state_ = which == kCallsBegin ? State::kOpened : State::kHead;
      return;
    case kCallEnd: state_ = State::kAfterCall; return;
    default: any_call_ = false; state_ = State::kAfterCalls;
  }
}

// Whether c is the next byte of `marker`; partial_ is cleared when it was the last. Markers have a "<" in front alone,
// so where it is not, none can have begun but with c.
bool DeepseekReader::awaits(std::string_view marker, char c) {
  partial_ += c;
  if (!marker.starts_with(partial_)) return false;
  if (marker.size() == partial_.size()) partial_.clear();
  return true;
}

void DeepseekReader::opened(char c, AnswerSink& out) {
  held_ += c;
  if (partial_.empty() && is_json_space(c)) return;
  if (!awaits(kDeepseekMarkers[kCallBegin], c)) return give_up(c, out);
  if (partial_.empty()) state_ = State::kHead;
}

void DeepseekReader::head(char c, AnswerSink& out) {
  held_ += c;
  if (partial_.empty() && c != '<') {
    name_ += c;
    if (c == '{' || c == '`' || name_.size() > kLongestName) give_up(c, out);
    return;
  }
  if (!awaits(kDeepseekMarkers[kSeparator], c)) return give_up(c, out);
  if (!partial_.empty()) return;
  if (typed_) {
    name_.clear();
    state_ = State::kName;
  } else if (trim(name_).empty()) {
    give_up(c, out);
  } else {
    begin_call(out);
  }
}

void DeepseekReader::name(char c, AnswerSink& out) {
  const bool named = !trim(name_).empty();
  if (named && (c == '\n' || c == '`' || c == '{' || c == '<')) {
    begin_call(out);
    return fence(c, out);
  }
  held_ += c;
  name_ += c;
  if (c == '`' || c == '{' || c == '<' || name_.size() > kLongestName) give_up(c, out);
}

void DeepseekReader::begin_call(AnswerSink& out) {
  out.name(std::string(trim(name_)));
  held_.clear();
  partial_.clear();
  fence_.clear();
  scan_ = JsonScan();
  any_call_ = true;
  any_arguments_ = false;
  state_ = State::kFence;
}

void DeepseekReader::fence(char c, AnswerSink& out) {
  static constexpr std::string_view kFence = "json";
  if (c == '{') {
    state_ = State::kArguments;
    return arguments(c, out);
  }
  if (is_json_space(c)) return;
  if (typed_ && c == '`') return;
  if (typed_ && fence_.size() < kFence.size() && c == kFence[fence_.size()]) {
    fence_ += c;
    return;
  }
  state_ = State::kBroken;
  find(broken_, c, out);
}

void DeepseekReader::arguments(char c, AnswerSink& out) {
  if (!scan_.push(c)) {
    state_ = State::kBroken;
    return find(broken_, c, out);
  }
  out.arguments({&c, 1});
  any_arguments_ = true;
  if (!scan_.done()) return;
  out.end(false);
  state_ = State::kAfterCall;
}

// What was held is text but for c, which may begin a marker.
void DeepseekReader::give_up(char c, AnswerSink& out) {
  held_.pop_back();
  out.text(std::exchange(held_, {}));
  partial_.clear();
  name_.clear();
  state_ = any_call_ ? State::kSurplus : State::kText;
  find(any_call_ ? inside_ : text_, c, out);
}

}  // namespace kette
