// Python's `format % values`, for the conversions s r d i u f F x X o and %%.
#include <algorithm>
#include <charconv>
#include <cmath>

#include "chat/operators.h"
#include "chat/python_text.h"

namespace kette::jinja {
namespace {

constexpr int64_t kMaxWidth = 4096;

struct Spec {
  bool left = false, zero = false, plus = false, space = false;
  int64_t width = 0;
  int64_t precision = -1;
  char conversion = 0;
  Value value;
};

class Formatter {
 public:
  Formatter(Runtime& rt, const Text& format, const Value& values)
      : rt_(rt), format_(format), bytes_(format.view()), values_(values), out_(rt.budget) {}

  Value run() {
    size_t kept = 0;
    while (rt_.budget.ok()) {
      const size_t mark = std::min(bytes_.find('%', kept), bytes_.size());
      out_.append(format_, kept, mark);
      if (mark == bytes_.size()) break;
      pos_ = mark + 1;
      directive(mark);
      kept = pos_;
    }
    const bool tuple = values_.is(Kind::kList) && values_.list().flavour == Flavour::kTuple;
    const bool leftover = tuple ? next_ < values_.list().items.size()
                                : next_ == 0 && !values_.is(Kind::kDict) && !values_.is(Kind::kList);
    if (leftover) rt_.budget.raise("not all arguments were converted in a % format");
    return make_string(std::move(out_));
  }

 private:
  char now() const { return pos_ < bytes_.size() ? bytes_[pos_] : '\0'; }

  Value argument() {
    if (values_.is(Kind::kList) && values_.list().flavour == Flavour::kTuple) {
      if (next_ < values_.list().items.size()) return values_.list().items[next_++];
    } else if (next_++ == 0) {
      return values_;
    }
    rt_.budget.raise("not enough arguments for a % format");
    return Value::none();
  }

  int64_t number() {
    if (now() == '*') {
      ++pos_;
      return integer_or(rt_, argument(), 0);
    }
    int64_t n = 0;
    for (; now() >= '0' && now() <= '9'; ++pos_) n = std::min<int64_t>(n * 10 + now() - '0', kMaxWidth + 1);
    return n;
  }

  void directive(size_t mark) {
    Spec spec;
    bool mapped = false;
    if (now() == '(') {
      const size_t close = bytes_.find(')', pos_);
      if (close == bytes_.npos || !values_.is(Kind::kDict)) return rt_.budget.raise("a % format needs a mapping");
      const Value* found = values_.dict().find(bytes_.substr(pos_ + 1, close - pos_ - 1));
      if (found == nullptr) return rt_.budget.raise("a % format names a missing key");
      spec.value = *found;
      mapped = true;
      pos_ = close + 1;
    }
    for (;; ++pos_) {
      if (now() == '-')
        spec.left = true;
      else if (now() == '0')
        spec.zero = true;
      else if (now() == '+')
        spec.plus = true;
      else if (now() == ' ')
        spec.space = true;
      else
        break;
    }
    spec.width = number();
    if (spec.width < 0) spec.left = true;
    spec.width = spec.width < 0 ? -std::max(spec.width, -kMaxWidth - 1) : spec.width;
    if (now() == '.') {
      ++pos_;
      spec.precision = std::max<int64_t>(number(), 0);
    }
    if (spec.width > kMaxWidth || spec.precision > 400)
      return rt_.budget.fail(Code::kUnsupported, "a % format is wider than {}", kMaxWidth);
    spec.conversion = now();
    ++pos_;
    if (spec.conversion == '%') return out_.append("%", format_.literal_at(mark));
    if (!mapped) spec.value = argument();
    if (rt_.budget.ok()) convert(spec);
  }

  void convert(const Spec& spec) {
    switch (spec.conversion) {
      case 's':
      case 'r': return text(spec);
      case 'd':
      case 'i':
      case 'u':
      case 'x':
      case 'X':
      case 'o': return integer(spec);
      case 'f':
      case 'F': return real(spec);
      default: rt_.budget.fail(Code::kUnsupported, "a % format has an unsupported conversion");
    }
  }

  void text(const Spec& spec) {
    TextBuilder whole(rt_.budget);
    if (spec.conversion == 's') {
      write_str(rt_, spec.value, whole);
    } else {
      write_repr(rt_, spec.value, whole);
    }
    Value shown = make_string(std::move(whole));
    if (spec.precision >= 0) shown = slice(rt_, shown, Value::none(), Value::integer(spec.precision), Value::none());
    if (!rt_.budget.ok()) return;
    const int64_t missing = std::max<int64_t>(spec.width - length_in_characters(shown.string()), 0);
    const std::string padding(static_cast<size_t>(missing), ' ');
    if (!spec.left) out_.append(padding, true);
    out_.append(shown.text());
    if (spec.left) out_.append(padding, true);
  }

  void integer(const Spec& spec) {
    const bool decimal = spec.conversion == 'd' || spec.conversion == 'i' || spec.conversion == 'u';
    int64_t value = 0;
    if (spec.value.is_integer()) {
      value = spec.value.integer();
    } else if (decimal && spec.value.is(Kind::kFloat) && std::fabs(spec.value.real()) < 9.2e18) {
      value = static_cast<int64_t>(spec.value.real());
    } else {
      return rt_.budget.raise("a % format needs a number, found {}", type_name(spec.value));
    }
    const uint64_t magnitude = value < 0 ? 0 - static_cast<uint64_t>(value) : static_cast<uint64_t>(value);
    std::string digits = spec.conversion == 'x'   ? fmt::format("{:x}", magnitude)
                         : spec.conversion == 'X' ? fmt::format("{:X}", magnitude)
                         : spec.conversion == 'o' ? fmt::format("{:o}", magnitude)
                                                  : fmt::format("{}", magnitude);
    if (static_cast<int64_t>(digits.size()) < spec.precision)
      digits.insert(0, static_cast<size_t>(spec.precision) - digits.size(), '0');
    padded(spec, value < 0, digits);
  }

  void real(const Spec& spec) {
    if (!spec.value.is_number()) return rt_.budget.raise("a % format needs a number, found {}", type_name(spec.value));
    const double value = spec.value.real();
    char buffer[800];
    const auto printed = std::to_chars(buffer, buffer + sizeof buffer, std::fabs(value), std::chars_format::fixed,
                                       spec.precision < 0 ? 6 : static_cast<int>(spec.precision));
    padded(spec, std::signbit(value) && !std::isnan(value), std::string(buffer, printed.ptr));
  }

  void padded(const Spec& spec, bool negative, const std::string& digits) {
    const std::string sign = negative ? "-" : spec.plus ? "+" : spec.space ? " " : "";
    const auto size = static_cast<int64_t>(sign.size() + digits.size());
    const auto missing = static_cast<size_t>(std::max<int64_t>(spec.width - size, 0));
    if (spec.left) return out_.append(sign + digits + std::string(missing, ' '), true);
    if (spec.zero) return out_.append(sign + std::string(missing, '0') + digits, true);
    out_.append(std::string(missing, ' ') + sign + digits, true);
  }

  Runtime& rt_;
  const Text& format_;
  std::string_view bytes_;
  const Value& values_;
  TextBuilder out_;
  size_t pos_ = 0;
  size_t next_ = 0;
};

}  // namespace

Value format_percent(Runtime& rt, const Text& format, const Value& values) {
  return Formatter(rt, format, values).run();
}

}  // namespace kette::jinja
