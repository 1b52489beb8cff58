// Messages, tools and variables of a conversation -> the prompt, by the model's own template.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/generate.h"
#include "runtime/loaded_model.h"

namespace kette {

// What an answer came to as a message of OpenAI's API, laid out as the model's own template wants it.
std::string message_json(const AnswerMessage& message, const Dialect& dialect);

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
  // The whole prompt, with thinking and tools as the options want them, for a session that holds `capacity` tokens. Only
  // what the template itself wrote, or a tag put behind it, can become special tokens.
  Result<PreparedChat> prepare(const GenerateOptions& options, size_t capacity) const;

 private:
  struct Message {
    std::string role, json;
  };
  explicit ChatPrompt(std::shared_ptr<const LoadedModel> loaded) : loaded_(std::move(loaded)) {}
  Result<RenderedChat> render(std::span<const Message* const> messages, std::string_view variables_json,
                              bool add_generation_prompt) const;
  Result<std::shared_ptr<const Constraint>> call_constraint(const GenerateOptions& options) const;

  std::shared_ptr<const LoadedModel> loaded_;
  std::vector<Message> messages_;
  std::string tools_, variables_, now_;
};

}  // namespace kette
