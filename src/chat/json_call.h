// A call written as one JSON object, {"name": ..., "arguments": {...}}, byte by byte. The members may come in any
// order and beside others; "parameters" is "arguments" by another name; of two alike the first counts.
#pragma once

#include <string>

#include "chat/answer_piece.h"
#include "chat/json_scan.h"

namespace kette {

class JsonCall {
 public:
  // bare: nothing but the object says that it is a call; so it has to have a name and an object of arguments, and
  // before they are there no other members than a call's "type" and "id".
  explicit JsonCall(bool bare) : bare_(bare) {}

  enum class Step : uint8_t {
    kMore,
    kClosed,    // the object is complete; the call has ended
    kNotACall,  // broken, or complete, and no call: held() has every byte
    kBroken,    // the byte cannot be here, and is not consumed; the call has begun and not ended
    kSurplus,   // the same, but the call had ended
  };
  Step push(char c, AnswerSink& out);

  bool begun() const { return begun_; }
  bool ended() const { return ended_; }
  const std::string& held() const { return held_; }  // all bytes while the call has not begun

 private:
  enum class Member : uint8_t { kOther, kName, kArguments };

  void open_value(char c, AnswerSink& out);
  void close_value(AnswerSink& out);
  void begin(AnswerSink& out);
  void end(AnswerSink& out);

  bool bare_;
  JsonScan scan_;
  std::string held_, key_, value_, name_, arguments_;
  Member member_ = Member::kOther;
  bool in_value_ = false;
  bool refused_ = false;        // bare: it is no call
  bool has_arguments_ = false;  // complete
  bool begun_ = false, ended_ = false;
};

}  // namespace kette
