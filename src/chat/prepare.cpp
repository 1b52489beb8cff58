// The end of a prompt: where it leaves the answer, and how a thought is opened or ruled out there.
#include <algorithm>

#include "chat/dialect.h"
#include "chat/json_scan.h"

namespace kette {
namespace {

// What the template itself wrote behind the last byte of a message.
std::string literal_end(const RenderedChat& prompt) {
  size_t first = prompt.pieces.size();
  while (first > 0 && prompt.pieces[first - 1].literal) --first;
  std::string end;
  for (; first < prompt.pieces.size(); ++first) end += prompt.pieces[first].text;
  return end;
}

void append(RenderedChat& prompt, std::string_view literal) {
  if (prompt.pieces.empty() || !prompt.pieces.back().literal) prompt.pieces.push_back({"", true});
  prompt.pieces.back().text += literal;
}

// With what is there already, "<think>\n\n</think>\n\n".
void append_empty_thought(RenderedChat& prompt, const Thinking& thinking, AnswerStart start) {
  const std::string end = literal_end(prompt);
  const size_t newlines = end.size() - 1 - std::min(end.find_last_not_of('\n'), end.size() - 1);
  std::string missing = "\n" + thinking.closing();
  if (start == AnswerStart::kInThought) missing.erase(0, std::min<size_t>(newlines, 2));
  append(prompt, start == AnswerStart::kInThought ? missing : thinking.open + missing);
}

}  // namespace

AnswerStart start_of(const RenderedChat& prompt, const Thinking& thinking) {
  if (!thinking.known()) return AnswerStart::kBeforeThought;
  const std::string text = literal_end(prompt);
  std::string_view end = text;
  while (!end.empty() && is_json_space(end.back())) end.remove_suffix(1);
  if (end.ends_with(thinking.close)) return AnswerStart::kAfterThought;
  return end.ends_with(thinking.open) ? AnswerStart::kInThought : AnswerStart::kBeforeThought;
}

Result<PreparedPrompt> prepare(const Dialect& dialect, ThinkingSetting setting, const RenderWith& render) {
  const Thinking& thinking = dialect.thinking;
  const bool on = setting == ThinkingSetting::kOn, off = setting == ThinkingSetting::kOff;
  if (on && thinking.control == ThinkingControl::kNone)
    return error(Code::kUnsupported, "thinking: on is wanted, but the model's chat template has {}",
                 thinking.known() ? "no way of turning it on" : "no thoughts");
  std::string variables;
  if (setting != ThinkingSetting::kDefault && thinking.control == ThinkingControl::kVariable)
    variables = fmt::format("{{\"{}\": {}}}", thinking.variable, on);
  KETTE_ASSIGN(RenderedChat prompt, render(variables));
  AnswerStart start = start_of(prompt, thinking);
  if (thinking.control == ThinkingControl::kPrefill) {
    const bool begins = start != AnswerStart::kBeforeThought || literal_end(prompt).ends_with(dialect.answer_begin);
    if (on && begins && start == AnswerStart::kBeforeThought) append(prompt, thinking.opening());
    if (off && begins && start != AnswerStart::kAfterThought) append_empty_thought(prompt, thinking, start);
    if (setting != ThinkingSetting::kDefault) start = start_of(prompt, thinking);
  } else if (off && start == AnswerStart::kInThought) {  // of this conversation the variable is not asked
    append_empty_thought(prompt, thinking, start);
    start = start_of(prompt, thinking);
  }
  return PreparedPrompt{std::move(prompt), start};
}

}  // namespace kette
