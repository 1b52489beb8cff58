// Calling a builtin: matching what was passed with what it takes.
#include "chat/operators.h"
#include "chat/runtime.h"

namespace kette::jinja {
namespace {

struct Parameter {
  std::string_view name;
  bool optional;
};

std::vector<Parameter> parameters_of(std::string_view spec) {
  std::vector<Parameter> parameters;
  while (!spec.empty()) {
    const size_t end = std::min(spec.find(' '), spec.size());
    std::string_view name = spec.substr(0, end);
    const bool optional = name.ends_with('?');
    if (optional) name.remove_suffix(1);
    parameters.push_back({name, optional});
    spec.remove_prefix(end == spec.size() ? end : end + 1);
  }
  return parameters;
}

}  // namespace

Value call_builtin(Runtime& rt, const Builtin& builtin, const Value& self, const Arguments& arguments) {
  if (builtin.parameters == "-") {
    rt.budget.fail(Code::kUnsupported, "'{}' of a {} is not supported", builtin.name, type_name(self));
    return Value::none();
  }
  if (builtin.parameters == "*") return builtin.run(rt, self, arguments);
  const std::vector<Parameter> parameters = parameters_of(builtin.parameters);
  Arguments bound;
  bound.positional = arguments.positional;
  if (bound.positional.size() > parameters.size()) {
    rt.budget.raise("'{}' takes at most {} arguments, found {}", builtin.name, parameters.size(),
                    bound.positional.size());
    return Value::none();
  }
  bound.positional.resize(parameters.size());
  for (const auto& [name, value] : arguments.named) {
    size_t at = 0;
    while (at < parameters.size() && parameters[at].name != name) ++at;
    if (at == parameters.size() || !bound.positional[at].is_missing()) {
      rt.budget.raise("'{}' cannot take the argument '{}'", builtin.name, excerpt(name, 40));
      return Value::none();
    }
    bound.positional[at] = value;
  }
  for (size_t i = 0; i < parameters.size(); ++i) {
    if (bound.positional[i].is_missing() && !parameters[i].optional) {
      rt.budget.raise("'{}' needs its argument '{}'", builtin.name, parameters[i].name);
      return Value::none();
    }
  }
  return builtin.run(rt, self, bound);
}

int64_t integer_or(Runtime& rt, const Value& value, int64_t otherwise) {
  if (value.is_missing() || value.is_none()) return otherwise;
  if (value.is_integer()) return value.integer();
  rt.budget.raise("expected an integer, found {}", type_name(value));
  return otherwise;
}

bool flag_or(const Value& value, bool otherwise) { return value.is_missing() ? otherwise : truthy(value); }

const Text& text_argument(Runtime& rt, const Value& value) {
  static const Text kEmpty;
  if (value.is(Kind::kString)) return value.text();
  if (value.is_undefined()) {
    fail_undefined(rt, value);
  } else {
    rt.budget.raise("expected a string, found {}", type_name(value));
  }
  return kEmpty;
}

}  // namespace kette::jinja
