// The closed set of values a template can hold, counted and charged to the render's Budget. No value can reach the
// host. Values are immutable but for loops, generators and namespaces, so everything but a namespace is a tree.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "chat/text.h"

namespace kette::jinja {

enum class Kind : uint8_t {
  kMissing,    // an argument that was not given; never seen by a template
  kUndefined,  // jinja2.Undefined; the payload is the name that was looked up
  kNone,
  kBool,
  kInt,
  kFloat,
  kFunction,   // a global function
  kNamespace,  // owned by the interpreter for the whole render: the only place where cycles can arise
  kBigInt,     // an integer beyond 64 bits, by its digits: can be printed and compared
  kString,
  kList,  // every sequence, see Flavour
  kDict,
  kMethod,  // a method bound to its object
  kLoop,
  kMacro,
};

struct Object {
  explicit Object(Budget& b) : budget(&b) {}
  Object(const Object&) = delete;
  Object& operator=(const Object&) = delete;
  virtual ~Object() { budget->release(charged); }

  Budget* budget;
  size_t charged = 0;
  uint32_t refs = 0;
  int depth = 0;  // of the values below
};

struct String;
struct List;
struct Dict;
struct Loop;
struct Macro;
struct Method;
struct Namespace;
struct Builtin;

class Value {
 public:
  Value() = default;
  Value(const Value& o) : kind_(o.kind_), payload_(o.payload_) { retain(); }
  Value(Value&& o) noexcept : kind_(std::exchange(o.kind_, Kind::kMissing)), payload_(o.payload_) {}
  Value& operator=(Value o) noexcept {
    std::swap(kind_, o.kind_);
    std::swap(payload_, o.payload_);
    return *this;
  }
  ~Value() { release(); }

  static Value undefined(uint32_t name_id = 0) { return Value(Kind::kUndefined, name_id); }
  static Value none() { return Value(Kind::kNone, int64_t{0}); }
  static Value boolean(bool b) { return Value(Kind::kBool, b); }
  static Value integer(int64_t i) { return Value(Kind::kInt, i); }
  static Value real(double d) {
    Value v(Kind::kFloat, int64_t{0});
    v.payload_.real = d;
    return v;
  }
  static Value function(const Builtin* f) {
    Value v(Kind::kFunction, int64_t{0});
    v.payload_.function = f;
    return v;
  }
  static Value name_space(Namespace* n) {
    Value v(Kind::kNamespace, int64_t{0});
    v.payload_.name_space = n;
    return v;
  }
  Value(Kind kind, Object* object) : kind_(kind) {
    payload_.object = object;
    retain();
  }

  Kind kind() const { return kind_; }
  bool is(Kind kind) const { return kind_ == kind; }
  bool is_missing() const { return kind_ == Kind::kMissing; }
  bool is_undefined() const { return kind_ == Kind::kUndefined; }
  bool is_none() const { return kind_ == Kind::kNone; }
  bool is_integer() const { return kind_ == Kind::kInt || kind_ == Kind::kBool; }  // Python: bool is an int
  bool is_number() const { return is_integer() || kind_ == Kind::kFloat; }

  int64_t integer() const { return payload_.integer; }
  double real() const { return kind_ == Kind::kFloat ? payload_.real : static_cast<double>(payload_.integer); }
  const Builtin* function() const { return payload_.function; }
  Namespace& name_space() const { return *payload_.name_space; }
  inline const Text& text() const;
  inline std::string_view view() const;
  inline String& string() const;
  inline List& list() const;
  inline Dict& dict() const;
  inline Loop& loop() const;
  inline Macro& macro() const;
  inline Method& method() const;
  int depth() const { return counted() ? payload_.object->depth : 0; }

 private:
  Value(Kind kind, int64_t payload) : kind_(kind) { payload_.integer = payload; }
  bool counted() const { return kind_ >= Kind::kBigInt; }
  void retain() {
    if (counted()) ++payload_.object->refs;
  }
  void release() {
    if (counted()) drop(payload_.object);
  }
  static void drop(Object* object);

  Kind kind_ = Kind::kMissing;
  union {
    int64_t integer = 0;
    double real;
    Object* object;
    const Builtin* function;
    Namespace* name_space;
  } payload_;
};

struct String : Object {
  using Object::Object;
  Text text;
  int64_t length = -1;  // in code points; -1: not counted yet
};

// Which Python type a sequence stands for.
enum class Flavour : uint8_t { kList, kTuple, kRange, kView, kGenerator };

struct List : Object {
  using Object::Object;
  std::vector<Value> items;
  Flavour flavour = Flavour::kList;
  size_t next = 0;  // generators: what has been taken already
};

struct Dict : Object {
  using Object::Object;
  const Value* find(std::string_view key) const;
  const Value* find(const Value& key) const;     // nullptr too for what cannot be a key
  std::vector<std::pair<Value, Value>> entries;  // keys: strings, numbers, booleans, none
  std::vector<uint32_t> sorted;                  // entries by key, where there are many
};

struct Loop : Object {
  using Object::Object;
  Value items;  // a list
  int64_t index = -1;
};

struct Macro : Object {
  using Object::Object;
  uint32_t id = 0;      // in the program
  size_t scope = 0;     // where it was defined: index in the scope stack ...
  uint64_t serial = 0;  // ... and which scope that was, so that a macro cannot outlive it
};

struct Method : Object {
  using Object::Object;
  Value self;
  const Builtin* row = nullptr;
};

struct Namespace {
  Value* find(std::string_view name);
  std::vector<std::pair<std::string, Value>> attributes;
};

inline String& Value::string() const { return static_cast<String&>(*payload_.object); }
inline const Text& Value::text() const { return string().text; }
inline std::string_view Value::view() const { return string().text.view(); }
inline List& Value::list() const { return static_cast<List&>(*payload_.object); }
inline Dict& Value::dict() const { return static_cast<Dict&>(*payload_.object); }
inline Loop& Value::loop() const { return static_cast<Loop&>(*payload_.object); }
inline Macro& Value::macro() const { return static_cast<Macro&>(*payload_.object); }
inline Method& Value::method() const { return static_cast<Method&>(*payload_.object); }

// Makers. Where the budget refuses, it has failed and the value is none.
Value make_string(Budget& budget, Text text);
Value make_string(Budget& budget, std::string_view bytes, bool literal);
Value make_string(TextBuilder&& builder);
Value make_big_integer(Budget& budget, std::string_view digits);
Value make_list(Budget& budget, std::vector<Value> items, Flavour flavour = Flavour::kList);
Value make_dict(Budget& budget, std::vector<std::pair<Value, Value>> entries);  // the last of equal keys wins
Value make_method(Budget& budget, Value self, const Builtin* row);
Value make_loop(Budget& budget, Value items);
Value make_macro(Budget& budget, uint32_t id, size_t scope, uint64_t serial);

bool can_be_key(const Value& value);
bool key_less(const Value& a, const Value& b);  // an order of dict keys, equal where Python's are
bool truthy(const Value& value);
const char* type_name(const Value& value);  // Python's, for messages
int64_t length_in_characters(String& string);

}  // namespace kette::jinja
