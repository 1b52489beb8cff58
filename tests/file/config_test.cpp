// Hyper-parameters: kinds, ranges, fallbacks, and what the errors say.
#include "file/config.h"

#include <doctest/doctest.h>

#include <cmath>
#include <limits>

using namespace kette;

namespace {

Config sample() {
  Config c;
  c.set("n", int64_t{8});
  c.set("x", 0.5);
  c.set("yes", true);
  c.set("text", std::string("abc\n"));
  c.set("ints", std::vector<int64_t>{1, 2});
  c.set("reals", std::vector<double>{0.5, 2});
  c.set("nan", std::nan(""));
  c.set("inf", std::numeric_limits<double>::infinity());
  c.set("nans", std::vector<double>{1, std::nan("")});
  c.set("rope_scaling.factor", 4.0);
  return c;
}

template <class T>
void check_error(const Result<T>& result, std::string_view message) {
  CHECK(result.status().code() == Code::kCorrupt);
  CHECK(result.status().message() == message);
}

}  // namespace

TEST_CASE("config: values of their kind") {
  const Config c = sample();
  CHECK(c.has("rope_scaling.factor"));
  CHECK_FALSE(c.has("rope_scaling"));
  CHECK(*c.integer("n", 8, 8) == 8);
  CHECK(*c.real("x", 0, 1) == 0.5);
  CHECK(*c.real("n", 0, 8) == 8.0);
  CHECK(*c.boolean("yes") == true);
  CHECK(*c.string("text") == "abc\n");
  CHECK(*c.integers("ints") == std::vector<int64_t>{1, 2});
  CHECK(*c.integers("n") == std::vector<int64_t>{8});
  CHECK(*c.reals("reals") == std::vector<double>{0.5, 2});
  CHECK(*c.reals("ints") == std::vector<double>{1, 2});
  CHECK(*c.reals("x") == std::vector<double>{0.5});
  CHECK(*c.reals("n") == std::vector<double>{8});
}

TEST_CASE("config: a fallback is for absent keys only") {
  const Config c = sample();
  CHECK(*c.integer("absent", 1, 2, 77) == 77);
  CHECK(*c.real("absent", 1, 2, 7.5) == 7.5);
  CHECK(*c.boolean("absent", false) == false);
  CHECK(*c.string("absent", "s") == "s");
  CHECK_FALSE(c.integer("n", 1, 2, 1).ok());
  CHECK_FALSE(c.real("nan", 0, 1, 0.5).ok());
  CHECK_FALSE(c.boolean("n", true).ok());
  CHECK_FALSE(c.string("n", "s").ok());
}

TEST_CASE("config: errors name the key, the range and the value") {
  const Config c = sample();
  check_error(c.integer("n", 9, 10), "n: 8, expected an integer from 9 to 10");
  check_error(c.integer("n", 1, 7), "n: 8, expected an integer from 1 to 7");
  check_error(c.integer("x", 0, 10), "x: 0.5, expected an integer from 0 to 10");
  check_error(c.integer("absent", 1, 7), "absent: missing, expected an integer from 1 to 7");
  check_error(c.integer("text", 1, 7), "text: \"abc\\x0a\", expected an integer from 1 to 7");
  check_error(c.integer("ints", 1, 7), "ints: a list of 2 integers, expected an integer from 1 to 7");
  check_error(c.integer("yes", 0, 1), "yes: true, expected an integer from 0 to 1");
  check_error(c.real("x", 1, 2), "x: 0.5, expected a number from 1 to 2");
  check_error(c.real("nan", -1e300, 1e300), "nan: nan, expected a number from -1e+300 to 1e+300");
  check_error(c.real("inf", 0, std::numeric_limits<double>::infinity()), "inf: inf, expected a number from 0 to inf");
  check_error(c.boolean("n"), "n: 8, expected true or false");
  check_error(c.boolean("absent"), "absent: missing, expected true or false");
  check_error(c.string("n"), "n: 8, expected a string");
  check_error(c.string("absent"), "absent: missing, expected a string");
  check_error(c.integers("reals"), "reals: a list of 2 numbers, expected integers");
  check_error(c.integers("absent"), "absent: missing, expected integers");
  check_error(c.reals("nans"), "nans[1]: nan, expected a finite number");
  check_error(c.reals("inf"), "inf[0]: inf, expected a finite number");
  check_error(c.reals("text"), "text: \"abc\\x0a\", expected numbers");
  Config hostile;
  hostile.set("s", std::string(100'000, '\x01'));
  CHECK(hostile.integer("s", 0, 1).status().message().size() < 200);
}
