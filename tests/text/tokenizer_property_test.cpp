// Properties that hold for any bytes, and the time and stack that the worst of them take.
#include <doctest/doctest.h>
#include <pthread.h>

#include <chrono>
#include <random>

#include "tests/text/tokenizer_support.h"
#include "text/nfc.h"

namespace kette::test {
namespace {

std::string random_bytes(std::mt19937& random, size_t size) {
  static const std::string_view parts[] = {" ",
                                           "  ",
                                           "\n",
                                           "'s",
                                           "'LL",
                                           "a",
                                           "the",
                                           "12",
                                           "1234",
                                           "\xC3\xA9",
                                           "e\xCC\x81",
                                           "中文",
                                           "かな",
                                           "\xF0\x9F\x98\x80",
                                           "!?",
                                           "<|im_end|>",
                                           "\xE2\x80",
                                           "\xFF",
                                           "\xED\xA0\x80",
                                           "\xCC\xA3\xCC\x81",
                                           "\xE1\x84\x80\xE1\x85\xA1",
                                           "\r\n",
                                           "\t",
                                           "==="};
  std::string out;
  while (out.size() < size) {
    if (random() % 4 == 0)
      out += static_cast<char>(random());
    else
      out += parts[random() % std::size(parts)];
  }
  return out;
}

// DeepSeek-V2 has no tokens for bytes that UTF-8 never has.
std::string without_strange_bytes(const std::string& key, std::string text) {
  if (key == "deepseek_v2")
    std::erase_if(text, [](char c) {
      const auto byte = static_cast<unsigned char>(c);
      return byte == 0xC0 || byte == 0xC1 || byte > 0xF4;
    });
  return text;
}

TEST_CASE("decode(encode(x)) == x for any bytes, or NFC(x) where the tokenizer normalizes") {
  std::mt19937 random(7);
  for (const std::string key : kReferenceTokenizers) {
    const Tokenizer& tokenizer = reference_tokenizer(key);
    for (int i = 0; i < 300; ++i) {
      const std::string text = without_strange_bytes(key, random_bytes(random, random() % 200));
      const bool special = i % 2 == 0;
      const auto ids = tokenizer.encode(text, false, special);
      REQUIRE(ids.ok());
      const std::string back = *tokenizer.decode(*ids);
      if (key == "qwen3" && !special) CHECK(back == to_nfc(text));
      if (key != "qwen3") CHECK(back == text);
    }
  }
}

TEST_CASE("one stretch cut into spans has the tokens of the whole") {
  std::mt19937 random(8);
  const Tokenizer& tokenizer = reference_tokenizer("qwen3");
  for (int i = 0; i < 200; ++i) {
    const std::string text = random_bytes(random, 100);
    const bool special = i % 2 == 0;
    std::vector<TextSpan> spans;
    for (size_t at = 0; at < text.size();) {
      const size_t size = random() % 9;
      spans.push_back({std::string_view(text).substr(at, size), special});
      at += size;
    }
    CHECK(*tokenizer.encode(spans, false) == *tokenizer.encode(text, false, special));
  }
}

TEST_CASE("long texts and words have the tokens of short ones") {
  // The word cache and the queue for long words start at certain sizes; neither may show.
  std::mt19937 random(9);
  for (const std::string key : kReferenceTokenizers) {
    const Tokenizer& tokenizer = reference_tokenizer(key);
    std::string text;
    std::vector<Token> expected;
    for (int i = 0; i < 400; ++i) {
      std::string line;
      for (size_t n = random() % 12 + 1; n > 0; --n) line += static_cast<char>('a' + random() % 3 * (random() % 9));
      line += " x" + std::to_string(random() % 50) + "\n";
      text += line;
      const auto ids = tokenizer.encode(line, false, false);
      expected.insert(expected.end(), ids->begin(), ids->end());
    }
    CHECK(*tokenizer.encode(text, false, false) == expected);
  }
}

TEST_CASE("ids outside the vocabulary are refused") {
  const Tokenizer& tokenizer = reference_tokenizer("llama3_1");
  for (const Token bad : {Token{-1}, Token{128256}, INT32_MAX, INT32_MIN}) {
    const Token ids[] = {5, bad};
    CHECK(tokenizer.decode(ids).status().code() == Code::kInvalidArgument);
    CHECK(tokenizer.bytes_of(bad).empty());
    CHECK_FALSE(tokenizer.is_special(bad));
  }
}

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr size_t kStack = 1 << 20;  // sanitizers' frames are larger
constexpr size_t kHostileBytes = 1 << 20;
#else
constexpr size_t kStack = 64 << 10;
constexpr size_t kHostileBytes = 8 << 20;
#endif

void* encode_hostile_texts(void* failures) {
  const std::string units[] = {"a", " ",          "\n ", "\xFF",         "\xCC\x81\xCC\xA3",
                               "'", "<|im_start", "1",   "\xE3\x81\x82", "ab\xC3"};
  for (const std::string key : kReferenceTokenizers) {
    const Tokenizer& tokenizer = reference_tokenizer(key);
    // The worst kind of each tokenizer's words at full size, the rest smaller to keep the test short.
    for (const std::string& unit : units) {
      const size_t size = unit == "a" || unit == " " ? kHostileBytes : kHostileBytes / 8;
      std::string text;
      while (text.size() < size) text += unit;
      text = without_strange_bytes(key, std::move(text));
      const auto ids = tokenizer.encode(text, false, true);
      const bool normalizes = key == "qwen3" && unit[0] == '\xCC';
      if (!ids.ok() || (!normalizes && *tokenizer.decode(*ids) != text)) ++*static_cast<int*>(failures);
    }
  }
  return nullptr;
}

TEST_CASE("hostile texts take linear time and a 64 KiB stack") {
  for (const std::string key : kReferenceTokenizers) reference_tokenizer(key);
  pthread_attr_t attributes;
  REQUIRE(pthread_attr_init(&attributes) == 0);
  REQUIRE(pthread_attr_setstacksize(&attributes, kStack) == 0);
  int failures = 0;
  const auto start = std::chrono::steady_clock::now();
  pthread_t thread;
  REQUIRE(pthread_create(&thread, &attributes, encode_hostile_texts, &failures) == 0);
  REQUIRE(pthread_join(thread, nullptr) == 0);
  pthread_attr_destroy(&attributes);
  CHECK(failures == 0);
  // About 30 s in all on a slow core; quadratic time would be hours.
  CHECK(std::chrono::steady_clock::now() - start < std::chrono::minutes(10));
}

}  // namespace
}  // namespace kette::test
