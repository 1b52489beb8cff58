// One way of writing tool calls: what stands around name and arguments, and a reader of it.
// One dialect is one file, tool_NAME.cpp, and one row of tool_dialects.inc.
#pragma once

#include <memory>
#include <span>
#include <string_view>

#include "chat/answer_piece.h"

namespace kette {

// The literal text of calls, for a call that is forced: calls_begin (before_name NAME before_arguments {...}
// after_arguments) between_calls (...) calls_end.
struct ToolCallFrame {
  std::string_view calls_begin, before_name, before_arguments, after_arguments, between_calls, calls_end;
};

// Reads the part of an answer behind its thoughts, byte by byte: so how it was cut cannot matter.
class ToolReader {
 public:
  virtual ~ToolReader() = default;
  virtual void push(char byte, AnswerSink& out) = 0;
  // A control token of the vocabulary came whole. False: it is to be pushed byte by byte like any other.
  virtual bool push_control(std::string_view spelling, AnswerSink& out) = 0;
  virtual void finish(AnswerSink& out) = 0;
};

struct ToolDialect {
  std::string_view name;
  ToolCallFrame frame;
  std::span<const std::string_view> markers;  // spellings that may be control tokens
  std::unique_ptr<ToolReader> (*reader)();
};

#define KETTE_TOOL_DIALECT(name) extern const ToolDialect tool_dialect_##name;
#include "chat/tool_dialects.inc"
#undef KETTE_TOOL_DIALECT

// All of them, in the order in which a template is tried.
std::span<const ToolDialect* const> tool_dialects();

}  // namespace kette
