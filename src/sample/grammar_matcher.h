// Where a text stands in a grammar, and which tokens may follow.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <span>
#include <string_view>

#include "base/status.h"
#include "sample/grammar.h"
#include "sample/token_index.h"

namespace kette {

// A grammar over one vocabulary: what its matchers share. Thread-safe: states and masks that one matcher has found are
// found by all, behind a mutex that a call takes once.
class Constraint {
 public:
  // kBudget if the grammar's very beginning is beyond grammar_limits.h.
  static Result<std::shared_ptr<const Constraint>> make(std::shared_ptr<const Grammar> grammar,
                                                        std::shared_ptr<const TokenIndex> tokens);
  const Grammar& grammar() const { return *grammar_; }
  const TokenIndex& tokens() const { return *tokens_; }

 private:
  friend class GrammarMatcher;
  struct States;
  Constraint(std::shared_ptr<const Grammar> grammar, std::shared_ptr<const TokenIndex> tokens);
  std::shared_ptr<States> states() const;

  std::shared_ptr<const Grammar> grammar_;
  std::shared_ptr<const TokenIndex> tokens_;
  mutable std::mutex mutex_;
  // Once they have grown large there are fresh ones, to which matchers move; the old ones end with their last matcher.
  mutable std::shared_ptr<States> states_;
};

// One generation's place in the grammar. Copying costs a counter: who guesses ahead keeps a copy to go back to. One thread
// at a time; copies are independent.
class GrammarMatcher {
 public:
  explicit GrammarMatcher(std::shared_ptr<const Constraint> constraint);

  // Go on by `bytes`. kGrammarDeadEnd if the grammar does not allow them here, kBudget if to follow them takes more than
  // grammar_limits.h has; the place is then as before.
  Status accept(std::string_view bytes);
  // By a token's bytes. An end token is fine where can_end() and changes nothing; others without bytes never are.
  Status accept_token(int32_t token);
  bool can_end() const;  // the text so far is whole
  bool dead() const;     // nothing can follow: the text is whole and cannot go on

  // Bit t % 32 of bits[t / 32] says that token t may follow; all of `bits`, at least tokens().mask_words(), is written.
  // kGrammarDeadEnd if no token may, which is a vocabulary that lacks what the grammar asks for; kBudget as accept.
  Status fill_mask(std::span<uint32_t> bits);

  const Constraint& constraint() const { return *constraint_; }

 private:
  void leave_large_states();

  std::shared_ptr<const Constraint> constraint_;
  std::shared_ptr<Constraint::States> states_;
  uint32_t state_ = 0;
};

}  // namespace kette
