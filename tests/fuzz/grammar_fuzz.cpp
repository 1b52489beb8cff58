// A grammar's source, its kind by the first byte, and behind a zero byte a text. Where the grammar is made, the text is
// followed as far as it goes, and at each place the mask is what the tokens, asked one by one, say.
#include "fuzz/target.h"
#include "sample/grammar_matcher.h"

namespace {

std::shared_ptr<const kette::TokenIndex> vocabulary() {
  static const std::vector<std::string> tokens = [] {
    std::vector<std::string> out{""};
    for (int b = 0; b < 256; ++b) out.emplace_back(1, static_cast<char>(b));
    for (const char* word :
         {"ab", "{\"", "\":", "\": ", "true", "12", "\xC3\xA9", "\xE2\x82", "  ", "],", "}}", "hello world"})
      out.emplace_back(word);
    return out;
  }();
  const int32_t end = 0;
  auto built = kette::TokenIndex::build(
      tokens.size(), [](int32_t t) { return std::string_view(tokens[static_cast<size_t>(t)]); }, {&end, 1});
  kette::test::must(built.ok());
  return *built;
}

void compare(kette::GrammarMatcher& matcher) {
  const kette::TokenIndex& tokens = matcher.constraint().tokens();
  std::vector<uint32_t> bits(tokens.mask_words());
  const kette::Status filled = matcher.fill_mask(bits);
  if (!filled.ok()) {
    kette::test::must(filled.code() == kette::Code::kBudget);  // every byte is a token, so there is no dead end
    return;
  }
  for (size_t t = 0; t < tokens.size(); ++t) {
    kette::GrammarMatcher copy = matcher;
    const kette::Status taken = copy.accept_token(static_cast<int32_t>(t));
    const bool in_mask = (bits[t / 32] >> t % 32 & 1) != 0;
    kette::test::must(taken.code() == kette::Code::kBudget || taken.ok() == in_mask);
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const auto tokens = vocabulary();
  if (size == 0) return 0;
  const std::string_view rest = kette::test::as_text(data, size).substr(1);
  const size_t zero = rest.find('\0');
  const std::string_view source = rest.substr(0, zero), text = zero == rest.npos ? "" : rest.substr(zero + 1);
  const auto grammar = data[0] % 3 == 0   ? kette::Grammar::from_gbnf(source)
                       : data[0] % 3 == 1 ? kette::Grammar::from_json_schema(source)
                                          : kette::Grammar::from_regex(source);
  if (!grammar.ok()) return 0;
  const auto constraint = kette::Constraint::make(*grammar, tokens);
  if (!constraint.ok()) return 0;
  kette::GrammarMatcher matcher(*constraint);
  compare(matcher);
  for (size_t i = 0; i < text.size() && i < 64; ++i) {
    if (!matcher.accept(text.substr(i, 1)).ok()) break;
    compare(matcher);
  }
  return 0;
}
