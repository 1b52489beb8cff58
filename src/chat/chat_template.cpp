#include "chat/chat_template.h"

#include "chat/compiler.h"
#include "chat/interpreter.h"
#include "chat/json_value.h"

namespace kette {
namespace {

using jinja::Value;

// Dates are only ever formatted; "2026-01-02T03:04:05", or with a space between.
bool valid_clock(std::string_view now) {
  static constexpr std::string_view kShape = "0000-00-00T00:00:00";
  if (now.size() != kShape.size()) return false;
  for (size_t i = 0; i < now.size(); ++i) {
    const bool digit = now[i] >= '0' && now[i] <= '9';
    if (kShape[i] == '0' ? !digit : !(now[i] == kShape[i] || (kShape[i] == 'T' && now[i] == ' '))) return false;
  }
  const auto two = [&](size_t i) { return (now[i] - '0') * 10 + now[i + 1] - '0'; };
  const int year = two(0) * 100 + two(2);
  const bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
  static constexpr int kDays[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
  const int month = two(5);
  if (year < 1 || month < 1 || month > 12 || two(8) < 1) return false;
  return two(8) <= kDays[month - 1] + (month == 2 && leap) && two(11) < 24 && two(14) < 60 && two(17) < 60;
}

// The variables Hugging Face's apply_chat_template passes, then the caller's own.
void define_variables(jinja::Budget& budget, const ChatRequest& request, jinja::Interpreter& interpreter) {
  const Value messages = parse_json(budget, "messages", request.messages_json);
  if (!messages.is(jinja::Kind::kList)) budget.raise("messages: expected a JSON array");
  interpreter.define("messages", messages);
  interpreter.define("tools",
                     request.tools_json.empty() ? Value::none() : parse_json(budget, "tools", request.tools_json));
  interpreter.define("documents", Value::none());
  interpreter.define("add_generation_prompt", Value::boolean(request.add_generation_prompt));
  interpreter.define("bos_token", make_string(budget, request.bos_token, true));
  interpreter.define("eos_token", make_string(budget, request.eos_token, true));
  if (request.variables_json.empty()) return;
  const Value variables = parse_json(budget, "variables", request.variables_json);
  if (!variables.is(jinja::Kind::kDict)) return budget.raise("variables: expected a JSON object");
  interpreter.define_all(variables.dict());
}

}  // namespace

struct ChatTemplate::Impl {
  jinja::Program program;
};

Result<ChatTemplate> ChatTemplate::compile(std::string_view source) {
  KETTE_ASSIGN(jinja::Program program, jinja::compile(source));
  return ChatTemplate(std::make_unique<Impl>(Impl{std::move(program)}));
}

Result<RenderedChat> ChatTemplate::render(const ChatRequest& request) const {
  if (!request.now_iso.empty() && !valid_clock(request.now_iso))
    return error(Code::kInvalidArgument, "now: expected YYYY-MM-DDTHH:MM:SS");
  if (!jinja::valid_utf8(request.bos_token) || !jinja::valid_utf8(request.eos_token))
    return error(Code::kInvalidArgument, "bos or eos token: not valid UTF-8");
  jinja::Runtime runtime{jinja::Budget(request.max_steps), impl_->program, request.now_iso, {}};
  jinja::Interpreter interpreter(runtime);
  define_variables(runtime.budget, request, interpreter);
  if (!runtime.budget.ok()) return runtime.budget.take_status().within("chat template");
  KETTE_ASSIGN(const jinja::Text text, interpreter.run());
  RenderedChat chat;
  text.for_each_run(0, text.size(), [&](std::string_view run, bool literal) {
    chat.pieces.push_back({std::string(run), literal});
  });
  return chat;
}

std::string RenderedChat::text() const {
  std::string all;
  for (const Piece& piece : pieces) all += piece.text;
  return all;
}

std::vector<TextSpan> RenderedChat::spans() const {
  std::vector<TextSpan> spans;
  for (const Piece& piece : pieces) spans.push_back({piece.text, piece.literal});
  return spans;
}

ChatTemplate::ChatTemplate(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
ChatTemplate::ChatTemplate(ChatTemplate&&) noexcept = default;
ChatTemplate& ChatTemplate::operator=(ChatTemplate&&) noexcept = default;
ChatTemplate::~ChatTemplate() = default;

}  // namespace kette
