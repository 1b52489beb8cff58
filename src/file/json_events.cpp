#include "file/json_events.h"

#include <nlohmann/json.hpp>

namespace kette {
namespace {

using nlohmann::json;

class Adapter final : public nlohmann::json_sax<json> {
 public:
  explicit Adapter(JsonEvents& events) : events_(events) {}

  Status status;

  bool null() override { return value(nullptr); }
  bool boolean(bool v) override { return value(v); }
  bool number_integer(number_integer_t v) override { return value(v); }
  bool number_unsigned(number_unsigned_t v) override {
    return v <= INT64_MAX ? value(static_cast<int64_t>(v)) : value(static_cast<double>(v));
  }
  bool number_float(number_float_t v, const string_t&) override { return value(v); }
  bool string(string_t& v) override { return value(std::move(v)); }
  bool binary(binary_t&) override { return goes_on(error(Code::kFormat, "JSON: a binary value")); }
  bool key(string_t& name) override { return goes_on(events_.key(std::move(name))); }
  bool start_object(size_t) override { return begin(true); }
  bool start_array(size_t) override { return begin(false); }
  bool end_object() override { return end(); }
  bool end_array() override { return end(); }
  bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception&) override {
    return goes_on(error(Code::kFormat, "not valid JSON at byte {}", position));
  }

 private:
  bool goes_on(Status next) {
    if (!next.ok()) status = std::move(next);
    return status.ok();
  }
  bool value(JsonScalar v) {
    if (depth_ == 0) return goes_on(error(Code::kFormat, "JSON: expected an object"));
    return goes_on(events_.value(std::move(v)));
  }
  bool begin(bool object) {
    if (depth_ == 0 && !object) return goes_on(error(Code::kFormat, "JSON: expected an object"));
    if (++depth_ > kJsonDepth) return goes_on(error(Code::kFormat, "JSON nested deeper than {}", kJsonDepth));
    return goes_on(events_.begin(object));
  }
  bool end() {
    --depth_;
    return goes_on(events_.end());
  }

  JsonEvents& events_;
  size_t depth_ = 0;
};

}  // namespace

Status read_json(std::string_view text, JsonEvents& events) {
  // The parser would take a zero byte for the end of the text.
  if (const size_t zero = text.find('\0'); zero != std::string_view::npos) {
    return error(Code::kFormat, "not valid JSON at byte {}", zero + 1);
  }
  Adapter adapter(events);
  const bool whole = json::sax_parse(text.begin(), text.end(), &adapter);
  if (!whole && adapter.status.ok()) return error(Code::kFormat, "not valid JSON");
  return std::move(adapter.status);
}

}  // namespace kette
