// Tokens' bytes -> text that can be shown: whole UTF-8 characters, and nothing of a stop string.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace kette {

class TextStream {
 public:
  // raw: bytes pass as they are, characters may be cut. Stop strings are not empty.
  TextStream(std::vector<std::string> stops, bool raw) : stops_(std::move(stops)), raw_(raw) {}

  // What may be shown after these bytes. Held back: an unfinished character, and anything that could still become
  // a stop string. Bytes that are not UTF-8 become U+FFFD, one for each maximal part of a character. After stopped()
  // nothing more comes.
  std::string push(std::string_view bytes);
  // The rest, at the end.
  std::string finish();
  bool open() const { return !partial_.empty(); }  // inside a character
  bool stopped() const { return stopped_; }

 private:
  std::string valid(std::string bytes, bool final);

  std::vector<std::string> stops_;
  bool raw_;
  bool stopped_ = false;
  std::string held_;     // bytes that may begin a stop string
  std::string partial_;  // bytes of an unfinished character
};

}  // namespace kette
