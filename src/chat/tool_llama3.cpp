// {"name": "f", "parameters": {"a": 1}}
// as the whole message, or behind <|python_tag|>; several with a semicolon or white space between them. Llama 3.1, 3.2.
// The object is held back until it is a call for sure, a name and an object of parameters begun, or for sure none: a
// member that calls have not. So an answer in JSON streams.
#include <array>

#include "chat/json_call.h"
#include "chat/tag_matcher.h"
#include "chat/tool_dialect.h"

namespace kette {
namespace {

constexpr std::array<std::string_view, 1> kMarkers = {"<|python_tag|>"};

class Llama3Reader final : public ToolReader {
 public:
  void push(char c, AnswerSink& out) override {
    switch (state_) {
      case State::kStart:
      case State::kBetween:
        if (is_json_space(c) || (c == ';' && state_ == State::kBetween)) {
          before_ += c;
          return;
        }
        return c == '{' ? open(c, out) : give_up(c, out);
      case State::kText: return text(c, out);
      case State::kCall: return read(c, out);
      case State::kBroken: return out.arguments({&c, 1});
    }
  }

  bool push_control(std::string_view, AnswerSink&) override { return false; }

  void finish(AnswerSink& out) override {
    if (state_ == State::kText) out.text(text_.take());
    const bool blank = before_.find_first_not_of(" \t\n\r") == std::string::npos;
    if (state_ == State::kStart || (state_ == State::kBetween && !blank)) out.text(before_);
    if (state_ == State::kCall && !call_.begun()) out.text(before_ + call_.held());
    if (state_ == State::kBroken || (state_ == State::kCall && call_.begun() && !call_.ended())) out.end(true);
    before_.clear();
    state_ = State::kText;
  }

 private:
  enum class State : uint8_t {
    kStart,    // of the message, or behind the marker: white space up to {
    kText,     // only the marker begins a call
    kCall,     // in the object
    kBroken,   // its JSON is broken: arguments to the end
    kBetween,  // behind an object: white space and semicolons up to {
  };

  void open(char c, AnswerSink& out) {
    call_ = JsonCall(true);
    state_ = State::kCall;
    read(c, out);
  }

  // What was held is text, and c may begin a marker.
  void give_up(char c, AnswerSink& out) {
    state_ = State::kText;
    for (const char held : std::exchange(before_, {})) {
      released_.clear();
      if (text_.push(held, released_) != TagMatcher::kNone) released_ += text_.take() + std::string(kMarkers[0]);
      out.text(released_);
    }
    text(c, out);
  }

  void text(char c, AnswerSink& out) {
    released_.clear();
    const int tag = text_.push(c, released_);
    out.text(released_);
    if (tag == TagMatcher::kNone) return;
    before_ = text_.take() + std::string(kMarkers[0]);
    state_ = State::kStart;
  }

  void read(char c, AnswerSink& out) {
    switch (call_.push(c, out)) {
      case JsonCall::Step::kMore: return;
      case JsonCall::Step::kClosed:
        before_.clear();
        state_ = State::kBetween;
        return;
      case JsonCall::Step::kBroken: state_ = State::kBroken; return out.arguments({&c, 1});
      case JsonCall::Step::kSurplus: before_.clear(); return give_up(c, out);
      case JsonCall::Step::kNotACall:
        before_ += call_.held();
        before_.pop_back();
        return give_up(c, out);
    }
  }

  State state_ = State::kStart;
  TagMatcher text_{kMarkers};
  JsonCall call_{true};
  std::string before_;  // held before an object, and the object where it is no call
  std::string released_;
};

}  // namespace

const ToolDialect tool_dialect_llama3 = {
    .name = "llama3",
    .frame = {.calls_begin = "",
              .before_name = "{\"name\": \"",
              .before_arguments = "\", \"parameters\": ",
              .after_arguments = "}",
              .between_calls = "; ",
              .calls_end = ""},
    .markers = kMarkers,
    .reader = [] { return std::unique_ptr<ToolReader>(std::make_unique<Llama3Reader>()); },
};

}  // namespace kette
