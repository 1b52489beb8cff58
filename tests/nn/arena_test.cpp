#include "nn/arena.h"

#include <doctest/doctest.h>

using namespace kette::nn;

TEST_CASE("arena: what a scope took is free after it, and nothing taken overlaps") {
  Arena arena;
  char* first = arena.take<char>(100);
  char* inner = nullptr;
  {
    const Arena::Mark mark(arena);
    inner = arena.take<char>(5);
    CHECK(inner >= first + 100);
    arena.take<char>(3 << 20);  // a chunk of its own
  }
  CHECK(arena.take<char>(5) == inner);
  CHECK(reinterpret_cast<uintptr_t>(first) % kette::kCacheLine == 0);
  CHECK(reinterpret_cast<uintptr_t>(inner) % kette::kCacheLine == 0);
}

TEST_CASE("arena: passes of growing sizes keep the memory of the largest alone") {
  Arena arena;
  const auto pass = [&](size_t rows) {
    arena.settle();
    const Arena::Mark mark(arena);
    arena.take<char>(rows * 30000);
    arena.take<char>(rows * 7000);
  };
  for (size_t rows = 10; rows <= 500; rows += 10) pass(rows);
  arena.settle();
  CHECK(arena.bytes() <= 500 * 37000 + 2 * kette::kCacheLine);
  const size_t bytes = arena.bytes();
  pass(500);  // fits as it is
  pass(3);
  CHECK(arena.bytes() == bytes);
}
