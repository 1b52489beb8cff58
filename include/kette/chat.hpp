/// Messages, and the prompt that the model's chat template makes of them.
#pragma once

#include <string>
#include <string_view>
#include <utility>

#include "kette/model.hpp"

KETTE_BEGIN_NAMESPACE

/// One turn: "system", "user", "assistant" or "tool", and its text in UTF-8.
struct message {
  std::string role, text;
  std::string json =
      {};  ///< the message as an object of OpenAI's API, where it is more than role and text: an answer with
           ///< its thoughts and tool calls. It then goes before the two
};

/// A list of messages being built. Move-only; keeps its model alive. One thread at a time.
class chat {
 public:
  /// Fails with unsupported if the model has no chat template.
  static result<chat> create(const model& m) {
    return detail::make<chat, kette_chat>(
        [&](kette_chat** out, kette_error** e) { return kette_chat_new(m.raw(), out, e); });
  }
  /// As create(), throwing (or calling the failure handler) on an error.
  explicit chat(const model& m) : chat(create(m).value()) {}
  /// Adopts the handle; pairs with release().
  explicit chat(kette_chat* adopted) noexcept : handle_(adopted) {}

  result<void> add(const std::string& role, std::string_view text) {
    return detail::call(
        [&](kette_error** e) { return kette_chat_add(raw(), role.c_str(), text.data(), text.size(), e); });
  }
  /// One message object or an array of them, as in OpenAI's API. Fails with format on other JSON, and adds nothing.
  result<void> add_json(std::string_view json) {
    return detail::call([&](kette_error** e) { return kette_chat_add_json(raw(), json.data(), json.size(), e); });
  }
  result<void> add(const message& m) { return m.json.empty() ? add(m.role, m.text) : add_json(m.json); }
  /// An array of tools, as in OpenAI's API.
  result<void> set_tools_json(std::string_view json) {
    return detail::call([&](kette_error** e) { return kette_chat_set_tools_json(raw(), json.data(), json.size(), e); });
  }
  /// An object whose members become template variables, such as {"enable_thinking": false}.
  result<void> set_variables_json(std::string_view json) {
    return detail::call(
        [&](kette_error** e) { return kette_chat_set_variables_json(raw(), json.data(), json.size(), e); });
  }
  /// The time that the template may see, ISO 8601 "2026-01-02T03:04:05". Without it a template that asks fails.
  result<void> set_now(std::string_view iso8601) {
    return detail::call([&](kette_error** e) { return kette_chat_set_now(raw(), iso8601.data(), iso8601.size(), e); });
  }
  /// The prompt as text. Fails as the template does, for instance on roles in an order that it refuses.
  result<std::string> render(bool add_generation_prompt = true) const {
    return detail::make_string([&](kette_buf** out, kette_error** e) {
      return kette_chat_render(raw(), add_generation_prompt ? 0 : KETTE_CHAT_NO_GENERATION_PROMPT, out, e);
    });
  }

  kette_chat* raw() const noexcept { return handle_.get(); }
  kette_chat* release() noexcept { return handle_.release(); }

 private:
  detail::owned<kette_chat, kette_chat_free> handle_;
};
static_assert(sizeof(chat) == sizeof(void*), "a handle is one pointer wide");

KETTE_END_NAMESPACE
