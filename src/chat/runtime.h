// What the operations of one render share, and how a builtin filter, test, method or function is described.
#pragma once

#include <deque>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "chat/budget.h"
#include "chat/program.h"
#include "chat/value.h"

namespace kette::jinja {

struct Runtime {
  Budget budget;
  const Program& program;
  std::string_view now_iso;
  std::deque<Namespace> namespaces;

  const std::string& name(uint32_t id) const { return program.names[id]; }
};

struct Arguments {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;
};

struct Builtin {
  std::string_view name;
  // Space-separated, '?' after optional ones. They arrive as `positional`, in this order, kMissing where not given.
  // "*": the arguments arrive as they were written. "-": known to Python, refused here.
  std::string_view parameters;
  Value (*run)(Runtime&, const Value& self, const Arguments&);
};

const Builtin* find_filter(std::string_view name);
const Builtin* find_test(std::string_view name);
const Builtin* find_function(std::string_view name);
const Builtin* find_method(const Value& self, std::string_view name);

Value call_builtin(Runtime& rt, const Builtin& builtin, const Value& self, const Arguments& arguments);

// Argument readers. After a failure they give something harmless.
int64_t integer_or(Runtime& rt, const Value& value, int64_t otherwise);  // missing and none give `otherwise`
bool flag_or(const Value& value, bool otherwise);
const Text& text_argument(Runtime& rt, const Value& value);  // must be a string

}  // namespace kette::jinja
