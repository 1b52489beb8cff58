// How much a grammar may take. Beyond a limit is kBudget with the limit's name; none of them is silent.
#pragma once

#include <cstddef>
#include <cstdint>

namespace kette::grammar_limits {

// Sources and their compilation.
inline constexpr size_t kSourceBytes = size_t{1} << 20;
inline constexpr size_t kNesting = 200;                    // groups in groups, JSON in JSON
inline constexpr size_t kKeys = 4096;                      // of one object in a JSON schema
inline constexpr size_t kMergedMembers = size_t{1} << 18;  // of a JSON schema's parts that are put together
inline constexpr size_t kMergedBytes = size_t{16} << 20;   // their keys and strings
inline constexpr size_t kComparisons = size_t{1} << 25;    // of keys and values in a JSON schema
inline constexpr size_t kLiteralBytes = size_t{16} << 20;  // in expressions
inline constexpr size_t kRules = size_t{1} << 17;          // with those made for repetitions and subschemas
inline constexpr uint32_t kRepetitions = 1u << 17;         // m and n of {m,n}, minLength, maxItems, ...
inline constexpr size_t kExpressions = size_t{1} << 21;
inline constexpr size_t kNfaMoves = size_t{1} << 22;  // of all rules together, before they are made deterministic
inline constexpr size_t kSubsets = size_t{1} << 23;   // NFA states in all DFA states
inline constexpr size_t kStates = size_t{1} << 19;    // DFA states of a grammar, also of one put together
inline constexpr size_t kScratch = 4;                 // so many times that, for what a JSON schema takes on the side
inline constexpr size_t kEdges = size_t{1} << 22;

// Matching.
inline constexpr uint32_t kStackDepth = 1u << 14;             // rules in rules
inline constexpr size_t kMergeDepth = 256;                    // stacks that differ so deep below equal tops
inline constexpr size_t kSteps = size_t{1} << 20;             // for one token, or one mask: stacks looked at
inline constexpr size_t kSharedBytes = size_t{32} << 20;      // of states: then matchers move to fresh ones
inline constexpr size_t kAutomatonBytes = size_t{256} << 20;  // of states that one call may come to
inline constexpr size_t kMaskBytes = size_t{16} << 20;        // of masks that are kept

}  // namespace kette::grammar_limits
