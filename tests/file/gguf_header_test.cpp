// What GgufHeader writes, read back.
#include "file/gguf_header.h"

#include <doctest/doctest.h>

#include "support/gguf_writer.h"

using namespace kette;
using namespace kette::test;

TEST_CASE("gguf header: the reader finds what was put in") {
  GgufHeader header;
  header.set("general.type", "something");
  header.set("a.number", 7u);
  const std::vector<uint64_t> matrix = {3, 64}, stack = {2, 5, 256};
  REQUIRE(header.add("model.a.weight", matrix, 8, 3 * 2 * 34).ok());
  REQUIRE(header.add("model.b.weight", stack, 12, 2 * 5 * 144).ok());
  const std::string front = header.finish();
  CHECK(front.size() % GgufHeader::kAlignment == 0);
  const std::string file = front + std::string(header.data_bytes(), 'x');
  const auto opened = open_gguf(file);
  REQUIRE_MESSAGE(opened.ok(), opened.status().message());
  CHECK(opened->string("general.type") == "something");
  CHECK(opened->integer("a.number") == 7);
  REQUIRE(opened->tensors().size() == 2);
  const GgufTensor &a = opened->tensors()[0], &b = opened->tensors()[1];
  CHECK(a.name == "model.a.weight");
  CHECK(a.shape == matrix);
  CHECK(a.type->name == "q8_0");
  CHECK(a.offset == front.size() + header.data_offset(0));
  CHECK(b.shape == stack);
  CHECK(b.type->name == "q4_k");
  CHECK(b.offset == front.size() + header.data_offset(1));
  CHECK(b.offset % GgufHeader::kAlignment == 0);
  CHECK(b.offset + b.bytes == file.size());
  CHECK_FALSE(open_gguf(std::string_view(file).substr(0, file.size() - 1)).ok());
}

TEST_CASE("gguf header: what the format cannot hold is refused") {
  GgufHeader header;
  const std::vector<uint64_t> shape = {3, 64}, five = {1, 1, 1, 1, 64};
  CHECK(header.add("", shape, 8, 68).code() == Code::kUnsupported);
  CHECK(header.add("a\nb", shape, 8, 68).code() == Code::kUnsupported);
  CHECK(header.add(std::string(256, 'a'), shape, 8, 68).code() == Code::kUnsupported);
  CHECK(header.add("a", five, 8, 68).code() == Code::kUnsupported);
  CHECK(header.add("a", {}, 8, 68).code() == Code::kUnsupported);
  CHECK(header.add("a", shape, 8, UINT64_MAX).code() == Code::kUnsupported);
  REQUIRE(header.add("a", shape, 8, INT64_MAX / 2).ok());
  CHECK(header.add("b", shape, 8, 1).code() == Code::kUnsupported);
}
