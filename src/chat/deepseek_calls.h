// The reader of DeepSeek's tool calls, in both forms:
//   V3, R1:  <｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>NAME\n```json\n{...}\n```<｜tool▁call▁end｜>
//            ... <｜tool▁calls▁end｜>, with newlines between calls
//   V3.1:    <｜tool▁calls▁begin｜><｜tool▁call▁begin｜>NAME<｜tool▁sep｜>{...}<｜tool▁call▁end｜> ... <｜tool▁calls▁end｜>
// The outer markers may be missing, and so may the fence.
#pragma once

#include <array>
#include <string>

#include "chat/json_scan.h"
#include "chat/tag_matcher.h"
#include "chat/tool_dialect.h"

namespace kette {

inline constexpr std::array<std::string_view, 5> kDeepseekMarkers = {
    "<｜tool▁calls▁begin｜>", "<｜tool▁call▁begin｜>", "<｜tool▁call▁end｜>", "<｜tool▁calls▁end｜>", "<｜tool▁sep｜>"};

class DeepseekReader final : public ToolReader {
 public:
  // typed: a call is a type, the separator and then a name (V3), not a name and then the separator (V3.1).
  explicit DeepseekReader(bool typed);

  void push(char c, AnswerSink& out) override;
  bool push_control(std::string_view spelling, AnswerSink& out) override;
  void finish(AnswerSink& out) override;

 private:
  enum class State : uint8_t {
    kText,
    kOpened,      // behind calls_begin: white space up to call_begin
    kHead,        // behind call_begin, up to the separator
    kName,        // V3: behind the separator
    kFence,       // before the arguments
    kArguments,   // in the object
    kBroken,      // its JSON is broken: arguments up to a marker
    kAfterCall,   // white space and fence up to a marker
    kSurplus,     // something else there: text, but markers are still awaited
    kAfterCalls,  // newlines behind calls_end
  };

  void find(TagMatcher& matcher, char c, AnswerSink& out);
  void marker(int which, const std::string& before);
  void opened(char c, AnswerSink& out);
  void head(char c, AnswerSink& out);
  void name(char c, AnswerSink& out);
  void fence(char c, AnswerSink& out);
  void arguments(char c, AnswerSink& out);
  bool awaits(std::string_view marker, char c);
  void begin_call(AnswerSink& out);
  void give_up(char c, AnswerSink& out);

  bool typed_;
  State state_ = State::kText;
  TagMatcher text_, inside_, broken_;
  JsonScan scan_;
  std::string held_;            // every byte of a call that has not begun, from the newlines before its first marker
  std::string partial_;         // the beginning of the marker that comes next
  std::string name_;            // or type
  std::string fence_;           // "json" so far
  bool any_call_ = false;       // since calls_begin
  bool any_arguments_ = false;  // bytes of this call's arguments
  std::string released_;
};

}  // namespace kette
