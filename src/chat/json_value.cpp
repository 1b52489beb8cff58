#include "chat/json_value.h"

#include <nlohmann/json.hpp>
#include <vector>

namespace kette::jinja {
namespace {

constexpr size_t kMaxDigits = 4300;  // sys.int_info.default_max_str_digits

class Reader : public nlohmann::json_sax<nlohmann::ordered_json> {
 public:
  Reader(Budget& budget, std::string_view what) : budget_(budget), what_(what) {}
  Value result() { return std::move(result_); }

  bool null() override { return add(Value::none()); }
  bool boolean(bool value) override { return add(Value::boolean(value)); }
  bool number_integer(number_integer_t value) override { return add(Value::integer(value)); }
  bool number_unsigned(number_unsigned_t value) override {
    if (value > INT64_MAX) return add(make_big_integer(budget_, std::to_string(value)));
    return add(Value::integer(static_cast<int64_t>(value)));
  }
  bool number_float(number_float_t value, const string_t& digits) override {
    // An integer beyond 64 bits arrives here too.
    if (digits.find_first_of(".eE") != digits.npos) return add(Value::real(value));
    if (digits.size() > kMaxDigits) budget_.raise("{}: a number of more than {} digits", what_, kMaxDigits);
    return add(make_big_integer(budget_, digits));
  }
  bool string(string_t& value) override { return add(make_string(budget_, value, false)); }
  bool binary(binary_t&) override { return false; }

  bool start_object(size_t) override { return open(); }
  bool start_array(size_t) override { return open(); }
  bool key(string_t& value) override {
    levels_.back().keys.push_back(make_string(budget_, value, false));
    return budget_.ok();
  }
  bool end_object() override {
    Level level = std::move(levels_.back());
    levels_.pop_back();
    std::vector<std::pair<Value, Value>> entries;
    entries.reserve(level.keys.size());
    for (size_t i = 0; i < level.keys.size(); ++i)
      entries.emplace_back(std::move(level.keys[i]), std::move(level.values[i]));
    return add(make_dict(budget_, std::move(entries)));
  }
  bool end_array() override {
    std::vector<Value> items = std::move(levels_.back().values);
    levels_.pop_back();
    return add(make_list(budget_, std::move(items)));
  }
  bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception&) override {
    budget_.raise("{}: not valid JSON at byte {}", what_, position);
    return false;
  }

 private:
  struct Level {
    std::vector<Value> values;
    std::vector<Value> keys;
  };

  bool open() {
    if (levels_.size() >= static_cast<size_t>(kMaxNesting))
      budget_.fail(Code::kBudget, "{}: nested deeper than {}", what_, kMaxNesting);
    levels_.emplace_back();
    return budget_.ok();
  }
  bool add(Value value) {
    if (levels_.empty()) {
      result_ = std::move(value);
    } else {
      levels_.back().values.push_back(std::move(value));
    }
    return budget_.ok();
  }

  Budget& budget_;
  std::string_view what_;
  std::vector<Level> levels_;
  Value result_ = Value::none();
};

}  // namespace

Value parse_json(Budget& budget, std::string_view what, std::string_view json) {
  if (json.size() > kMaxHeap) {
    budget.fail(Code::kBudget, "{}: {} bytes, expected at most {}", what, json.size(), kMaxHeap);
    return Value::none();
  }
  Reader reader(budget, what);
  if (!nlohmann::ordered_json::sax_parse(json.begin(), json.end(), &reader)) {
    budget.raise("{}: not valid JSON", what);
    return Value::none();
  }
  return reader.result();
}

}  // namespace kette::jinja
