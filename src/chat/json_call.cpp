#include "chat/json_call.h"

#include <nlohmann/json.hpp>

namespace kette {
namespace {

// The text of a JSON string; of one that is not UTF-8, or has half a surrogate pair, its bytes.
std::string text_of(const std::string& quoted) {
  const auto json = nlohmann::ordered_json::parse(quoted, nullptr, false);
  return json.is_string() ? json.get<std::string>() : quoted.substr(1, quoted.size() - 2);
}

}  // namespace

void JsonCall::begin(AnswerSink& out) {
  begun_ = true;
  held_.clear();
  out.name(name_);
  out.arguments(arguments_);
  if (has_arguments_) end(out);
}

void JsonCall::end(AnswerSink& out) {
  ended_ = true;
  out.end(false);
}

void JsonCall::open_value(char c, AnswerSink& out) {
  in_value_ = true;
  value_.clear();
  member_ = Member::kOther;
  const bool name = key_ == "name", arguments = key_ == "arguments" || key_ == "parameters";
  if (bare_ && !begun_) {
    const bool known = (name && c == '"') || (arguments && c == '{') || key_ == "type" || key_ == "id";
    refused_ = refused_ || !known;
  }
  if (name && name_.empty() && c == '"') member_ = Member::kName;
  if (arguments && !has_arguments_) {
    member_ = Member::kArguments;
    if (!begun_ && !refused_ && !name_.empty()) begin(out);
  }
}

void JsonCall::close_value(AnswerSink& out) {
  in_value_ = false;
  if (member_ == Member::kName) {
    name_ = text_of(value_);
    if (!name_.empty() && (!bare_ || has_arguments_)) begin(out);
  } else if (member_ == Member::kArguments) {
    has_arguments_ = true;
    if (begun_) end(out);
  }
}

JsonCall::Step JsonCall::push(char c, AnswerSink& out) {
  const bool top = scan_.depth() == 1;
  const bool opens = top && scan_.expects_value() && !is_json_space(c);
  const bool was_key = top && scan_.in_key(), was_number = top && scan_.in_number();
  if (!begun_) held_ += c;
  if (!scan_.push(c)) return !begun_ ? Step::kNotACall : ended_ ? Step::kSurplus : Step::kBroken;
  if (top && !was_key && scan_.in_key()) key_.clear();
  if (was_key && scan_.in_key()) key_ += c;
  if (in_value_ && was_number && !scan_.in_number()) close_value(out);  // before this byte
  if (opens) open_value(c, out);
  if (refused_) return Step::kNotACall;
  if (in_value_) {
    if (member_ == Member::kName) value_ += c;
    if (member_ == Member::kArguments) begun_ ? out.arguments({&c, 1}) : void(arguments_ += c);
    if (scan_.depth() == 1 && scan_.after_value()) close_value(out);
  }
  if (!scan_.done()) return Step::kMore;
  if (!begun_) return Step::kNotACall;
  if (!ended_) end(out);
  return Step::kClosed;
}

}  // namespace kette
