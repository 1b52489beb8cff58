// The bytes of an answer, as they stream -> reasoning, text and tool calls.
//
// Thoughts. An opening tag counts where the answer begins (white space before it is dropped), whatever the prompt's
// end was, spelled or as a control token: a model may repeat the tag that the prompt has, and may think though it was told not to. Later ones are
// text. A closing tag counts inside a thought alone. Newlines right after the opening tag, and right before and after
// the closing one, belong to the tags, also to those in the prompt: as in Qwen3's own template and model card
// (strip("\n") of the thought, lstrip("\n") of the text). SGLang strips all white space there, though less where it
// streams; vLLM strips nothing. Other white space stays. A thought that is never closed is reasoning to its last byte.
//
// Tool calls. They are looked for behind the thought alone, by the exact spelling of their markers, whether those come
// as control tokens or are spelled. Newlines right before a call's opening marker and after its closing one belong to
// the markers. The text of a call between the markers is read as JSON: so a marker spelled inside a string is part of
// the string, unless it comes as a control token, and ends a call whose JSON is broken already. A call ends (kToolEnd)
// where its name and arguments are complete; what else its markup holds is passed over, but for what cannot be
// markup: that is text. What never became a call is text, markers included.
//
// No other byte is dropped, and none comes twice. A byte is held back only while it may still be markup.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "chat/answer_piece.h"
#include "chat/dialect.h"

namespace kette {

class AnswerParser {
 public:
  // tools: whether calls are looked for.
  AnswerParser(const Dialect& dialect, AnswerStart start, bool tools);
  AnswerParser(AnswerParser&&) noexcept;
  AnswerParser& operator=(AnswerParser&&) noexcept;
  ~AnswerParser();

  // One token's bytes, or any others; special: they are one control token. Pieces are appended.
  void push(std::string_view bytes, bool special, std::vector<AnswerPiece>& out);
  // The rest, at the end: an open call ends.
  void finish(std::vector<AnswerPiece>& out);

  bool in_thought() const;  // so far: a thought is open
  // Would these bytes open or close one? And would there be text behind it?
  struct Turn {
    bool turns = false, leaves_text = false;
  };
  Turn turn(std::string_view bytes) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace kette
