// Models in several GGUF files.
#include <doctest/doctest.h>

#include <map>

#include "support/gguf_writer.h"

using namespace kette;
using namespace kette::test;

namespace {

constexpr int kCount = 3;

struct SplitSet {
  std::vector<GgufWriter> files{kCount};
  std::map<std::string, std::string> by_name;

  SplitSet() {
    for (int i = 0; i < kCount; ++i) {
      if (i == 0)
        files[0].set("general.architecture", "llama").set("k", "first");
      else
        files[static_cast<size_t>(i)].set("k", "later");
    }
  }
  SplitSet& numbers(size_t i, uint16_t no, uint16_t count, int32_t tensors) {
    files[i].set("split.no", no).set("split.count", count).set("split.tensors.count", tensors);
    return *this;
  }
  SplitSet& numbers() {
    for (size_t i = 0; i < kCount; ++i) numbers(i, static_cast<uint16_t>(i), kCount, kCount - 1);
    return *this;
  }
  // The first file has metadata only, as gguf-split can write it.
  SplitSet& tensors() {
    files[1].tensor("one", {4}, 0, "1111111111111111");
    files[2].tensor("two", {4}, 0, "2222222222222222");
    return *this;
  }
  Result<Gguf> open(std::string name = "dir/m-00001-of-00003.gguf", const GgufLimits& limits = {}) {
    for (size_t i = 0; i < kCount; ++i) by_name[fmt::format("m-0000{}-of-00003.gguf", i + 1)] = files[i].finish();
    const OpenSibling siblings = [this](const std::string& sibling) -> Result<std::unique_ptr<Source>> {
      const auto it = by_name.find(sibling);
      if (it == by_name.end()) return error(Code::kNotFound, "no such file");
      return open_memory(std::as_bytes(std::span(it->second)), sibling);
    };
    return open_gguf(by_name["m-00001-of-00003.gguf"], limits, siblings, std::move(name));
  }
};

void check_refused(const Status& status, Code code, std::string_view text) {
  CAPTURE(status.message());
  CHECK(status.code() == code);
  CHECK(status.message().find(text) != std::string::npos);
}

}  // namespace

TEST_CASE("gguf split: all files together") {
  SplitSet set;
  const auto g = set.numbers().tensors().open();
  REQUIRE_MESSAGE(g.ok(), g.status().message());
  CHECK(g->shard_count() == 3);
  CHECK(g->string("k") == "first");
  REQUIRE(g->tensors().size() == 2);
  const GgufTensor* two = g->find("two");
  REQUIRE(two != nullptr);
  CHECK(two->shard == 2);
  CHECK(g->shard(2).name() == "m-00003-of-00003.gguf");
  std::string data(16, ' ');
  REQUIRE(g->shard(2).read_at(two->offset, std::as_writable_bytes(std::span(data))).ok());
  CHECK(data == "2222222222222222");
}

TEST_CASE("gguf split: a set of one file needs no others") {
  for (const uint16_t count : {uint16_t{0}, uint16_t{1}}) {
    GgufWriter w;
    w.set<uint16_t>("split.no", 0).set("split.count", count).set<int32_t>("split.tensors.count", 1);
    const auto g = open_gguf(w.finish());
    REQUIRE(g.ok());
    CHECK(g->shard_count() == 1);
  }
}

TEST_CASE("gguf split: how it is opened") {
  SplitSet set;
  set.numbers().tensors();
  check_refused(set.open("m.gguf").status(), Code::kInvalidArgument, "expected the name NAME-00001-of-00003.gguf");
  check_refused(set.open("-00001-of-00003.gguf").status(), Code::kInvalidArgument, "expected the name");
  check_refused(set.open("m-00002-of-00003.gguf").status(), Code::kInvalidArgument, "expected the name");
  check_refused(set.open("other-00001-of-00003.gguf").status(), Code::kNotFound, "other-00002-of-00003.gguf: no such");
  check_refused(open_gguf(set.files[1].finish(), {}, {}, "m-00002-of-00003.gguf").status(), Code::kInvalidArgument,
                "file 2 of 3 of a split model, open the first");
  check_refused(open_gguf(set.files[0].finish(), {}, {}, "m-00001-of-00003.gguf").status(), Code::kUnsupported,
                "no way to open the others");
  const OpenSibling nothing = [](const std::string&) { return Result(std::unique_ptr<Source>()); };
  check_refused(open_gguf(set.files[0].finish(), {}, nothing, "m-00001-of-00003.gguf").status(), Code::kHost,
                "no file");
  GgufLimits limits;
  limits.max_splits = 2;
  check_refused(set.open("m-00001-of-00003.gguf", limits).status(), Code::kBudget, "split.count: 3, the limit is 2");
  limits = {};
  limits.max_tensors = 1;
  check_refused(set.open("m-00001-of-00003.gguf", limits).status(), Code::kBudget, "the limit is 1");
  limits = {};
  limits.max_metadata_bytes = set.files[0].header_size() + set.files[1].header_size();
  check_refused(set.open("m-00001-of-00003.gguf", limits).status(), Code::kBudget, "metadata");
}

TEST_CASE("gguf split: files that do not belong together") {
  check_refused(SplitSet().numbers(0, 0, 3, 2).numbers(1, 2, 3, 2).tensors().open().status(), Code::kCorrupt,
                "m-00002-of-00003.gguf: split.no 2");
  check_refused(SplitSet().numbers(0, 0, 3, 2).numbers(1, 1, 4, 2).tensors().open().status(), Code::kCorrupt,
                "split.count 4");
  check_refused(SplitSet().numbers(0, 0, 3, 2).numbers(1, 1, 3, 9).tensors().open().status(), Code::kCorrupt,
                "split.tensors.count 9");
  check_refused(SplitSet().numbers(0, 0, 3, 2).tensors().open().status(), Code::kCorrupt, "m-00002-of-00003.gguf");
  check_refused(SplitSet().numbers(0, 3, 3, 2).open().status(), Code::kCorrupt, "split.no 3");
  check_refused(SplitSet().numbers(0, 0, 3, -1).open().status(), Code::kCorrupt, "split.tensors.count -1");
  check_refused(SplitSet().numbers().open().status(), Code::kCorrupt, "0 tensors in 3 files, split.tensors.count is 2");
  SplitSet twice;
  twice.numbers().tensors().files[1].tensor("two", {1}, 0, "3333");
  check_refused(twice.open().status(), Code::kCorrupt, "3 tensors in 3 files");
  SplitSet same;
  same.numbers();
  same.files[1].tensor("t", {1}, 0, "1111");
  same.files[2].tensor("t", {1}, 0, "2222");
  check_refused(same.open().status(), Code::kCorrupt, "duplicate tensor t");
  SplitSet wrong;
  wrong.files[0].set("split.count", "three");
  check_refused(wrong.open().status(), Code::kCorrupt, "split.count -1");
  SplitSet cut;
  cut.numbers().tensors().files[2].extra_entries = 100;
  check_refused(cut.open().status(), Code::kCorrupt, "m-00001-of-00003.gguf: m-00003-of-00003.gguf: ");
}
