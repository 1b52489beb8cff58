// Messages -> prompt text, by the model's own Jinja template, interpreted over a closed value type:
// no host objects, no files, no clock but the caller's. Pure and deterministic.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/status.h"
#include "text/tokenizer.h"

namespace kette {

struct ChatRequest {
  std::string_view messages_json;         // OpenAI-style array of message objects
  std::string_view tools_json;            // array of tools, or empty
  std::string_view variables_json;        // further template variables as an object, or empty
  std::string_view now_iso;               // "2026-01-02T03:04:05": what strftime_now sees; empty: it is undefined
  std::string_view bos_token, eos_token;  // spellings, visible to the template
  bool add_generation_prompt = true;
  int64_t max_steps = 5'000'000;  // of the interpreter; more is kBudget
};

// A rendered prompt that knows which bytes came from the template's literals.
struct RenderedChat {
  struct Piece {
    std::string text;
    bool literal;  // from the template itself (special-token spellings count), not from a message
  };
  std::vector<Piece> pieces;
  std::string text() const;             // all pieces joined
  std::vector<TextSpan> spans() const;  // for Tokenizer::encode; views into this object
};

class ChatTemplate {
 public:
  static Result<ChatTemplate> compile(std::string_view source);
  Result<RenderedChat> render(const ChatRequest& request) const;

  ChatTemplate(ChatTemplate&&) noexcept;
  ChatTemplate& operator=(ChatTemplate&&) noexcept;
  ~ChatTemplate();

 private:
  struct Impl;
  explicit ChatTemplate(std::unique_ptr<Impl>);
  std::unique_ptr<Impl> impl_;
};

}  // namespace kette
