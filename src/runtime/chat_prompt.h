// Messages, tools and variables of a conversation -> the prompt, by the model's own template.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "runtime/loaded_model.h"

namespace kette {

class ChatPrompt {
 public:
  // Fails at once if the model has no template that Kette can read.
  static Result<std::unique_ptr<ChatPrompt>> make(std::shared_ptr<const LoadedModel> loaded);

  Status add(std::string_view role, std::string_view text);
  Status add_json(std::string_view message_or_list);  // OpenAI-style
  Status set_tools_json(std::string_view json);       // a list
  Status set_variables_json(std::string_view json);   // an object
  Status set_now(std::string_view iso8601);

  const LoadedModel& loaded() const { return *loaded_; }
  Result<RenderedChat> render(bool add_generation_prompt) const;
  // The whole prompt. Only what the template itself wrote can become special tokens.
  Result<std::vector<Token>> tokens() const;

 private:
  explicit ChatPrompt(std::shared_ptr<const LoadedModel> loaded) : loaded_(std::move(loaded)) {}

  std::shared_ptr<const LoadedModel> loaded_;
  std::string messages_;  // JSON objects, comma-separated
  std::string tools_, variables_, now_;
};

}  // namespace kette
