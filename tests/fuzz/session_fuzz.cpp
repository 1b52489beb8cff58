// A saved session, loaded. The first byte says what the rest is: bytes as they are; or places and values that change a good
// one, under the checksums of before or under ones that fit. Whatever loads can be gone on from.
#include <cstring>

#include "base/checksum.h"
#include "fuzz/target.h"
#include "support/golden.h"
#include "support/model.h"

namespace {

using namespace kette;

struct Fixture {
  std::shared_ptr<LoadedModel> loaded =
      test::open_model((test::golden_roots()[0] / "models/dsv3_fp8/hf").string(), nn::Mode::kFast, 1);
  std::string good;

  Fixture() {
    const auto session = test::open_session(loaded, 128);
    test::eval_all(*session, {1, 2, 3, 4, 5});
    SessionWriter writer = test::value(session->save());
    good.resize(writer.size());
    test::ok(writer.write([&](uint64_t at, std::span<const std::byte> piece) -> Status {
      std::memcpy(good.data() + at, piece.data(), piece.size());
      return {};
    }));
  }
};

// As far as its numbers make sense at all.
void make_checksums_fit(std::string& bytes) {
  SavedHeader h;
  if (bytes.size() < sizeof h) return;
  std::memcpy(&h, bytes.data(), sizeof h);
  const auto all = std::as_bytes(std::span(bytes));
  if (h.tokens < 1000 && h.adapter_bytes < 1000) {
    const uint64_t front = (h.adapter_bytes + 7) / 8 * 8 + (4 * h.tokens + 7) / 8 * 8 + 8 * nn::kv_pages(h.tokens);
    if (h.tokens <= KETTE_KV_PAGE && h.tokens > 0 && sizeof h + front <= bytes.size()) {
      const uint64_t sum = checksum(all.subspan(sizeof h + front));
      std::memcpy(bytes.data() + sizeof h + front - 8, &sum, sizeof sum);
    }
    if (sizeof h + front <= bytes.size()) h.front_sum = checksum(all.subspan(sizeof h, front));
  }
  h.header_sum = h.sum();
  std::memcpy(bytes.data(), &h, sizeof h);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const Fixture fixture;
  if (size == 0) return 0;
  std::string bytes(test::as_text(data + 1, size - 1));
  if (data[0] % 3 != 0) {
    const std::string changes = std::move(bytes);
    bytes = fixture.good;
    for (size_t i = 0; i + 3 <= changes.size(); i += 3) {
      const auto octet = [&](size_t at) { return static_cast<uint8_t>(changes[i + at]); };
      const size_t place = octet(0) + size_t{256} * octet(1);
      if (place < bytes.size())
        bytes[place] = changes[i + 2];
      else
        bytes.resize(bytes.size() - bytes.size() % (1 + octet(2)));
    }
    if (data[0] % 3 == 2) make_checksums_fit(bytes);
  }
  const auto session = test::open_session(fixture.loaded, 128);
  const Status status = session->load(*open_memory(std::as_bytes(std::span(bytes)), "fuzz"));
  test::must(status.ok() || session->length() == 0);
  if (session->length() < session->capacity()) test::eval_all(*session, {1});
  return 0;
}
