// Prints load time and encode/decode throughput: tokenizer_bench TOKENIZER.json TEXT_FILE [MEGABYTES]
// The text is repeated up to the size; then come single words and runs of that size, the worst cases for merging.
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <string>

#include "text/tokenizer.h"

namespace {

std::string read(const char* path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

std::string repeated(const std::string& unit, size_t bytes) {
  std::string out;
  while (!unit.empty() && out.size() < bytes) out += unit;
  return out.substr(0, bytes);
}

void measure(const kette::Tokenizer& tokenizer, const char* name, const std::string& text) {
  const auto start = std::chrono::steady_clock::now();
  const auto tokens = tokenizer.encode(text, false, true);
  const double encode = seconds_since(start);
  if (!tokens.ok()) {
    std::printf("%-16s %s\n", name, tokens.status().message().c_str());
    return;
  }
  const auto decode_start = std::chrono::steady_clock::now();
  const auto bytes = tokenizer.decode(*tokens);
  const double decode = seconds_since(decode_start);
  const double megabytes = static_cast<double>(text.size()) / 1e6;
  std::printf("%-16s %8.1f MB/s encode %8.1f MB/s decode   %zu tokens%s\n", name, megabytes / encode,
              megabytes / decode, tokens->size(), bytes.ok() && *bytes == text ? "" : "   (normalized)");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 3) {
    std::printf("tokenizer_bench TOKENIZER.json TEXT_FILE [MEGABYTES]\n");
    return 2;
  }
  const std::string json = read(argv[1]);
  const size_t bytes = (argc > 3 ? std::strtoul(argv[3], nullptr, 10) : 8) << 20;
  const auto start = std::chrono::steady_clock::now();
  const auto tokenizer = kette::Tokenizer::from_json(json, "");
  std::printf("load %.0f ms\n", seconds_since(start) * 1e3);
  if (!tokenizer.ok()) {
    std::printf("%s\n", tokenizer.status().message().c_str());
    return 1;
  }
  const std::string text = read(argv[2]);
  measure(*tokenizer, "text once", text);
  measure(*tokenizer, "text", repeated(text, bytes));
  measure(*tokenizer, "'a' run", repeated("a", bytes));
  measure(*tokenizer, "spaces", repeated(" ", bytes));
  measure(*tokenizer, "letters", [&] {
    std::string letters(bytes, 'a');
    uint32_t state = 1;
    for (char& c : letters) c = static_cast<char>('a' + ((state = state * 1664525 + 1013904223) >> 24) % 26);
    return letters;
  }());
  measure(*tokenizer, "byte 0xFF run", repeated("\xFF", bytes));
  measure(*tokenizer, "combining marks", repeated("\xCC\x81\xCC\xA3", bytes));
}
