// Streamed text: the same whatever the cuts, never half a character, never a part of a stop string.
#include "runtime/text_stream.h"

#include <doctest/doctest.h>

#include <random>

namespace kette {
namespace {

using Stops = std::vector<std::string>;

struct Streamed {
  std::string text;
  bool stopped = false;
  bool operator==(const Streamed&) const = default;
};

// `bytes` pushed in stretches of the given sizes, the last again and again.
Streamed stream(const Stops& stops, std::string_view bytes, const std::vector<size_t>& sizes, bool raw = false) {
  TextStream text(stops, raw);
  Streamed out;
  for (size_t at = 0, i = 0; at < bytes.size();) {
    const size_t n = std::min(sizes[std::min(i++, sizes.size() - 1)], bytes.size() - at);
    const std::string shown = text.push(bytes.substr(at, n));
    if (!raw) CHECK((shown.empty() || (static_cast<unsigned char>(shown[0]) & 0xc0) != 0x80));
    out.text += shown;
    at += n;
  }
  out.text += text.finish();
  out.stopped = text.stopped();
  return out;
}

// The same for every cut in two, in single bytes, and in threes.
Streamed same_however_cut(const Stops& stops, std::string_view bytes, bool raw = false) {
  const Streamed whole = stream(stops, bytes, {bytes.size() + 1}, raw);
  for (size_t cut = 1; cut < bytes.size(); ++cut) {
    CAPTURE(cut);
    CHECK(stream(stops, bytes, {cut, bytes.size()}, raw) == whole);
    CHECK(stream(stops, bytes, {cut, 1}, raw) == whole);
  }
  CHECK(stream(stops, bytes, {1}, raw) == whole);
  CHECK(stream(stops, bytes, {3}, raw) == whole);
  return whole;
}

TEST_CASE("characters come whole") {
  const std::string_view text = "a\xC3\xA9\xE4\xB8\xAD\xF0\x9F\x98\x80z";
  CHECK(same_however_cut({}, text).text == text);
  TextStream one({}, false);
  CHECK(one.push("\xF0\x9F\x98") == "");
  CHECK(one.push("\x80!") == "\xF0\x9F\x98\x80!");
  CHECK(one.finish() == "");
}

TEST_CASE("one U+FFFD for each maximal part of a broken character") {
  const std::string mark = "\xEF\xBF\xBD";
  CHECK(same_however_cut({}, "\x80").text == mark);
  CHECK(same_however_cut({}, "\xC0\xAF").text == mark + mark);
  CHECK(same_however_cut({}, "\xE4\xB8x").text == mark + "x");
  CHECK(same_however_cut({}, "\xF0\x9F\x98").text == mark);
  CHECK(same_however_cut({}, "\xF0\x9F\x98\xF0\x9F\x98\x80").text == mark + "\xF0\x9F\x98\x80");
  CHECK(same_however_cut({}, "\xED\xA0\x80").text == mark + mark + mark);  // a surrogate
  CHECK(same_however_cut({}, "\xF4\x90\x80\x80").text == mark + mark + mark + mark);
  CHECK(same_however_cut({}, "\xE0\x9F\xBFq").text == mark + mark + mark + "q");
}

TEST_CASE("raw bytes pass as they are") {
  const std::string_view bytes = "a\xFF\xE4\xB8\0z";
  CHECK(same_however_cut({}, bytes, true).text == bytes);
  CHECK(same_however_cut({"\xB8"}, bytes, true) == Streamed{"a\xFF\xE4", true});
  TextStream raw({}, true);
  CHECK(raw.push("\xE4") == "\xE4");
}

TEST_CASE("a stop string ends the text before it, wherever it is cut") {
  CHECK(same_however_cut({"STOP"}, "go on STOP here") == Streamed{"go on ", true});
  CHECK(same_however_cut({"STOP"}, "STOP") == Streamed{"", true});
  CHECK(same_however_cut({"STOP"}, "STO STOR SSTO") == Streamed{"STO STOR SSTO", false});
  CHECK(same_however_cut({"aab"}, "aaab") == Streamed{"a", true});
  CHECK(same_however_cut({"abab", "x"}, "ababab") == Streamed{"", true});
  CHECK(same_however_cut({"\xE4\xB8\xAD"}, "caf\xC3\xA9\xE4\xB8\xADx") == Streamed{"caf\xC3\xA9", true});
  CHECK(same_however_cut({"end"},
                         "\xF0\x9F\x98"
                         "end") == Streamed{"\xEF\xBF\xBD", true});
}

TEST_CASE("of several stop strings the one that is complete first counts") {
  CHECK(same_however_cut({"abc", "b"}, "xabc") == Streamed{"xa", true});
  CHECK(same_however_cut({"bc", "abc"}, "xabc") == Streamed{"x", true});
  CHECK(same_however_cut({"zzz", "c", "bcd"}, "abcd") == Streamed{"ab", true});
}

TEST_CASE("nothing that a stop string takes back is shown, and nothing else is held") {
  TextStream text({"\n\nUser:"}, false);
  CHECK(text.push("hello\n") == "hello");
  CHECK(text.push("\nUs") == "");
  CHECK(text.push("age") == "\n\nUsage");
  CHECK(text.push("\n\nUser") == "");
  CHECK(text.push(":more") == "");
  CHECK(text.stopped());
  CHECK(text.push("after") == "");
  CHECK(text.finish() == "");
}

TEST_CASE("random bytes and stop strings, however cut") {
  std::mt19937 random(1);
  const auto pick = [&](size_t n) {
    std::string out;
    while (out.size() < n) out += std::string_view("ab\xC3\xA9\xF0\x9F\x98\x80")[random() % 8];
    return out;
  };
  for (int round = 0; round < 300; ++round) {
    Stops stops;
    for (size_t i = random() % 3; i > 0; --i) stops.push_back(pick(1 + random() % 4));
    same_however_cut(stops, pick(random() % 24), round % 4 == 0);
  }
}

}  // namespace
}  // namespace kette
