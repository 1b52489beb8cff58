// What an answer is asked to be, and the events it comes in.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "chat/dialect.h"
#include "runtime/runtime.h"
#include "sample/grammar_matcher.h"
#include "sample/sampler.h"
#include "text/tokenizer.h"

namespace kette {

// Who guesses tokens ahead. Every guess is checked: the tokens are the same with and without.
enum class Speculation {
  kAuto,  // the module, where the model has one and it has followed what the session holds of the prompt; else off
  kOff,
  kLookUp,     // what followed earlier in the sequence
  kLookAhead,  // the model's own multi-token prediction module
};

enum class ToolChoice { kAuto, kNone, kRequired };

inline constexpr uint32_t kMostTopLogprobs = 20;

struct GenerateOptions {
  uint32_t max_tokens = 0;  // 0: until the context is full
  bool raw_bytes = false, ignore_eos = false, show_special = false;
  bool prompt_only = false;  // end before a token is chosen
  bool drop_oldest = false;  // of a chat's turns, while the prompt does not fit
  Sampling sampling;
  std::vector<std::string> stop;  // of the text, not of thoughts or calls
  std::vector<Token> stop_tokens;
  Speculation speculation = Speculation::kAuto;
  uint32_t max_draft = 0;  // guesses at a time, at most Session::kMaxDraft; 0: 4, or 1 by the module, made for 1
  std::shared_ptr<const CancelFlag> cancel;

  ThinkingSetting thinking = ThinkingSetting::kDefault;
  uint32_t thinking_budget = 0, thinking_minimum = 0;  // tokens; 0: no limit
  bool close_loops = true;
  std::string thinking_close = "\nI have to answer now.";  // goes before the closing tag of a thought that is cut

  std::shared_ptr<const Constraint> constraint;  // of the text
  bool constrain_thought = false;                // and of the thought before it
  bool logprobs = false;
  uint32_t top_logprobs = 0;  // at most kMostTopLogprobs

  ToolChoice tool_choice = ToolChoice::kAuto;
  std::string tool_name;  // kRequired: this one; empty: any
};

// How the answer to a chat is written. The default is plain text.
struct AnswerFormat {
  const Dialect* dialect = nullptr;  // the model's; nullptr: all is text
  AnswerStart start = AnswerStart::kBeforeThought;
  bool tools = false;                      // calls are looked for
  std::shared_ptr<const Constraint> call;  // the text has to be a call
};

// A chat as a session takes it.
struct PreparedChat {
  std::vector<Token> prompt;
  AnswerFormat format;
  uint32_t dropped_messages = 0;
};

enum class Finish { kNone = 0, kStop = 1, kStopString = 2, kLength = 3, kContextFull = 4, kCancelled = 5 };
enum class ThoughtEnd { kNone = 0, kModel = 1, kBudget = 2, kLoop = 3, kCut = 4 };

struct Logprob {
  Token token;
  float logprob;
};

// What an answer came to, for the conversation to go on from.
struct AnswerMessage {
  struct Call {
    std::string name, arguments;  // JSON as the model wrote it
  };
  std::string text, thought;
  std::vector<Call> calls;
};

struct Event {
  enum class Kind {
    kText = 1,
    kReasoning = 2,
    kToolCall = 3,
    kDone = 4,
    kToolArguments = 5,
    kToolEnd = 6,
    kFailed = 7
  };
  Kind kind = Kind::kText;
  std::string text;                            // kFailed: what went wrong
  Token token = -1;                            // -1: none, or that of the event before
  uint32_t index = 0;                          // tokens so far
  Finish finish = Finish::kNone;               // kDone
  ThoughtEnd thought_end = ThoughtEnd::kNone;  // kDone
  uint32_t tool_index = 0;                     // kTool*
  bool malformed = false;                      // kToolEnd
  Code failure = Code::kOk;                    // kFailed, in a scheduler: elsewhere the step says so
  float logprob = 0;
  std::vector<Logprob> top;
};

}  // namespace kette
