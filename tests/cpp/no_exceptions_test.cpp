// The API as a program without exceptions sees it.
#define KETTE_EXCEPTIONS 0
#include <doctest/doctest.h>

#include <string>

#include "support.h"

namespace {

struct Stop {
  std::string message;
};
void stop(const kette::error& e) { throw Stop{e.message()}; }  // must not return; here it may throw

}  // namespace

TEST_CASE("value() calls the failure handler") {
  const auto before = kette::set_failure_handler(stop);
  CHECK((before == nullptr));
  const kette::result<int> failure = kette::error(kette::errc::io, "no luck");
  try {
    static_cast<void>(failure.value());
    FAIL("value() returned");
  } catch (const Stop& s) {
    CHECK(s.message == "no luck");
  }
  CHECK((kette::set_failure_handler(nullptr) == stop));
}

TEST_CASE("errors arrive as values") {
  const auto opened = kette::model::open(kette::cpp_test::test_runtime(), "/no/such/model.gguf");
  REQUIRE_FALSE(opened);
  CHECK(opened.error().message().find("model.gguf") != std::string::npos);
  auto session = kette::session::create(kette::cpp_test::open_tiny()).value();
  CHECK_FALSE(session.eval({-1}));
  CHECK(session.eval(kette::cpp_test::kPrompt).value().size() == 288);
}
