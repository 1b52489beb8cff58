// What the tokenizer tests share: the reference tokenizers, a tiny one made here, and replacement of broken UTF-8.
#pragma once

#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

#include "tests/support/golden.h"
#include "text/tokenizer.h"
#include "text/unicode.h"

namespace kette::test {

inline constexpr const char* kReferenceTokenizers[] = {"deepseek_v2", "deepseek_v3", "qwen3", "llama3_1"};

// The first of the golden folders' files of that name; empty path if none has it.
inline std::filesystem::path find_golden(const std::string& name) {
  for (const auto& root : golden_roots())
    if (std::filesystem::exists(root / name)) return root / name;
  return {};
}

inline nlohmann::json golden_json(const std::string& name) {
  return nlohmann::json::parse(read_file(find_golden(name)));
}

inline std::string reference_json(const std::string& key) {
  const auto beside = find_golden("tokenizer/" + key + ".tokenizer.json");
  if (!beside.empty()) return read_file(beside);
#ifdef KETTE_UNPACKED_DIR
  return read_file(std::filesystem::path(KETTE_UNPACKED_DIR) / (key + ".tokenizer.json"));
#else
  throw std::runtime_error("no unpacked tokenizer " + key);
#endif
}

inline Tokenizer make_tokenizer(std::string_view json, std::string_view config = "") {
  auto made = Tokenizer::from_json(json, config);
  if (!made.ok()) throw std::runtime_error(made.status().message());
  return std::move(*made);
}

// Without tokenizer_config.json, as the goldens were made. Loaded once in a test program.
inline const Tokenizer& reference_tokenizer(const std::string& key) {
  static std::map<std::string, Tokenizer> loaded;
  const auto found = loaded.find(key);
  if (found != loaded.end()) return found->second;
  return loaded.emplace(key, make_tokenizer(reference_json(key))).first->second;
}

// Tokens for the 256 bytes (id = place in GPT-2's byte order), then "Ġa" (256) = Ġ + a, and what a test adds.
inline nlohmann::json tiny_tokenizer_json() {
  nlohmann::json vocabulary = nlohmann::json::object();
  const auto itself = [](int b) { return (b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b <= 0xAC) || b >= 0xAE; };
  const auto spell = [](int c) {
    if (c < 0x80) return std::string(1, static_cast<char>(c));
    return std::string{static_cast<char>(0xC0 | c >> 6), static_cast<char>(0x80 | (c & 0x3F))};
  };
  int shifted = 0x100;
  for (int b = 0; b < 256; ++b) vocabulary[spell(itself(b) ? b : shifted++)] = b;
  vocabulary["Ġa"] = 256;
  nlohmann::json json;
  json["model"] = {{"type", "BPE"}, {"vocab", vocabulary}, {"merges", {"Ġ a"}}};
  json["pre_tokenizer"] = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", true}};
  json["decoder"] = {{"type", "ByteLevel"}};
  json["added_tokens"] = nlohmann::json::array();
  return json;
}

inline nlohmann::json added_token(int id, const std::string& content, bool special) {
  return {{"id", id},        {"content", content}, {"special", special},  {"normalized", false},
          {"lstrip", false}, {"rstrip", false},    {"single_word", false}};
}

// Broken UTF-8 -> U+FFFD, one for each maximal part of a sequence (Unicode 3.9, as Python and Rust do).
inline std::string replace_broken(std::string_view bytes) {
  std::string out;
  for (size_t i = 0; i < bytes.size();) {
    const CodePoint c = decode_utf8(bytes, i);
    if (c.value != kInvalidByte) {
      out.append(bytes, i, c.bytes);
      i += c.bytes;
      continue;
    }
    const auto byte = [&](size_t k) { return k < bytes.size() ? static_cast<unsigned char>(bytes[k]) : 0u; };
    const unsigned first = byte(i);
    const size_t length = first >= 0xF0 && first <= 0xF4 ? 4 : first >= 0xE0 && first < 0xF0 ? 3 : 1;
    const unsigned low = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
    const unsigned high = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
    size_t taken = 1;
    if (length > 1 && byte(i + 1) >= low && byte(i + 1) <= high)
      for (taken = 2; taken < length && (byte(i + taken) & 0xC0) == 0x80;) ++taken;
    out += "\xEF\xBF\xBD";
    i += taken;
  }
  return out;
}

}  // namespace kette::test
