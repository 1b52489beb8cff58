// A new file is there whole or not at all, whoever else writes it.
#include "file/new_file.h"

#include <doctest/doctest.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>

#include "support/folder.h"
#include "support/golden.h"

using namespace kette;
using namespace kette::test;

namespace {

std::span<const std::byte> bytes(const std::string& text) { return std::as_bytes(std::span(text)); }

using Names = std::set<std::string>;

}  // namespace

TEST_CASE("new file: seen once it is kept") {
  const Folder folder;
  const std::string path = folder / "model";
  write_file(path, "old");
  {
    auto file = NewFile::create(path, 6);
    REQUIRE_MESSAGE(file.ok(), file.status().message());
    CHECK((*file)->write_at(3, bytes("def")).ok());
    CHECK((*file)->write_at(4, bytes("def")).code() == Code::kInternal);
    CHECK((*file)->write_at(7, {}).code() == Code::kInternal);
    CHECK(read_file(path) == "old");
    CHECK(folder.names() == Names{"model", "model.0.part"});
    CHECK((*file)->write_at(0, bytes("abc")).ok());
    CHECK((*file)->keep().ok());
  }
  CHECK(read_file(path) == "abcdef");
  CHECK(folder.names() == Names{"model"});
}

TEST_CASE("new file: left, nothing of it stays") {
  const Folder folder;
  { CHECK(NewFile::create(folder / "model", 100).ok()); }
  CHECK(folder.names().empty());
  { CHECK(NewFile::create(folder / "empty", 0).ok()); }
  CHECK(folder.names().empty());
}

TEST_CASE("new file: two at once, and what a killed process left") {
  const Folder folder;
  const std::string path = folder / "model";
  write_file(path + ".0.part", "left behind, and longer than the file");
  auto a = NewFile::create(path, 1), b = NewFile::create(path, 1);
  REQUIRE(a.ok());
  REQUIRE(b.ok());
  CHECK(folder.names() == Names{"model.0.part", "model.1.part"});
  CHECK((*a)->write_at(0, bytes("a")).ok());
  CHECK((*b)->write_at(0, bytes("b")).ok());
  CHECK((*b)->keep().ok());
  CHECK(read_file(path) == "b");
  CHECK((*a)->keep().ok());
  CHECK(read_file(path) == "a");
  CHECK(folder.names() == Names{"model"});
}

TEST_CASE("new file: names that are no files of ours are left alone") {
  const Folder folder;
  const std::string path = folder / "model";
  write_file(folder / "precious", "precious");
  std::filesystem::create_symlink(folder / "precious", path + ".0.part");
  std::filesystem::create_hard_link(folder / "precious", path + ".1.part");
  std::filesystem::create_directory(path + ".2.part");
  {
    auto file = NewFile::create(path, 1);
    REQUIRE_MESSAGE(file.ok(), file.status().message());
    CHECK((*file)->write_at(0, bytes("x")).ok());
    CHECK((*file)->keep().ok());
  }
  CHECK(read_file(folder / "precious") == "precious");
  CHECK(folder.names() == Names{"model", "model.0.part", "model.1.part", "model.2.part", "precious"});
}

TEST_CASE("new file: what cannot be made says why") {
  const Folder folder;
  CHECK(NewFile::create(folder / "no/such", 1).status().code() == Code::kNotFound);
  write_file(folder / "file", "");
  const Status no_folder = NewFile::create(folder / "file/model", 1).status();
  CHECK(no_folder.code() == Code::kIo);
  CHECK(no_folder.os_code() == ENOTDIR);
  CHECK(NewFile::create(std::string("a\0b", 3), 1).status().code() == Code::kInvalidArgument);

  // No room: the limit on file sizes stands for a full disk.
  rlimit before{}, small{};
  REQUIRE(getrlimit(RLIMIT_FSIZE, &before) == 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  small = before;
  small.rlim_cur = 1000;
  REQUIRE(setrlimit(RLIMIT_FSIZE, &small) == 0);
  const Status full = NewFile::create(folder / "model", 1 << 20).status();
  REQUIRE(setrlimit(RLIMIT_FSIZE, &before) == 0);
  std::signal(SIGXFSZ, handler);
  CHECK(full.code() == Code::kIo);
  CHECK(full.message().find("1048576") != std::string::npos);
  CHECK(folder.names() == Names{"file"});
}
