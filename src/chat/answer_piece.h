// The typed pieces of an answer.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace kette {

struct AnswerPiece {
  enum class Kind : uint8_t {
    kReasoning,
    kText,
    kToolName,       // begins a call; whole
    kToolArguments,  // JSON as the model wrote it, byte for byte, in pieces; none where the model wrote none
    kToolEnd,        // ends the call, always; no text
  };
  Kind kind;
  std::string text;
  bool malformed = false;  // kToolEnd: the arguments are not one whole JSON value

  bool operator==(const AnswerPiece&) const = default;
};

// Collects pieces; what one push adds to a stream of one kind is one piece.
class AnswerSink {
 public:
  explicit AnswerSink(std::vector<AnswerPiece>& out) : out_(&out), first_(out.size()) {}

  void reasoning(std::string_view bytes) { stream(AnswerPiece::Kind::kReasoning, bytes); }
  void text(std::string_view bytes) { stream(AnswerPiece::Kind::kText, bytes); }
  void arguments(std::string_view bytes) { stream(AnswerPiece::Kind::kToolArguments, bytes); }
  void name(std::string name) { out_->push_back({AnswerPiece::Kind::kToolName, std::move(name)}); }
  void end(bool malformed) { out_->push_back({AnswerPiece::Kind::kToolEnd, {}, malformed}); }

 private:
  void stream(AnswerPiece::Kind kind, std::string_view bytes) {
    if (bytes.empty()) return;
    if (out_->size() > first_ && out_->back().kind == kind)
      out_->back().text += bytes;
    else
      out_->push_back({kind, std::string(bytes)});
  }

  std::vector<AnswerPiece>* out_;
  size_t first_;  // earlier pieces are not touched
};

}  // namespace kette
