#include "chat/interpreter.h"

#include <algorithm>

#include "chat/operators.h"
#include "chat/python_text.h"

namespace kette::jinja {

Interpreter::Interpreter(Runtime& runtime) : rt_(runtime), budget_(runtime.budget) {
  outputs_.emplace_back(budget_);
  open_scope(0);
  for (size_t i = 0; i < rt_.program.names.size(); ++i)
    if (const Builtin* function = find_function(rt_.program.names[i]))
      functions_.emplace_back(static_cast<uint32_t>(i), function);
}

void Interpreter::define(std::string_view name, Value value) {
  const auto& names = rt_.program.names;
  const auto found = std::find(names.begin() + 1, names.end(), name);
  if (found != names.end()) store(static_cast<uint32_t>(found - names.begin()), std::move(value));
}

void Interpreter::define_all(const Dict& variables) {
  const auto& names = rt_.program.names;
  for (size_t i = 1; i < names.size() && budget_.ok(); ++i)
    if (const Value* value = variables.find(names[i])) store(static_cast<uint32_t>(i), *value);
}

Result<Text> Interpreter::run() {
  const std::vector<Instruction>& code = rt_.program.code;
  while (budget_.ok() && pc_ < code.size()) {
    const Instruction& i = code[pc_++];
    budget_.spend(1);
    step(i);
    if (outputs_.front().size() > kMaxOutput)
      budget_.fail(Code::kBudget, "the prompt is longer than {} MiB", kMaxOutput >> 20);
    if (!budget_.ok()) return budget_.take_status().within(fmt::format("template line {}", i.line));
  }
  if (!budget_.ok()) return budget_.take_status().within("template");
  return outputs_.front().take();
}

void Interpreter::step(const Instruction& i) {
  const auto a = static_cast<size_t>(i.a);
  switch (i.op) {
    case Op::kText: return outputs_.back().append(rt_.program.strings[a], true);
    case Op::kPrint: return print();
    case Op::kUndefined: return push(Value::undefined(static_cast<uint32_t>(i.a)));
    case Op::kNone: return push(Value::none());
    case Op::kTrue: return push(Value::boolean(true));
    case Op::kFalse: return push(Value::boolean(false));
    case Op::kInteger: return push(Value::integer(rt_.program.integers[a]));
    case Op::kFloat: return push(Value::real(rt_.program.floats[a]));
    case Op::kString: return push(make_string(budget_, rt_.program.strings[a], true));
    case Op::kLoad: return push(load(static_cast<uint32_t>(i.a)));
    case Op::kAttribute: top() = attribute(rt_, top(), rt_.program.names[a], static_cast<uint32_t>(i.a)); return;
    case Op::kItem: {
      const Value key = pop();
      top() = item(rt_, top(), key);
      return;
    }
    case Op::kSlice: {
      const std::vector<Value> parts = pop_many(3);
      top() = slice(rt_, top(), parts[0], parts[1], parts[2]);
      return;
    }
    case Op::kList: return push(make_list(budget_, pop_many(a)));
    case Op::kTuple: return push(make_list(budget_, pop_many(a), Flavour::kTuple));
    case Op::kDict: return make_dictionary(a);
    case Op::kNot:
    case Op::kNegative:
    case Op::kPositive: top() = unary(rt_, i.op, top()); return;
    case Op::kAdd:
    case Op::kSubtract:
    case Op::kMultiply:
    case Op::kDivide:
    case Op::kFloorDivide:
    case Op::kModulo:
    case Op::kPower: {
      const Value right = pop();
      top() = binary(rt_, i.op, top(), right);
      return;
    }
    case Op::kConcat: return concatenate(a);
    case Op::kEqual:
    case Op::kNotEqual:
    case Op::kLess:
    case Op::kLessEqual:
    case Op::kGreater:
    case Op::kGreaterEqual:
    case Op::kIn:
    case Op::kNotIn: {
      const Value right = pop();
      top() = compare(rt_, i.op, top(), right);
      return;
    }
    case Op::kDrop: pop(); return;
    case Op::kTuck: {
      Value y = top();
      std::swap(top(), top(1));
      return push(std::move(y));
    }
    case Op::kFilter:
    case Op::kTest: return filter_or_test(i);
    case Op::kCall: return call(rt_.program.calls[a]);
    case Op::kJump: return jump(i);
    case Op::kJumpIfFalse:
      if (!truthy(pop())) jump(i);
      return;
    case Op::kJumpIfFalseKeep:
    case Op::kJumpIfTrueKeep:
      if (truthy(top()) == (i.op == Op::kJumpIfTrueKeep)) {
        jump(i);
      } else {
        pop();
      }
      return;
    case Op::kJumpChain: {
      Value verdict = pop();
      if (truthy(verdict)) return;
      top() = std::move(verdict);
      return jump(i);
    }
    case Op::kJumpIfGiven:
      for (const auto& [name, value] : scopes_[scope_count_ - 1].variables)
        if (name == static_cast<uint32_t>(i.b)) return jump(i);
      return;
    case Op::kStore: return store(static_cast<uint32_t>(i.a), pop());
    case Op::kStoreAttribute: return store_attribute(static_cast<uint32_t>(i.a));
    case Op::kUnpack: return unpack(a);
    case Op::kPushScope: return open_scope(scope_count_ - 1);
    case Op::kPopScope: return close_scope();
    case Op::kBeginCapture: outputs_.emplace_back(budget_); return;
    case Op::kEndCapture: {
      Value text = make_string(std::move(outputs_.back()));
      outputs_.pop_back();
      return push(std::move(text));
    }
    case Op::kLoopBegin: return begin_loop();
    case Op::kFilterNext: return next_filtered(i);
    case Op::kFilterKeep: return keep_filtered(i);
    case Op::kLoopNext: return next_item(i);
    case Op::kLoopAgain: close_scope(); return jump(i);
    case Op::kLoopEnd: return end_loop(i);
    case Op::kMacro:
      return push(make_macro(budget_, static_cast<uint32_t>(i.a), scope_count_ - 1, scopes_[scope_count_ - 1].serial));
    case Op::kReturn: return return_from_macro();
  }
}

void Interpreter::push(Value value) {
  if (operands_.size() >= kMaxOperands) budget_.fail(Code::kBudget, "more than {} values at once", kMaxOperands);
  operands_.push_back(std::move(value));
}

Value Interpreter::pop() {
  Value value = std::move(operands_.back());
  operands_.pop_back();
  return value;
}

std::vector<Value> Interpreter::pop_many(size_t count) {
  const auto first = operands_.end() - static_cast<ptrdiff_t>(count);
  std::vector<Value> values(std::make_move_iterator(first), std::make_move_iterator(operands_.end()));
  operands_.erase(first, operands_.end());
  return values;
}

void Interpreter::open_scope(size_t parent) {
  if (scope_count_ == scopes_.size()) scopes_.emplace_back();
  scopes_[scope_count_].parent = parent;
  scopes_[scope_count_].serial = next_serial_++;
  ++scope_count_;
}

void Interpreter::close_scope() { scopes_[--scope_count_].variables.clear(); }

Value Interpreter::load(uint32_t name) {
  for (size_t scope = scope_count_ - 1;; scope = scopes_[scope].parent) {
    const auto& variables = scopes_[scope].variables;
    budget_.spend(variables.size() / 16);
    for (const auto& [id, value] : variables)
      if (id == name) return value;
    if (scope == 0) break;
  }
  for (const auto& [id, function] : functions_)
    if (id == name && (function->name != "strftime_now" || !rt_.now_iso.empty())) return Value::function(function);
  return Value::undefined(name);
}

void Interpreter::store(uint32_t name, Value value) {
  auto& variables = scopes_[scope_count_ - 1].variables;
  budget_.spend(variables.size() / 16);
  for (auto& [id, old] : variables)
    if (id == name) {
      old = std::move(value);
      return;
    }
  variables.emplace_back(name, std::move(value));
}

void Interpreter::store_attribute(uint32_t name) {
  const Value target = pop();
  Value value = pop();
  if (!target.is(Kind::kNamespace))
    return budget_.raise("cannot assign an attribute of a {}, only of a namespace", type_name(target));
  Namespace& space = target.name_space();
  budget_.spend(space.attributes.size() / 8);
  if (Value* found = space.find(rt_.name(name))) {
    *found = std::move(value);
  } else if (budget_.charge(sizeof(Value) + sizeof(std::string) + rt_.name(name).size())) {
    space.attributes.emplace_back(rt_.name(name), std::move(value));
  }
}

void Interpreter::unpack(size_t count) {
  const Value items = iterate(rt_, pop());
  if (!items.is(Kind::kList) || items.list().items.size() != count) {
    budget_.raise("expected {} values to unpack, found {}", count,
                  items.is(Kind::kList) ? items.list().items.size() : 0);
    return;
  }
  for (size_t i = count; i-- > 0;) push(items.list().items[i]);
}

void Interpreter::print() {
  const Value value = pop();
  write_str(rt_, value, outputs_.back());
}

void Interpreter::make_dictionary(size_t pairs) {
  std::vector<Value> flat = pop_many(2 * pairs);
  std::vector<std::pair<Value, Value>> entries;
  for (size_t i = 0; i < pairs; ++i) entries.emplace_back(std::move(flat[2 * i]), std::move(flat[2 * i + 1]));
  push(make_dict(budget_, std::move(entries)));
}

void Interpreter::concatenate(size_t count) {
  const std::vector<Value> values = pop_many(count);
  TextBuilder out(budget_);
  for (const Value& value : values) write_str(rt_, value, out);
  push(make_string(std::move(out)));
}

void Interpreter::begin_loop() {
  Value items = iterate(rt_, pop());
  if (!items.is(Kind::kList)) return;
  Value state = make_loop(budget_, std::move(items));
  if (budget_.ok()) loops_.push_back({std::move(state), {}});
}

void Interpreter::next_filtered(const Instruction& i) {
  ActiveLoop& active = loops_.back();
  Loop& loop = active.state.loop();
  const std::vector<Value>& items = loop.items.list().items;
  if (++loop.index < static_cast<int64_t>(items.size())) {
    open_scope(scope_count_ - 1);
    return push(items[static_cast<size_t>(loop.index)]);
  }
  loop.items = make_list(budget_, std::exchange(active.kept, {}));
  loop.index = -1;
  jump(i);
}

void Interpreter::keep_filtered(const Instruction& i) {
  const bool keep = truthy(pop());
  close_scope();
  ActiveLoop& active = loops_.back();
  const Loop& loop = active.state.loop();
  if (keep) active.kept.push_back(loop.items.list().items[static_cast<size_t>(loop.index)]);
  jump(i);
}

void Interpreter::next_item(const Instruction& i) {
  const Value state = loops_.back().state;
  Loop& loop = state.loop();
  const std::vector<Value>& items = loop.items.list().items;
  if (loop.index + 1 >= static_cast<int64_t>(items.size())) return jump(i);
  ++loop.index;
  open_scope(scope_count_ - 1);
  store(kLoopName, state);
  push(items[static_cast<size_t>(loop.index)]);
}

void Interpreter::end_loop(const Instruction& i) {
  const bool ran = loops_.back().state.loop().index >= 0;
  loops_.pop_back();
  if (ran) jump(i);
}

Arguments Interpreter::take_arguments(const CallSite& site) {
  Arguments arguments;
  Value star_star = site.star_star ? pop() : Value();
  Value star = site.star ? pop() : Value();
  std::vector<Value> named = pop_many(site.names.size());
  arguments.positional = pop_many(site.positional);
  for (size_t i = 0; i < named.size(); ++i) arguments.named.emplace_back(site.names[i], std::move(named[i]));
  if (site.star) {
    const Value items = iterate(rt_, star);
    if (items.is(Kind::kList))
      arguments.positional.insert(arguments.positional.end(), items.list().items.begin(), items.list().items.end());
  }
  if (site.star_star) {
    if (!star_star.is(Kind::kDict)) {
      budget_.raise("a mapping is needed after **, found {}", type_name(star_star));
      return arguments;
    }
    for (const auto& [key, value] : star_star.dict().entries) {
      if (!key.is(Kind::kString)) budget_.raise("keywords must be strings");
      if (!budget_.ok()) break;
      budget_.spend(1 + key.text().size() / 64);
      arguments.named.emplace_back(key.view(), value);
    }
  }
  return arguments;
}

void Interpreter::filter_or_test(const Instruction& i) {
  const CallSite& site = rt_.program.calls[static_cast<size_t>(i.a)];
  const Arguments arguments = take_arguments(site);
  const bool is_filter = i.op == Op::kFilter;
  const Builtin* row = is_filter ? find_filter(site.callee) : find_test(site.callee);
  if (row == nullptr)
    return budget_.fail(Code::kUnsupported, "no {} named '{}'", is_filter ? "filter" : "test",
                        excerpt(site.callee, 60));
  if (budget_.ok()) top() = call_builtin(rt_, *row, top(), arguments);
}

void Interpreter::call(const CallSite& site) {
  Arguments arguments = take_arguments(site);
  const Value callee = pop();
  if (!budget_.ok()) return;
  switch (callee.kind()) {
    case Kind::kFunction: return push(call_builtin(rt_, *callee.function(), Value(), arguments));
    case Kind::kMethod: {
      const Method& method = callee.method();
      return push(call_builtin(rt_, *method.row, method.self, arguments));
    }
    case Kind::kMacro: return call_macro(callee.macro(), std::move(arguments));
    case Kind::kUndefined: return fail_undefined(rt_, callee);
    default: budget_.raise("a {} cannot be called", type_name(callee));
  }
}

void Interpreter::call_macro(const Macro& macro, Arguments arguments) {
  const MacroInfo& info = rt_.program.macros[macro.id];
  const std::string shown = excerpt(rt_.name(info.name), 60);
  if (callers_.size() >= kMaxCallDepth)
    return budget_.fail(Code::kBudget, "macros call each other deeper than {}", kMaxCallDepth);
  if (macro.scope >= scope_count_ || scopes_[macro.scope].serial != macro.serial)
    return budget_.fail(Code::kUnsupported, "macro '{}' is called outside the block that defined it", shown);
  callers_.push_back(pc_);
  open_scope(macro.scope);
  outputs_.emplace_back(budget_);
  auto& variables = scopes_[scope_count_ - 1].variables;
  const auto given = [&](uint32_t name) {
    return std::any_of(variables.begin(), variables.end(), [&](const auto& v) { return v.first == name; });
  };
  const size_t count = std::min(arguments.positional.size(), info.parameters.size());
  for (size_t i = 0; i < count; ++i) variables.emplace_back(info.parameters[i], std::move(arguments.positional[i]));
  std::vector<Value> rest(std::make_move_iterator(arguments.positional.begin() + static_cast<ptrdiff_t>(count)),
                          std::make_move_iterator(arguments.positional.end()));
  if (!rest.empty() && !info.takes_varargs)
    return budget_.raise("macro '{}' takes at most {} arguments", shown, info.parameters.size());
  std::vector<std::pair<Value, Value>> others;
  Value caller = Value::undefined(kCallerName);
  for (auto& [name, value] : arguments.named) {
    budget_.spend(1 + info.parameters.size() / 8);
    const auto parameter = std::find_if(info.parameters.begin(), info.parameters.end(),
                                        [&, &wanted = name](uint32_t id) { return rt_.name(id) == wanted; });
    if (parameter != info.parameters.end() && !given(*parameter)) {
      variables.emplace_back(*parameter, std::move(value));
    } else if (parameter == info.parameters.end() && name == "caller" && info.takes_caller) {
      caller = std::move(value);
    } else if (parameter == info.parameters.end() && info.takes_kwargs) {
      others.emplace_back(make_string(budget_, name, false), std::move(value));
    } else {
      return budget_.raise("macro '{}' cannot take the keyword argument '{}'", shown, excerpt(name, 60));
    }
  }
  if (info.takes_varargs && !given(kVarargsName))
    variables.emplace_back(kVarargsName, make_list(budget_, std::move(rest), Flavour::kTuple));
  if (info.takes_kwargs && !given(kKwargsName))
    variables.emplace_back(kKwargsName, make_dict(budget_, std::move(others)));
  if (info.takes_caller && !given(kCallerName)) variables.emplace_back(kCallerName, std::move(caller));
  pc_ = static_cast<size_t>(info.entry);
}

void Interpreter::return_from_macro() {
  if (callers_.empty()) {
    pc_ = rt_.program.code.size();
    return;
  }
  pc_ = callers_.back();
  callers_.pop_back();
  close_scope();
  Value text = make_string(std::move(outputs_.back()));
  outputs_.pop_back();
  push(std::move(text));
}

}  // namespace kette::jinja
