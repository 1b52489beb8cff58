// A template is asked by rendering small conversations with it, and its own tool calls are read as an answer's would be.
#include "chat/dialect.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>

#include "chat/answer_parser.h"

namespace kette {
namespace {

using Json = nlohmann::ordered_json;

// Words that no template writes of itself.
constexpr std::string_view kQuestion = "probe-question", kAnswer = "probe-answer", kThought = "probe-thought";
constexpr std::string_view kFunction = "probe_function";
const char* const kTools =
    R"([{"type": "function", "function": {"name": "probe_function", "description": "Probes.", "parameters":)"
    R"( {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}}}])";

Json user() { return {{"role", "user"}, {"content", kQuestion}}; }
Json assistant(std::string_view content) { return {{"role", "assistant"}, {"content", content}}; }

// Of one probe; the models' templates take hundreds. A model is opened by whoever, and asks some 25 times.
constexpr int64_t kSteps = 200'000;

class Prober {
 public:
  Prober(const ChatTemplate& chat_template, std::string_view bos, std::string_view eos)
      : template_(chat_template), bos_(bos), eos_(eos) {}

  std::optional<RenderedChat> render(const Json& messages, bool prompt, std::string_view variables = {},
                                     std::string_view tools = {}) {
    // A template without end is not tried again.
    if (exhausted_) return std::nullopt;
    const std::string text = messages.dump();
    ChatRequest request;
    request.messages_json = text;
    request.tools_json = tools;
    request.variables_json = variables;
    request.now_iso = "2026-01-02T03:04:05";
    request.bos_token = bos_;
    request.eos_token = eos_;
    request.add_generation_prompt = prompt;
    request.max_steps = kSteps;
    auto rendered = template_.render(request);
    if (rendered.ok()) return std::move(*rendered);
    exhausted_ = rendered.status().code() == Code::kBudget;
    return std::nullopt;
  }

  // The text, or nothing: "" is what a template writes that cannot do it.
  std::string text(const Json& messages, bool prompt, std::string_view tools = {}) {
    const auto rendered = render(messages, prompt, {}, tools);
    return rendered ? rendered->text() : "";
  }

 private:
  const ChatTemplate& template_;
  std::string_view bos_, eos_;
  bool exhausted_ = false;
};

bool holds(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

size_t common(std::string_view a, std::string_view b) {
  return static_cast<size_t>(
      std::mismatch(a.begin(), a.begin() + static_cast<ptrdiff_t>(std::min(a.size(), b.size())), b.begin()).first -
      a.begin());
}

// An earlier answer with its thought spelled out: is it rendered without?
bool drops_spelled(Prober& probe, const Thinking& thinking) {
  const std::string answer = thinking.open + "\n" + std::string(kThought) + thinking.closing() + std::string(kAnswer);
  const std::string text = probe.text(Json::array({user(), assistant(answer), user()}), true);
  return holds(text, kAnswer) && !holds(text, kThought);
}

ThoughtHistory probe_history(Prober& probe, const Thinking& thinking) {
  ThoughtHistory history;
  Json answer = assistant(kAnswer);
  answer["reasoning_content"] = kThought;
  history.drops_spelled = drops_spelled(probe, thinking);
  history.reads_field = holds(probe.text(Json::array({user(), answer}), false), kThought);
  history.drops_field = !holds(probe.text(Json::array({user(), answer, user()}), true), kThought);
  return history;
}

// These tags, if the template has to do with them at all.
std::optional<Thinking> probe_tags(Prober& probe, std::string_view open, std::string_view close) {
  static constexpr std::string_view kVariables[] = {
#define KETTE_THINKING_TAGS(open, close)
#define KETTE_THINKING_VARIABLE(name) name,
#include "chat/thinking.inc"
#undef KETTE_THINKING_VARIABLE
#undef KETTE_THINKING_TAGS
  };
  Thinking thinking;
  thinking.open = open;
  thinking.close = close;
  const auto plain = probe.render(Json::array({user()}), true);
  if (!plain) return std::nullopt;
  thinking.usual_start = start_of(*plain, thinking);
  for (const std::string_view variable : kVariables) {
    const auto on = probe.render(Json::array({user()}), true, fmt::format("{{\"{}\": true}}", variable));
    const auto off = probe.render(Json::array({user()}), true, fmt::format("{{\"{}\": false}}", variable));
    if (!on || !off || start_of(*off, thinking) != AnswerStart::kAfterThought ||
        start_of(*on, thinking) == AnswerStart::kAfterThought)
      continue;
    thinking.control = ThinkingControl::kVariable;
    thinking.variable = variable;
    return thinking;
  }
  if (thinking.usual_start == AnswerStart::kAfterThought) return thinking;
  if (thinking.usual_start != AnswerStart::kInThought && !drops_spelled(probe, thinking)) return std::nullopt;
  thinking.control = ThinkingControl::kPrefill;
  return thinking;
}

Thinking probe_thinking(Prober& probe) {
  static constexpr std::string_view kTags[][2] = {
#define KETTE_THINKING_TAGS(open, close) {open, close},
#define KETTE_THINKING_VARIABLE(name)
#include "chat/thinking.inc"
#undef KETTE_THINKING_VARIABLE
#undef KETTE_THINKING_TAGS
  };
  for (const auto& [open, close] : kTags)
    if (auto thinking = probe_tags(probe, open, close)) return *thinking;
  return {};
}

std::string probe_answer_begin(Prober& probe, const Thinking& thinking) {
  const std::string asked = probe.text(Json::array({user()}), false), prompt = probe.text(Json::array({user()}), true);
  std::string begin = prompt.substr(common(asked, prompt));
  if (thinking.known()) begin.resize(std::min({begin.size(), begin.find(thinking.open), begin.find(thinking.close)}));
  return begin;
}

// How one message with calls may look.
struct Style {
  bool content_null, arguments_as_text;
};

// What the template writes for a message with so many calls, without what stands before every answer.
std::string written(Prober& probe, Style style, int calls) {
  const Json arguments = Json::object({{"city", "Rome"}});
  Json message = {{"role", "assistant"}, {"content", style.content_null ? Json() : Json("")}};
  for (int i = 0; i < calls; ++i) {
    Json function = Json::object({{"name", kFunction}});
    function["arguments"] = style.arguments_as_text ? Json(arguments.dump()) : arguments;
    message["tool_calls"].push_back(
        {{"id", fmt::format("call_{}", i)}, {"type", "function"}, {"function", std::move(function)}});
  }
  const std::string before = probe.text(Json::array({user()}), false, kTools);
  const std::string called = probe.text(Json::array({user(), message}), false, kTools);
  const std::string answered = probe.text(Json::array({user(), assistant(kAnswer)}), false, kTools);
  const std::string_view tail = std::string_view(called).substr(common(before, called));
  const size_t answer = answered.rfind(kAnswer);
  if (answer == std::string::npos) return std::string(tail);
  const std::string_view header = std::string_view(answered).substr(0, answer);
  return called.substr(std::max(called.size() - tail.size(), common(header, called)));
}

// Reading it gives just these calls.
bool reads(const ToolDialect& dialect, std::string_view text, int calls) {
  std::vector<AnswerPiece> pieces;
  AnswerSink sink(pieces);
  const auto reader = dialect.reader();
  for (const char c : text) reader->push(c, sink);
  reader->finish(sink);
  std::string arguments;
  int ended = 0;
  for (const AnswerPiece& piece : pieces) {
    if (piece.kind == AnswerPiece::Kind::kToolName && piece.text != kFunction) return false;
    if (piece.kind == AnswerPiece::Kind::kToolArguments) arguments += piece.text;
    if (piece.kind != AnswerPiece::Kind::kToolEnd) continue;
    if (piece.malformed || Json::parse(arguments, nullptr, false) != Json::object({{"city", "Rome"}})) return false;
    arguments.clear();
    ++ended;
  }
  return ended == calls;
}

void probe_tools(Prober& probe, Dialect& dialect) {
  for (const Style style : {Style{false, false}, Style{false, true}, Style{true, false}, Style{true, true}}) {
    const std::string text = written(probe, style, 1);
    if (text.empty()) continue;
    for (const ToolDialect* candidate : tool_dialects()) {
      if ((dialect.tools != nullptr && dialect.tools != candidate) || !reads(*candidate, text, 1)) continue;
      dialect.tools = candidate;
      (style.arguments_as_text ? dialect.tool_history.arguments_as_text : dialect.tool_history.arguments_as_object) =
          true;
      (style.content_null ? dialect.tool_history.content_null : dialect.tool_history.content_empty) = true;
      dialect.tool_history.several = dialect.tool_history.several || reads(*candidate, written(probe, style, 2), 2);
      break;
    }
  }
}

}  // namespace

Dialect Dialect::of(const ChatTemplate& chat_template, std::string_view bos_token, std::string_view eos_token) {
  Prober probe(chat_template, bos_token, eos_token);
  Dialect dialect;
  dialect.thinking = probe_thinking(probe);
  if (dialect.thinking.known()) dialect.history = probe_history(probe, dialect.thinking);
  dialect.answer_begin = probe_answer_begin(probe, dialect.thinking);
  const std::string answered = probe.text(Json::array({user(), assistant(kAnswer)}), false);
  if (const size_t at = answered.rfind(kAnswer); at != std::string::npos)
    dialect.turn_end = answered.substr(at + kAnswer.size());
  dialect.turn_end.erase(dialect.turn_end.find_last_not_of(" \t\r\n") + 1);
  probe_tools(probe, dialect);
  return dialect;
}

bool Dialect::is_marker(std::string_view spelling, bool calls) const {
  if (thinking.known() && (spelling == thinking.open || spelling == thinking.close)) return true;
  return calls && tools != nullptr &&
         std::find(tools->markers.begin(), tools->markers.end(), spelling) != tools->markers.end();
}

}  // namespace kette
