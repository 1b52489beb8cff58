// Prints what masks cost with a real vocabulary: grammar_bench TOKENIZER.json [SCHEMA.json TEXT]...
// Each grammar is followed along a text, token by token, twice: the first time states and masks are found, the second
// time they are known.
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "sample/grammar_matcher.h"
#include "text/tokenizer.h"

namespace {

using Clock = std::chrono::steady_clock;

std::string read(const char* path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

double microseconds_since(Clock::time_point start) {
  return std::chrono::duration<double, std::micro>(Clock::now() - start).count();
}

void follow(const kette::Tokenizer& tokenizer, const std::shared_ptr<const kette::Constraint>& constraint,
            const char* name, const char* pass, const std::string& text) {
  kette::GrammarMatcher matcher(constraint);
  std::vector<uint32_t> bits(constraint->tokens().mask_words());
  std::vector<double> masks;
  double accepting = 0;
  const auto ids = tokenizer.encode(text, false, false);
  for (const kette::Token id : *ids) {
    auto start = Clock::now();
    const kette::Status filled = matcher.fill_mask(bits);
    masks.push_back(microseconds_since(start));
    const bool in_mask = (bits[static_cast<size_t>(id) / 32] >> (id % 32) & 1) != 0;
    start = Clock::now();
    const kette::Status taken = matcher.accept_token(id);
    accepting += microseconds_since(start);
    if (!filled.ok() || !taken.ok() || !in_mask) {
      std::printf("%-22s the text is not of the grammar: %s\n", name, taken.message().c_str());
      return;
    }
  }
  std::sort(masks.begin(), masks.end());
  double sum = 0;
  for (const double m : masks) sum += m;
  const auto n = masks.size();
  std::printf("%-22s %-6s %4zu tokens  mask: mean %7.1f median %7.1f 99%% %7.1f most %7.1f us   accept %5.2f us\n",
              name, pass, n, sum / static_cast<double>(n), masks[n / 2], masks[n * 99 / 100], masks[n - 1],
              accepting / static_cast<double>(n));
}

void measure(const kette::Tokenizer& tokenizer, const std::shared_ptr<const kette::TokenIndex>& index, const char* name,
             const std::string& schema, const std::string& text) {
  const auto start = Clock::now();
  const auto grammar = kette::Grammar::from_json_schema(schema);
  const double compile = microseconds_since(start);
  if (!grammar.ok()) {
    std::printf("%-22s %s\n", name, grammar.status().message().c_str());
    return;
  }
  const auto constraint = kette::Constraint::make(*grammar, index);
  std::printf("%-22s compiled in %.1f ms\n", name, compile / 1e3);
  follow(tokenizer, *constraint, name, "first", text);
  follow(tokenizer, *constraint, name, "again", text);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::printf("grammar_bench TOKENIZER.json [SCHEMA.json TEXT]...\n");
    return 2;
  }
  const auto tokenizer = kette::Tokenizer::from_json(read(argv[1]), "");
  if (!tokenizer.ok()) {
    std::printf("%s\n", tokenizer.status().message().c_str());
    return 1;
  }
  const auto start = Clock::now();
  const auto index = kette::TokenIndex::build(
      tokenizer->vocab_size(),
      [&](kette::Token t) { return tokenizer->is_special(t) ? std::string_view() : tokenizer->bytes_of(t); },
      tokenizer->end_of_generation());
  std::printf("%zu tokens, index built in %.0f ms\n", tokenizer->vocab_size(), microseconds_since(start) / 1e3);
  for (int i = 2; i + 1 < argc; i += 2) measure(*tokenizer, *index, argv[i], read(argv[i]), read(argv[i + 1]));
  if (argc > 2) return 0;

  const std::string words = "The quick brown fox jumps over the lazy dog \\\"again\\\" and again, na\xC3\xAFvely.\\n";
  std::string long_text, deep, list = "[";
  for (int i = 0; i < 40; ++i) long_text += words;
  for (int i = 0; i < 1000; ++i) deep += i % 2 == 0 ? "[" : "{\"a\": ";
  deep += "1";
  for (int i = 1000; i-- > 0;) deep += i % 2 == 0 ? "]" : "}";
  for (int i = 0; i < 200; ++i)
    list += (i > 0 ? ", " : "") + std::string("{\"id\": ") + std::to_string(i * 37) + ", \"name\": \"item number " +
            std::to_string(i) + "\", \"price\": 12.5, \"tags\": [\"a\", \"new\"]}";
  measure(*tokenizer, *index, "any JSON, deep", "{}", deep);
  measure(*tokenizer, *index, "long string", "{\"type\":\"string\"}", "\"" + long_text + "\"");
  measure(*tokenizer, *index, "string to 5000", "{\"type\":\"string\",\"maxLength\":5000}", "\"" + long_text + "\"");
  measure(*tokenizer, *index, "words by pattern", "{\"pattern\":\"^[A-Za-z .,]*$\"}",
          "\"The quick brown fox jumps over the lazy dog.\"");
  measure(*tokenizer, *index, "list of objects",
          R"({"type":"array","items":{"type":"object","properties":{"id":{"type":"integer"},"name":{"type":"string"},
          "price":{"type":"number","minimum":0},"tags":{"type":"array","items":{"type":"string","maxLength":20}}},
          "required":["id","name"]}})",
          list + "]");
  return 0;
}
