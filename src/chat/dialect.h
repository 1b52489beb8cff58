// What a chat template says of thinking and of tool calls, found by rendering small conversations with it.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

#include "chat/chat_template.h"
#include "chat/tool_dialect.h"

namespace kette {

// Where the prompt's end leaves the answer.
enum class AnswerStart : uint8_t {
  kBeforeThought,  // the model may open a thought, or not
  kInThought,      // opened by the template or by a prefill
  kAfterThought,   // closed there, and usually empty
};

enum class ThinkingSetting : uint8_t { kDefault, kOn, kOff };

enum class ThinkingControl : uint8_t {
  kNone,      // the template knows no thoughts, or has no way of choosing
  kVariable,  // a template variable, true or false
  kPrefill,   // the thought is opened, or opened and closed, at the prompt's end
};

struct Thinking {
  std::string open, close;  // "<think>", "</think>"; empty: no thoughts
  ThinkingControl control = ThinkingControl::kNone;
  std::string variable;                                   // kVariable: "enable_thinking"
  AnswerStart usual_start = AnswerStart::kBeforeThought;  // with the default setting, after a user's message

  bool known() const { return !open.empty(); }
  std::string opening() const { return open + "\n"; }            // what begins a thought
  std::string closing() const { return "\n" + close + "\n\n"; }  // what ends one: for a thought cut short
};

// What becomes of the thoughts of earlier turns.
struct ThoughtHistory {
  bool drops_spelled = false;  // "<think>x</think>y" as the content of an earlier answer is rendered without x
  bool reads_field = false;    // `reasoning_content` of an answer to the last question (between tool calls) is rendered
  bool drops_field = true;     // `reasoning_content` of an answer to an earlier question is not
};

// How messages with tool calls have to look for this template.
struct ToolHistory {
  bool arguments_as_object = false;  // "arguments": {"a": 1}
  bool arguments_as_text = false;    // "arguments": "{\"a\": 1}"
  bool content_null = false;         // the "content" beside calls may be null ...
  bool content_empty = false;        // ... or ""
  bool several = false;              // more than one call in a message
};

struct Dialect {
  Thinking thinking;
  ThoughtHistory history;
  const ToolDialect* tools = nullptr;  // nullptr: the template writes no tool calls that Kette can read
  ToolHistory tool_history;
  std::string answer_begin;  // what the template writes before an answer, tags left out: "<|im_start|>assistant\n"
  std::string turn_end;  // what the template writes after an answer, without the white space behind it: "<|im_end|>"

  // Probes the template. A template that refuses a probe is one that lacks what was probed: never an error.
  static Dialect of(const ChatTemplate& chat_template, std::string_view bos_token, std::string_view eos_token);

  // Is this the spelling of a tag or marker that AnswerParser has to see, though it may be a control token?
  bool is_marker(std::string_view spelling, bool calls = true) const;
};

struct PreparedPrompt {
  RenderedChat prompt;
  AnswerStart start = AnswerStart::kBeforeThought;
};

// Renders the conversation with further template variables: a JSON object, or empty.
using RenderWith = std::function<Result<RenderedChat>(std::string_view variables_json)>;

// The prompt (generation prompt included by `render`) with thinking as wanted. What is appended is literal.
// Nothing is appended where the template begins no answer, as R1's does not behind the results of tools.
// kUnsupported: thinking is wanted and the template has no way to it. Off is always possible where there is none.
Result<PreparedPrompt> prepare(const Dialect& dialect, ThinkingSetting setting, const RenderWith& render);

// By the tag, if any, that the template itself (never a message) wrote last: nothing but white space behind it.
AnswerStart start_of(const RenderedChat& prompt, const Thinking& thinking);

}  // namespace kette
