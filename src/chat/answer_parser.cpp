#include "chat/answer_parser.h"

#include <utility>

#include "chat/json_scan.h"
#include "chat/tag_matcher.h"

namespace kette {

struct AnswerParser::Impl {
  enum class State : uint8_t {
    kLead,  // nothing yet but white space and the beginning of an opening tag
    kThought,
    kAfterThought,  // newlines behind the closing tag
    kAnswer,
  };

  Impl(const Dialect& dialect, AnswerStart begins, bool tools) : start(begins) {
    if (tools && dialect.tools != nullptr) reader = dialect.tools->reader();
    if (!dialect.thinking.known()) return;
    state = State::kLead;
    open = dialect.thinking.open;
    const std::string_view close = dialect.thinking.close;
    closing = TagMatcher(std::span(&close, 1));
  }

  // For a trial of what opens and closes thoughts, which no call does.
  Impl(const Impl& o)
      : start(o.start),
        state(o.state),
        open(o.open),
        closing(o.closing),
        lead(o.lead),
        blank(o.blank),
        fresh(o.fresh) {}

  bool in_thought() const {
    return state == State::kThought || (state == State::kLead && start == AnswerStart::kInThought);
  }

  void answer(std::string_view bytes, AnswerSink& out) {
    if (!reader) return out.text(bytes);
    for (const char c : bytes) reader->push(c, out);
  }

  void thought(char c, AnswerSink& out) {
    if (fresh && c == '\n') return;
    fresh = false;
    released.clear();
    const bool closed = closing.push(c, released) != TagMatcher::kNone;
    out.reasoning(released);
    if (!closed) return;
    closing.take();
    state = State::kAfterThought;
  }

  // No opening tag leads: what was held is of the thought or of the answer.
  void settle(AnswerSink& out) {
    const std::string held = std::exchange(lead, {});
    state = start == AnswerStart::kInThought      ? State::kThought
            : start == AnswerStart::kAfterThought ? State::kAfterThought
                                                  : State::kAnswer;
    for (const char c : held) push(c, out);
  }

  void push(char c, AnswerSink& out) {
    switch (state) {
      case State::kLead: {
        lead += c;
        if (lead.size() == blank + 1 && is_json_space(c)) {
          ++blank;
          return;
        }
        const std::string_view tag = std::string_view(lead).substr(blank);
        if (!open.starts_with(tag)) return settle(out);
        if (open.size() > tag.size()) return;
        lead.clear();
        state = State::kThought;
        return;
      }
      case State::kThought: return thought(c, out);
      case State::kAfterThought:
        if (c == '\n') return;
        state = State::kAnswer;
        return answer({&c, 1}, out);
      case State::kAnswer: return answer({&c, 1}, out);
    }
  }

  void push(std::string_view bytes, bool special, AnswerSink& out) {
    if (special && state == State::kAnswer && reader && reader->push_control(bytes, out)) return;
    while (!bytes.empty()) {
      if (state == State::kAnswer) return answer(bytes, out);
      push(bytes.front(), out);
      bytes.remove_prefix(1);
    }
  }

  void finish(AnswerSink& out) {
    if (state == State::kLead) settle(out);
    if (state == State::kThought) out.reasoning(closing.take());
    if (reader) reader->finish(out);
    state = State::kAnswer;
  }

  AnswerStart start;
  State state = State::kAnswer;
  std::string open;
  TagMatcher closing;
  std::string lead;
  size_t blank = 0;   // white space in front of it
  bool fresh = true;  // nothing of the thought yet
  std::string released;
  std::unique_ptr<ToolReader> reader;
};

AnswerParser::AnswerParser(const Dialect& dialect, AnswerStart start, bool tools)
    : impl_(std::make_unique<Impl>(dialect, start, tools)) {}
AnswerParser::AnswerParser(AnswerParser&&) noexcept = default;
AnswerParser& AnswerParser::operator=(AnswerParser&&) noexcept = default;
AnswerParser::~AnswerParser() = default;

void AnswerParser::push(std::string_view bytes, bool special, std::vector<AnswerPiece>& out) {
  AnswerSink sink(out);
  impl_->push(bytes, special, sink);
}

void AnswerParser::finish(std::vector<AnswerPiece>& out) {
  AnswerSink sink(out);
  impl_->finish(sink);
}

bool AnswerParser::in_thought() const { return impl_->in_thought(); }

AnswerParser::Turn AnswerParser::turn(std::string_view bytes) const {
  if (impl_->state == Impl::State::kAnswer) return {};
  Impl trial(*impl_);
  std::vector<AnswerPiece> pieces;
  AnswerSink sink(pieces);
  trial.push(bytes, false, sink);
  return {trial.in_thought() != impl_->in_thought(), trial.state == Impl::State::kAnswer};
}

}  // namespace kette
