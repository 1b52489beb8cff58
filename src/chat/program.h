// A compiled template: code for a stack machine. Jumps are relative to their own instruction, so code may be moved.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace kette::jinja {

enum class Op : uint8_t {
  // text
  kText,   // write string a
  kPrint,  // write str(pop)
  // push
  kUndefined,  // of name a
  kNone,
  kTrue,
  kFalse,
  kInteger,
  kFloat,
  kString,  // constant a
  kLoad,    // variable named a
  // pop, push
  kAttribute,  // x -> x.name(a)
  kItem,       // x key -> x[key]
  kSlice,      // x start stop step -> x[start:stop:step]
  kList,
  kTuple,  // a items -> sequence
  kDict,   // a pairs -> dict
  kNot,
  kNegative,
  kPositive,
  kAdd,
  kSubtract,
  kMultiply,
  kDivide,
  kFloorDivide,
  kModulo,
  kPower,
  kConcat,  // a values -> string
  kEqual,
  kNotEqual,
  kLess,
  kLessEqual,
  kGreater,
  kGreaterEqual,
  kIn,
  kNotIn,
  kDrop,  // pops
  kTuck,  // x y -> y x y, the middle of a chained comparison
  kFilter,
  kTest,  // value, arguments of call a -> result
  kCall,  // callee, arguments of call a -> result
  // jumps by a
  kJump,
  kJumpIfFalse,      // pops
  kJumpIfFalseKeep,  // `and`: keeps the value where it jumps
  kJumpIfTrueKeep,   // `or`
  kJumpChain,        // y r: where r is false, leaves r and jumps; else leaves y
  kJumpIfGiven,      // where this scope binds name b
  // variables
  kStore,           // pop into name a
  kStoreAttribute,  // value namespace: namespace.name(a) = value
  kUnpack,          // sequence -> a items, the first on top
  kPushScope,
  kPopScope,
  kBeginCapture,
  kEndCapture,  // the text written in between, as a string
  // loops
  kLoopBegin,   // pops the iterable
  kFilterNext,  // pushes a scope and the next item, or jumps
  kFilterKeep,  // pops the verdict and the scope, jumps back
  kLoopNext,    // pushes a scope with `loop`, and the next item, or jumps
  kLoopAgain,   // pops the scope, jumps back
  kLoopEnd,     // jumps (over else) if there was an item
  // macros
  kMacro,  // push macro a
  kReturn,
};

struct Instruction {
  Op op;
  uint32_t line;
  int32_t a;
  int32_t b;
};

struct CallSite {
  uint32_t positional = 0;
  std::vector<std::string> names;        // of the keyword arguments, after the positional ones
  bool star = false, star_star = false;  // then *args, then **kwargs
  std::string callee;                    // of filters and tests; else empty
};

struct MacroInfo {
  uint32_t name = 0;
  std::vector<uint32_t> parameters;
  int32_t entry = 0;
  bool takes_varargs = false, takes_kwargs = false, takes_caller = false;
};

struct Program {
  std::vector<Instruction> code;
  std::vector<int64_t> integers;
  std::vector<double> floats;
  std::vector<std::string> strings;
  std::vector<std::string> names;
  std::vector<CallSite> calls;
  std::vector<MacroInfo> macros;
};

// names[] starts with these.
enum NameId : uint32_t { kNoName, kLoopName, kCallerName, kVarargsName, kKwargsName };
inline constexpr const char* kReservedNames[] = {"", "loop", "caller", "varargs", "kwargs"};

}  // namespace kette::jinja
