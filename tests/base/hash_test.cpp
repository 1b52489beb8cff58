// The published values of FNV-1a.
#include "base/hash.h"

#include <doctest/doctest.h>

using kette::Hash128;

namespace {

std::string of(std::string_view text) {
  Hash128 hash;
  hash.bytes(std::as_bytes(std::span(text)));
  return hash.hex();
}

}  // namespace

TEST_CASE("hash: FNV-1a with 128 bits") {
  CHECK(of("") == "6c62272e07bb014262b821756295c58d");
  CHECK(of("a") == "d228cb696f1a8caf78912b704e4a8964");
  CHECK(of("foobar") == "343e1662793c64bf6f0d3597ba446f18");
}

TEST_CASE("hash: texts keep their bounds") {
  Hash128 a, b;
  a.text("ab");
  a.text("c");
  b.text("a");
  b.text("bc");
  CHECK(a.hex() != b.hex());
}
