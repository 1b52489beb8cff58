// result, error and span.
#include <doctest/doctest.h>

#include <array>
#include <kette/error.hpp>
#include <kette/span.hpp>
#include <memory>
#include <string>
#include <type_traits>
#include <vector>
#if __has_include(<span>)
#include <span>
#endif

using kette::errc;
using kette::result;
using kette::span;

TEST_CASE("a result is a value or an error") {
  result<std::string> value = std::string("yes");
  REQUIRE(value);
  CHECK(*value == "yes");
  CHECK(value->size() == 3);
  CHECK_FALSE(value.error());
  result<std::string> failure = kette::error(errc::not_found, "no such thing", 2);
  REQUIRE_FALSE(failure);
  CHECK(failure.error().code() == errc::not_found);
  CHECK(std::string(failure.error().name()) == "KETTE_E_NOT_FOUND");
  CHECK(failure.error().os_code() == 2);
  CHECK(std::move(failure).value_or("other") == "other");
}

TEST_CASE("value() throws what went wrong") {
  const result<int> failure = kette::error(errc::io, "disk on fire", 5);
  try {
    static_cast<void>(failure.value());
    FAIL("no exception");
  } catch (const kette::exception& e) {
    CHECK(std::string(e.what()) == "disk on fire");
    CHECK(e.code() == errc::io);
    CHECK(e.os_code() == 5);
  }
  CHECK_THROWS_AS(result<void>(kette::error(errc::io, "x")).value(), kette::exception);
  CHECK_NOTHROW(result<void>().value());
}

TEST_CASE("a result hands on what can only be moved") {
  result<std::unique_ptr<int>> r = std::make_unique<int>(7);
  const std::unique_ptr<int> p = std::move(r).value();
  CHECK(*p == 7);
  const auto words = [] { return result<std::vector<std::string>>(std::vector<std::string>{"a", "b"}); };
  std::string all;
  for (const std::string& word : words().value()) all += word;  // dangles if value() && gives a reference
  CHECK(all == "ab");
}

TEST_CASE("span takes what is contiguous") {
  std::vector<int> vector{1, 2, 3};
  const std::array<int, 2> array{4, 5};
  int plain[] = {6};
  const auto sum = [](span<const int> s) {
    int total = 0;
    for (const int i : s) total += i;
    return total;
  };
  CHECK(sum(vector) == 6);
  CHECK(sum(array) == 9);
  CHECK(sum(plain) == 6);
  CHECK(sum({7, 8}) == 15);
  CHECK(sum({}) == 0);
  CHECK(sum(span<int>(vector)) == 6);
  const span<int> writable = vector;
  writable[1] = 20;
  CHECK(vector[1] == 20);
  static_assert(!std::is_constructible_v<span<int>, const std::vector<int>&>, "const is kept");
  static_assert(!std::is_constructible_v<span<const int>, std::vector<double>&>, "so is the type");
#ifdef __cpp_lib_span
  const std::span<const int> theirs = span<const int>(vector);
  CHECK(theirs.size() == 3);
  CHECK(sum(theirs) == 24);
#endif
}
