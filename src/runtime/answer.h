// One answer: what may be chosen next, what is put in without a choice, and the typed events that tokens become.
#pragma once

#include <optional>

#include "chat/answer_parser.h"
#include "chat/thinking_watch.h"
#include "runtime/generate.h"
#include "runtime/loaded_model.h"
#include "runtime/text_stream.h"

namespace kette {

class Answer {
 public:
  // Options have been checked. kUnsupported where thinking is to be limited and the model has none.
  static Result<Answer> make(const LoadedModel& loaded, GenerateOptions options, AnswerFormat format,
                             std::span<const Token> prompt);

  const GenerateOptions& options() const { return options_; }
  GenerateOptions& options() { return options_; }

  // From logits [vocab_size], which are the answer's to change. kGrammarDeadEnd if the grammar leaves no token.
  Result<Token> choose(std::span<float> logits);
  // The chosen token is part of the answer: its events, and how the answer ends with it, or kNone.
  Result<Finish> take(Token token, std::vector<Event>& events);
  // What has to follow the token taken last before another is chosen; each of them is given to take_forced.
  std::vector<Token> forced() { return std::exchange(forced_, {}); }
  Finish take_forced(Token token, std::vector<Event>& events);
  // The rest of the events, the last of which is kDone.
  void finish(Finish reason, std::vector<Event>& events);

  const AnswerMessage& message() const& { return message_; }
  AnswerMessage message() && { return std::move(message_); }
  uint32_t generated() const { return generated_; }
  uint32_t thought_tokens() const { return thought_tokens_; }
  ThoughtEnd thought_end() const { return thought_end_; }

 private:
  Answer(const LoadedModel& loaded, GenerateOptions options, AnswerFormat format);
  bool in_thought() const { return parser_ && parser_->in_thought(); }
  bool is_end(Token token) const;
  bool may_think() const;
  bool constrained() const;
  bool forbidden(Token token) const;
  std::string_view shown(Token token) const;
  Status mask(std::span<float> logits);
  void note_likeliest(std::span<const float> logits);
  Finish show(Token token, std::vector<Event>& events);
  void show_piece(const AnswerPiece& piece, std::vector<Event>& events);
  void close_kind(std::vector<Event>& events);
  void add(Event::Kind kind, std::string text, std::vector<Event>& events);
  bool in_character(Token token) const;
  void watch(bool was_in_thought, Token token);

  const LoadedModel* loaded_;
  const Tokenizer* tokenizer_;  // nullptr: no vocabulary
  GenerateOptions options_;
  AnswerFormat format_;
  Sampler sampler_;
  std::optional<AnswerParser> parser_;  // none: all is text
  ThinkingWatch watch_;
  std::optional<GrammarMatcher> matcher_;
  std::vector<uint32_t> mask_;
  TextStream text_, thought_, arguments_, name_;
  AnswerPiece::Kind kind_ = AnswerPiece::Kind::kText;  // of the piece shown last
  std::vector<AnswerPiece> pieces_;
  Token opening_ = -1;  // the token that opens a thought, if it is one
  std::vector<Token> closing_, separator_, forced_;
  ThoughtEnd closing_why_ = ThoughtEnd::kNone, thought_end_ = ThoughtEnd::kNone;
  uint32_t generated_ = 0, thought_tokens_ = 0;
  uint32_t put_off_ = 0;  // tokens by which the closing of a thought has been put off, to end a character
  AnswerMessage message_;
  double log_sum_ = 0;  // of e^logit, of the logits chosen from last
  std::vector<Logprob> likeliest_;
  float chosen_logprob_ = 0;
};

}  // namespace kette
