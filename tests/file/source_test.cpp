// Files and memory as sources of bytes.
#include "file/source.h"

#include <doctest/doctest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <thread>

#include "file/printable.h"

using namespace kette;

namespace {

// A file of its own in the system's temporary folder, removed at the end.
struct TemporaryFile {
  explicit TemporaryFile(const std::string& content) {
    std::string pattern = (std::filesystem::temp_directory_path() / "kette-source-XXXXXX").string();
    const int fd = mkstemp(pattern.data());
    REQUIRE(fd >= 0);
    close(fd);
    path = pattern;
    std::ofstream(path, std::ios::binary) << content;
  }
  ~TemporaryFile() { std::filesystem::remove(path); }
  std::string path;
};

std::string read(const Source& s, uint64_t offset, size_t n) {
  std::string out(n, '?');
  const Status status = s.read_at(offset, std::as_writable_bytes(std::span(out)));
  return status.ok() ? out : "";
}

void check_bytes(const Source& s, bool maps) {
  CHECK(s.size() == 10);
  CHECK(read(s, 0, 10) == "0123456789");
  CHECK(read(s, 7, 3) == "789");
  CHECK(s.read_at(10, {}).ok());
  for (const uint64_t offset : {uint64_t{8}, uint64_t{11}, UINT64_MAX, UINT64_MAX - 1}) {
    std::byte out[3];
    CHECK(s.read_at(offset, out).code() == Code::kIo);
    CHECK(s.map(offset, 3) == nullptr);
  }
  CHECK(s.map(3, UINT64_MAX) == nullptr);
  if (maps)
    CHECK(std::string(reinterpret_cast<const char*>(s.map(3, 4)), 4) == "3456");
  else
    CHECK(s.map(3, 4) == nullptr);
}

}  // namespace

TEST_CASE("source: a file mapped, a file read, memory") {
  const TemporaryFile file("0123456789");
  for (const Access access : {Access::kMap, Access::kRead}) {
    const auto s = open_path(file.path, access);
    REQUIRE_MESSAGE(s.ok(), s.status().message());
    CHECK((*s)->name() == file.path);
    check_bytes(**s, access == Access::kMap);
  }
  const std::string text = "0123456789";
  check_bytes(*open_memory(std::as_bytes(std::span(text)), "text"), true);
}

TEST_CASE("source: an empty file") {
  const TemporaryFile file("");
  for (const Access access : {Access::kMap, Access::kRead}) {
    const auto s = open_path(file.path, access);
    REQUIRE(s.ok());
    CHECK((*s)->size() == 0);
    CHECK((*s)->map(0, 1) == nullptr);
  }
}

TEST_CASE("source: a file that shrank is an error, mapped or not") {
  const TemporaryFile file("0123456789");
  for (const Access access : {Access::kMap, Access::kRead}) {
    std::ofstream(file.path, std::ios::binary) << "0123456789";
    const auto s = open_path(file.path, access);
    REQUIRE(s.ok());
    std::filesystem::resize_file(file.path, 4);
    std::byte out[10];
    const Status status = (*s)->read_at(0, out);
    CHECK(status.code() == Code::kIo);
    CHECK(status.message().find("ends at 4, had 10 bytes") != std::string::npos);
    CHECK(read(**s, 0, 4) == "0123");
  }
}

TEST_CASE("source: what cannot be opened") {
  const TemporaryFile file("0123456789");
  const auto absent = open_path(file.path + ".absent", Access::kMap);
  CHECK(absent.status().code() == Code::kNotFound);
  CHECK(absent.status().os_code() == ENOENT);
  CHECK(absent.status().message().find(".absent: open: ") != std::string::npos);
  CHECK(open_path("", Access::kRead).status().code() == Code::kNotFound);
  CHECK(open_path(std::string("a\0b", 3), Access::kRead).status().code() == Code::kInvalidArgument);
  CHECK(open_path(file.path + "/x", Access::kRead).status().os_code() == ENOTDIR);
  CHECK(open_path(std::filesystem::temp_directory_path().string(), Access::kRead).status().code() == Code::kIo);
  const std::string fifo = file.path + ".fifo";
  REQUIRE(mkfifo(fifo.c_str(), 0600) == 0);
  CHECK(open_path(fifo, Access::kMap).status().message().find("not a regular file") != std::string::npos);
  std::filesystem::remove(fifo);
}

TEST_CASE("source: many readers at once") {
  std::string content;
  for (int i = 0; i < 100'000; ++i) content += std::to_string(i % 10);
  const TemporaryFile file(content);
  const auto s = open_path(file.path, Access::kRead);
  REQUIRE(s.ok());
  std::vector<size_t> wrong(4);
  std::vector<std::thread> threads;
  for (size_t t = 0; t < wrong.size(); ++t) {
    threads.emplace_back([&, t] {
      for (size_t at = t; at + 1000 < content.size(); at += 997) {
        wrong[t] += read(**s, at, 1000) != content.substr(at, 1000);
      }
    });
  }
  for (auto& thread : threads) thread.join();
  for (const size_t n : wrong) CHECK(n == 0);
}

TEST_CASE("printable: what a message may show of a file") {
  CHECK(printable("abc") == "abc");
  CHECK(printable("a\n\x1b\x7f") == "a\\x0a\\x1b\\x7f");
  CHECK(printable("\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80") == "\xc3\xa4 \xe2\x82\xac \xf0\x9f\x98\x80");
  CHECK(printable("\xc3") == "\\xc3");                                      // cut short
  CHECK(printable("\xc0\xaf\xe0\x80\xaf") == "\\xc0\\xaf\\xe0\\x80\\xaf");  // overlong
  CHECK(printable("\xed\xa0\x80") == "\\xed\\xa0\\x80");                    // a surrogate
  CHECK(printable("\xf4\x90\x80\x80") == "\\xf4\\x90\\x80\\x80");           // above U+10FFFF
  CHECK(printable("\xc2\x9b") == "\\xc2\\x9b");                             // a C1 control
  CHECK(printable("\xc3\xa4\xc3\xa4", 3) == "\xc3\xa4...");
  CHECK(printable(std::string(1000, 'x'), 10) == "xxxxxxxxxx...");
  CHECK(file_label("/a/b/model.gguf") == "model.gguf");
  CHECK(file_label("model.gguf") == "model.gguf");
}
