#include "runtime/chat_prompt.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "base/json_shape.h"
#include "runtime/forced_call.h"

namespace kette {
namespace {

using Json = nlohmann::ordered_json;

// Little enough to write out by recursion, an answer's calls among it.
constexpr size_t kMostCallDepth = 120;

Result<Json> parse(std::string_view text, std::string_view what) {
  KETTE_TRY(check_json_shape(text, what));
  Json json = Json::parse(text, nullptr, false);
  if (json.is_discarded()) return error(Code::kInvalidArgument, "{}: not valid JSON", what);
  return json;
}

std::string dump(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

}  // namespace

std::string message_json(const AnswerMessage& message, const Dialect& dialect) {
  Json out = {{"role", "assistant"}, {"content", message.text}};
  if (!message.thought.empty()) out["reasoning_content"] = message.thought;
  if (message.calls.empty()) return dump(out);
  const ToolHistory& history = dialect.tool_history;
  if (message.text.empty() && !history.content_empty && history.content_null) out["content"] = nullptr;
  for (const AnswerMessage::Call& call : message.calls) {
    Json arguments = call.arguments.empty() ? "{}" : call.arguments;  // a call without any
    if (history.arguments_as_object && !history.arguments_as_text &&
        check_json_shape(call.arguments, "arguments", {.depth = kMostCallDepth}).ok())
      if (Json parsed = Json::parse(arguments.get<std::string>(), nullptr, false); parsed.is_object())
        arguments = std::move(parsed);
    out["tool_calls"].push_back({{"id", fmt::format("call_{}", &call - message.calls.data())},
                                 {"type", "function"},
                                 {"function", {{"name", call.name}, {"arguments", std::move(arguments)}}}});
  }
  return dump(out);
}

Result<std::unique_ptr<ChatPrompt>> ChatPrompt::make(std::shared_ptr<const LoadedModel> loaded) {
  if (auto found = loaded->chat_template(); !found.ok()) return std::move(found).status();
  if (auto found = loaded->tokenizer(); !found.ok()) return std::move(found).status();
  return std::unique_ptr<ChatPrompt>(new ChatPrompt(std::move(loaded)));
}

Status ChatPrompt::add(std::string_view role, std::string_view text) {
  if (role.empty()) return error(Code::kInvalidArgument, "a message's role is empty");
  const Json message = {{"role", role}, {"content", text}};
  messages_.push_back({std::string(role), dump(message)});
  return {};
}

Status ChatPrompt::add_json(std::string_view message_or_list) {
  KETTE_ASSIGN(Json json, parse(message_or_list, "message"));
  if (!json.is_array()) json = Json::array({std::move(json)});
  std::vector<Message> added;
  for (const Json& message : json) {
    if (!message.is_object() || !message.contains("role") || !message["role"].is_string())
      return error(Code::kInvalidArgument, "message: expected an object with a \"role\"");
    added.push_back({message["role"].get<std::string>(), dump(message)});
  }
  messages_.insert(messages_.end(), std::make_move_iterator(added.begin()), std::make_move_iterator(added.end()));
  return {};
}

Status ChatPrompt::set_tools_json(std::string_view text) {
  KETTE_ASSIGN(const Json json, parse(text, "tools"));
  if (!json.is_array()) return error(Code::kInvalidArgument, "tools: expected a list");
  tools_ = json.empty() ? "" : std::string(text);
  return {};
}

Status ChatPrompt::set_variables_json(std::string_view text) {
  KETTE_ASSIGN(const Json json, parse(text, "variables"));
  if (!json.is_object()) return error(Code::kInvalidArgument, "variables: expected an object");
  variables_ = text;
  return {};
}

Status ChatPrompt::set_now(std::string_view iso8601) {
  now_ = iso8601;
  return {};
}

Result<RenderedChat> ChatPrompt::render(bool add_generation_prompt) const {
  std::vector<const Message*> all;
  for (const Message& m : messages_) all.push_back(&m);
  return render(all, variables_, add_generation_prompt);
}

Result<RenderedChat> ChatPrompt::render(std::span<const Message* const> messages, std::string_view variables_json,
                                        bool add_generation_prompt) const {
  KETTE_ASSIGN(const ChatTemplate* chat_template, loaded_->chat_template());
  KETTE_ASSIGN(const Tokenizer* tokenizer, loaded_->tokenizer());
  std::string json = "[";
  for (const Message* m : messages) json += (json.size() > 1 ? "," : "") + m->json;
  json += "]";
  ChatRequest request;
  request.messages_json = json;
  request.tools_json = tools_;
  request.variables_json = variables_json;
  request.now_iso = now_;
  if (tokenizer->bos()) request.bos_token = tokenizer->bytes_of(*tokenizer->bos());
  if (tokenizer->eos()) request.eos_token = tokenizer->bytes_of(*tokenizer->eos());
  request.add_generation_prompt = add_generation_prompt;
  return chat_template->render(request);
}

Result<PreparedChat> ChatPrompt::prepare(const GenerateOptions& options, size_t capacity) const {
  KETTE_ASSIGN(const Tokenizer* tokenizer, loaded_->tokenizer());
  const Dialect& dialect = loaded_->dialect();
  PreparedChat out;
  out.format.dialect = &dialect;
  out.format.tools = !tools_.empty() && dialect.tools != nullptr && options.tool_choice != ToolChoice::kNone;
  if (options.tool_choice == ToolChoice::kRequired) {
    KETTE_ASSIGN(out.format.call, call_constraint(options));
  }
  // Which messages may go: up to the beginning of a turn, but not the last.
  const auto is_system = [](const Message& m) { return m.role == "system" || m.role == "developer"; };
  const size_t first = static_cast<size_t>(std::ranges::find_if_not(messages_, is_system) - messages_.begin());
  std::vector<size_t> ends{first};
  for (size_t i = first + 1; options.drop_oldest && i < messages_.size(); ++i)
    if (messages_[i].role == "user") ends.push_back(i);
  const size_t room = options.max_tokens > 0 ? options.max_tokens : capacity / 4;
  const auto prompt_without = [&](size_t turns) -> Status {
    std::vector<const Message*> messages;
    for (size_t i = 0; i < messages_.size(); ++i)
      if (i < first || i >= ends[turns]) messages.push_back(&messages_[i]);
    const RenderWith render_with = [&](std::string_view more) -> Result<RenderedChat> {
      if (more.empty() || variables_.empty()) return render(messages, more.empty() ? variables_ : more, true);
      Json variables = Json::parse(variables_);
      variables.update(Json::parse(more));
      return render(messages, dump(variables), true);
    };
    KETTE_ASSIGN(const PreparedPrompt prepared, ::kette::prepare(dialect, options.thinking, render_with));
    out.format.start = prepared.start;
    KETTE_ASSIGN(out.prompt, tokenizer->encode(prepared.prompt.spans(), false));
    out.dropped_messages = static_cast<uint32_t>(ends[turns] - first);
    return {};
  };
  const auto fits = [&] { return out.prompt.size() <= capacity && room <= capacity - out.prompt.size(); };
  KETTE_TRY(prompt_without(0));
  if (!options.drop_oldest || fits()) return out;
  // The fewest turns that have to go; all but the last if even that does not help.
  size_t low = 1, high = ends.size() - 1;
  while (low < high) {
    const size_t middle = low + (high - low) / 2;
    KETTE_TRY(prompt_without(middle));
    fits() ? high = middle : low = middle + 1;
  }
  KETTE_TRY(prompt_without(std::min(low, ends.size() - 1)));
  return out;
}

Result<std::shared_ptr<const Constraint>> ChatPrompt::call_constraint(const GenerateOptions& options) const {
  if (tools_.empty()) return error(Code::kInvalidArgument, "tool_choice: a call is required and the chat has no tools");
  if (options.constraint)
    return error(Code::kInvalidArgument, "tool_choice: a call is required and a grammar given: one of them");
  const Dialect& dialect = loaded_->dialect();
  if (dialect.tools == nullptr)
    return error(Code::kUnsupported, "tool_choice: the model's chat template writes no calls that Kette can read");
  KETTE_ASSIGN(Grammar::Pointer grammar, forced_call(*dialect.tools, tools_, options.tool_name));
  KETTE_ASSIGN(std::shared_ptr<const TokenIndex> tokens, loaded_->token_index());
  return Constraint::make(std::move(grammar), std::move(tokens));
}

}  // namespace kette
