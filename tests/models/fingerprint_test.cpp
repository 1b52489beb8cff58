// What tells models apart reads parts of them only; of however many tensors, parts from beginning to end.
#include "models/fingerprint.h"

#include <doctest/doctest.h>

#include "support/golden.h"
#include "support/model.h"

using namespace kette;
using namespace kette::test;

TEST_CASE("fingerprint: a difference anywhere in a tensor's course counts, however many tensors there are") {
  const std::string file = std::string(KETTE_GOLDEN_DIR) + "/models/llama/gguf/llama-Q8_0.gguf";
  const Checkpoint checkpoint =
      value(Checkpoint::from_gguf(value(Gguf::open(value(open_path(file, Access::kMap)), {}, stored_types()))));
  const auto runtime = make_test_runtime();
  constexpr size_t kBytes = 1 << 20, kPlaces = 4;
  std::string bytes(kBytes, 'a');
  const auto source = open_memory(std::as_bytes(std::span(bytes)), "tensor");
  CheckpointTensor tensor{"some.weight", checkpoint.tensors()[0].type, {1024, 256}, kBytes, source.get(), 0};
  for (const size_t count : {size_t{1}, size_t{300}, size_t{1100}, size_t{5000}}) {
    CAPTURE(count);
    const std::vector<EncodedTensor> tensors(count, {&tensor, nullptr, kBytes});
    const auto print = [&] { return value(fingerprint(checkpoint, tensors, *runtime->executor)).hex(); };
    const std::string first = print();
    CHECK(print() == first);
    for (const size_t at : {size_t{0}, kBytes - 1}) {
      bytes[at] = 'b';
      CHECK(print() != first);
      bytes[at] = 'a';
    }
    for (size_t i = 0; i < kPlaces; ++i) {
      const auto quarter = std::span(bytes).subspan(i * (kBytes / kPlaces), kBytes / kPlaces);
      std::ranges::fill(quarter, 'b');
      CHECK(print() != first);
      std::ranges::fill(quarter, 'a');
    }
    tensor.bytes = kBytes - 1;
    CHECK(print() != first);
    tensor.bytes = kBytes;
    CHECK(print() == first);
  }
  // Sizes around those of the samples: nothing is read behind the end, and the last byte always counts.
  for (const size_t size : {1, 4095, 4096, 4097, 16383, 16384, 16385, 20000}) {
    CAPTURE(size);
    tensor.bytes = size;
    const std::vector<EncodedTensor> tensors(2000, {&tensor, nullptr, size});
    const auto print = [&] { return value(fingerprint(checkpoint, tensors, *runtime->executor)).hex(); };
    const std::string first = print();
    bytes[size] = 'b';
    CHECK(print() == first);
    bytes[size] = 'a';
    bytes[size - 1] = 'b';
    CHECK(print() != first);
    bytes[size - 1] = 'a';
  }
}
