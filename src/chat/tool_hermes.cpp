// <tool_call>
// {"name": "f", "arguments": {"a": 1}}
// </tool_call>
// Qwen2.5, Qwen3, Hermes.
#include <array>

#include "chat/json_call.h"
#include "chat/tag_matcher.h"
#include "chat/tool_dialect.h"

namespace kette {
namespace {

constexpr std::array<std::string_view, 2> kMarkers = {"<tool_call>", "</tool_call>"};
constexpr int kOpen = 0, kClose = 1;

class HermesReader final : public ToolReader {
 public:
  void push(char c, AnswerSink& out) override {
    switch (state_) {
      case State::kText: return find(text_, c, out);
      case State::kCall: return read(c, out);
      case State::kBroken: return find(broken_, c, out);
      case State::kAfterObject:
        if (is_json_space(c)) return;
        state_ = State::kSurplus;
        [[fallthrough]];
      case State::kSurplus: return find(surplus_, c, out);
      case State::kAfterCall:
        if (c == '\n') return;
        state_ = State::kText;
        return find(text_, c, out);
    }
  }

  bool push_control(std::string_view spelling, AnswerSink& out) override {
    if (state_ != State::kCall || spelling != kMarkers[kClose]) return false;
    if (!call_.begun()) {
      out.text(before_ + call_.held());
      out.text(spelling);
      state_ = State::kText;
      return true;
    }
    if (!call_.ended()) out.end(true);
    state_ = State::kAfterCall;
    return true;
  }

  void finish(AnswerSink& out) override {
    if (state_ == State::kText) out.text(text_.take());
    if (state_ == State::kSurplus) out.text(surplus_.take());
    if (state_ == State::kBroken) out.arguments(broken_.take());
    if (state_ == State::kCall && !call_.begun()) out.text(before_ + call_.held());
    if (state_ == State::kBroken || (state_ == State::kCall && call_.begun() && !call_.ended())) out.end(true);
    state_ = State::kText;
  }

 private:
  enum class State : uint8_t {
    kText,
    kCall,         // in the object
    kBroken,       // its JSON is broken: arguments up to a marker
    kAfterObject,  // white space up to the closing marker
    kSurplus,      // something else there: text, but the closing marker is still awaited
    kAfterCall,    // newlines behind the closing marker
  };

  void find(TagMatcher& matcher, char c, AnswerSink& out) {
    released_.clear();
    const int tag = matcher.push(c, released_);
    state_ == State::kBroken ? out.arguments(released_) : out.text(released_);
    if (tag == TagMatcher::kNone) return;
    before_ = matcher.take();
    if (state_ == State::kBroken) out.end(true);
    if (tag == kClose) {
      state_ = State::kAfterCall;
      return;
    }
    before_ += kMarkers[kOpen];
    call_ = JsonCall(false);
    state_ = State::kCall;
  }

  void read(char c, AnswerSink& out) {
    switch (call_.push(c, out)) {
      case JsonCall::Step::kMore: return;
      case JsonCall::Step::kClosed: state_ = State::kAfterObject; return;
      case JsonCall::Step::kBroken: state_ = State::kBroken; return find(broken_, c, out);
      case JsonCall::Step::kSurplus: state_ = State::kSurplus; return find(surplus_, c, out);
      case JsonCall::Step::kNotACall: {
        // The last byte may begin something.
        std::string held = before_ + call_.held();
        held.pop_back();
        out.text(held);
        state_ = State::kText;
        return find(text_, c, out);
      }
    }
  }

  State state_ = State::kText;
  TagMatcher text_{std::span(kMarkers).first(1)}, surplus_{kMarkers}, broken_{kMarkers};
  JsonCall call_{false};
  std::string before_;  // newlines and opening marker of a call that has not begun
  std::string released_;
};

}  // namespace

const ToolDialect tool_dialect_hermes = {
    .name = "hermes",
    .frame = {.calls_begin = "",
              .before_name = "<tool_call>\n{\"name\": \"",
              .before_arguments = "\", \"arguments\": ",
              .after_arguments = "}\n</tool_call>",
              .between_calls = "\n",
              .calls_end = ""},
    .markers = kMarkers,
    .reader = [] { return std::unique_ptr<ToolReader>(std::make_unique<HermesReader>()); },
};

}  // namespace kette
