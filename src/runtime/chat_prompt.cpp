#include "runtime/chat_prompt.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace kette {
namespace {

using Json = nlohmann::ordered_json;

// More than any message needs, and little enough to write out by recursion.
constexpr size_t kMostDepth = 128;

size_t depth_of(std::string_view json) {
  size_t depth = 0, deepest = 0;
  bool quoted = false;
  for (size_t i = 0; i < json.size(); ++i) {
    if (quoted && json[i] == '\\')
      ++i;
    else if (json[i] == '"')
      quoted = !quoted;
    else if (!quoted && (json[i] == '[' || json[i] == '{'))
      deepest = std::max(deepest, ++depth);
    else if (!quoted && (json[i] == ']' || json[i] == '}') && depth > 0)
      --depth;
  }
  return deepest;
}

Result<Json> parse(std::string_view text, std::string_view what) {
  if (const size_t depth = depth_of(text); depth > kMostDepth)
    return error(Code::kInvalidArgument, "{}: JSON nested {} deep, expected at most {}", what, depth, kMostDepth);
  Json json = Json::parse(text, nullptr, false);
  if (json.is_discarded()) return error(Code::kInvalidArgument, "{}: not valid JSON", what);
  return json;
}

std::string dump(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

}  // namespace

Result<std::unique_ptr<ChatPrompt>> ChatPrompt::make(std::shared_ptr<const LoadedModel> loaded) {
  if (auto found = loaded->chat_template(); !found.ok()) return std::move(found).status();
  if (auto found = loaded->tokenizer(); !found.ok()) return std::move(found).status();
  return std::unique_ptr<ChatPrompt>(new ChatPrompt(std::move(loaded)));
}

Status ChatPrompt::add(std::string_view role, std::string_view text) {
  if (role.empty()) return error(Code::kInvalidArgument, "a message's role is empty");
  const Json message = {{"role", role}, {"content", text}};
  messages_ += (messages_.empty() ? "" : ",") + dump(message);
  return {};
}

Status ChatPrompt::add_json(std::string_view message_or_list) {
  KETTE_ASSIGN(Json json, parse(message_or_list, "message"));
  if (!json.is_array()) json = Json::array({std::move(json)});
  std::string added;
  for (const Json& message : json) {
    if (!message.is_object() || !message.contains("role") || !message["role"].is_string())
      return error(Code::kInvalidArgument, "message: expected an object with a \"role\"");
    added += (messages_.empty() && added.empty() ? "" : ",") + dump(message);
  }
  messages_ += added;
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
  KETTE_ASSIGN(const ChatTemplate* chat_template, loaded_->chat_template());
  KETTE_ASSIGN(const Tokenizer* tokenizer, loaded_->tokenizer());
  const std::string messages = "[" + messages_ + "]";
  ChatRequest request;
  request.messages_json = messages;
  request.tools_json = tools_;
  request.variables_json = variables_;
  request.now_iso = now_;
  if (tokenizer->bos()) request.bos_token = tokenizer->bytes_of(*tokenizer->bos());
  if (tokenizer->eos()) request.eos_token = tokenizer->bytes_of(*tokenizer->eos());
  request.add_generation_prompt = add_generation_prompt;
  return chat_template->render(request);
}

Result<std::vector<Token>> ChatPrompt::tokens() const {
  KETTE_ASSIGN(const RenderedChat rendered, render(true));
  KETTE_ASSIGN(const Tokenizer* tokenizer, loaded_->tokenizer());
  return tokenizer->encode(rendered.spans(), false);
}

}  // namespace kette
