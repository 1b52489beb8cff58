// Runs a Program: a stack machine with its own stacks, so neither nesting nor macro recursion uses the thread's.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "chat/runtime.h"

namespace kette::jinja {

class Interpreter {
 public:
  explicit Interpreter(Runtime& runtime);

  void define(std::string_view name, Value value);  // a variable of the template
  void define_all(const Dict& variables);
  Result<Text> run();

 private:
  struct Scope {
    size_t parent = 0;
    uint64_t serial = 0;
    std::vector<std::pair<uint32_t, Value>> variables;
  };
  struct ActiveLoop {
    Value state;              // the Loop
    std::vector<Value> kept;  // of a loop with a filter
  };

  void step(const Instruction& instruction);
  void push(Value value);
  Value pop();
  Value& top(size_t below = 0) { return operands_[operands_.size() - 1 - below]; }
  std::vector<Value> pop_many(size_t count);
  void jump(const Instruction& i) { pc_ = static_cast<size_t>(static_cast<int64_t>(pc_) - 1 + i.a); }

  void open_scope(size_t parent);
  void close_scope();
  Value load(uint32_t name);
  void store(uint32_t name, Value value);
  void store_attribute(uint32_t name);
  void unpack(size_t count);
  void print();
  void make_dictionary(size_t pairs);
  void concatenate(size_t count);

  void begin_loop();
  void next_filtered(const Instruction& i);
  void keep_filtered(const Instruction& i);
  void next_item(const Instruction& i);
  void end_loop(const Instruction& i);

  Arguments take_arguments(const CallSite& site);
  void filter_or_test(const Instruction& i);
  void call(const CallSite& site);
  void call_macro(const Macro& macro, Arguments arguments);
  void return_from_macro();

  Runtime& rt_;
  Budget& budget_;
  std::vector<Value> operands_;
  std::vector<Scope> scopes_;  // [0, scope_count_) are open; the rest keep their memory for reuse
  size_t scope_count_ = 0;
  uint64_t next_serial_ = 1;
  std::vector<ActiveLoop> loops_;
  std::vector<size_t> callers_;       // where macros return to
  std::vector<TextBuilder> outputs_;  // the prompt, then captures
  std::vector<std::pair<uint32_t, const Builtin*>> functions_;
  size_t pc_ = 0;
};

}  // namespace kette::jinja
