// Status, Result and the macros that hand them on; checked sizes; aligned memory; names of instruction sets.
#include "base/status.h"

#include <doctest/doctest.h>

#include <memory>

#include "base/aligned_buffer.h"
#include "base/checked.h"
#include "base/cpu_features.h"

namespace kette {
namespace {

TEST_CASE("a Status carries its code, message and the place it came through") {
  CHECK(Status().ok());
  CHECK(Status().code() == Code::kOk);
  const Status inner = error(Code::kFormat, "found {}, expected {}", 3, "four");
  CHECK_FALSE(inner.ok());
  CHECK(inner.message() == "found 3, expected four");
  const Status outer = error(Code::kFormat, "bad").within("tensor 2").within("a.gguf");
  CHECK(outer.message() == "a.gguf: tensor 2: bad");
  CHECK(outer.code() == Code::kFormat);
  CHECK(Status().within("a.gguf").message().empty());
  CHECK(Status(Code::kIo, "read", 5).os_code() == 5);
}

Result<std::unique_ptr<int>> make_number(int n) {
  if (n < 0) return error(Code::kInvalidArgument, "{} is negative", n);
  return std::make_unique<int>(n);
}

int g_reached = 0;

Result<int> twice(int n) {
  KETTE_ASSIGN(const std::unique_ptr<int> number, make_number(n));
  KETTE_TRY(n == 7 ? error(Code::kBudget, "seven") : Status());
  ++g_reached;
  return *number * 2;
}

TEST_CASE("KETTE_ASSIGN and KETTE_TRY leave with the first Status that is not ok") {
  g_reached = 0;
  CHECK(*twice(4) == 8);
  CHECK(twice(-1).status().message() == "-1 is negative");
  CHECK(twice(7).status().code() == Code::kBudget);
  CHECK(g_reached == 1);
}

TEST_CASE("sizes are computed or refused") {
  CHECK(checked_add(UINT64_MAX - 1, 1) == UINT64_MAX);
  CHECK_FALSE(checked_add(UINT64_MAX, 1));
  CHECK(checked_mul(uint64_t{1} << 32, (uint64_t{1} << 32) - 1) == 0xffffffff00000000u);
  CHECK_FALSE(checked_mul(uint64_t{1} << 32, uint64_t{1} << 32));
  CHECK(checked_mul(UINT64_MAX, 0) == uint64_t{0});
  CHECK(checked_align_up(0, 64) == uint64_t{0});
  CHECK(checked_align_up(1, 64) == uint64_t{64});
  CHECK(checked_align_up(64, 64) == uint64_t{64});
  CHECK(checked_align_up(UINT64_MAX - 63, 64) == UINT64_MAX - 63);
  CHECK_FALSE(checked_align_up(UINT64_MAX - 62, 64));
}

TEST_CASE("an AlignedBuffer starts at a cache line, moves, and refuses sizes without an address") {
  for (const size_t n : {1, 3, 64, 1000}) {
    AlignedBuffer<float> a(n);
    CHECK(reinterpret_cast<uintptr_t>(a.data()) % kCacheLine == 0);
    CHECK(a.span().size() == n);
    a[n - 1] = 5;
    const AlignedBuffer<float> b = std::move(a);
    CHECK(b[n - 1] == 5);
  }
  CHECK(AlignedBuffer<double>(0).data() == nullptr);
  CHECK_THROWS_AS(AlignedBuffer<double>(SIZE_MAX / 8 + 1), std::bad_alloc);
  CHECK_THROWS_AS(AlignedBuffer<double>(SIZE_MAX / 16), std::bad_alloc);
}

TEST_CASE("instruction sets have names, and this CPU has one of them") {
  for (const Isa isa : {Isa::kRef, Isa::kAvx2, Isa::kAvx512, Isa::kAvx512Bf16, Isa::kAmx})
    CHECK(parse_isa(isa_name(isa)) == isa);
  for (const char* name : {"", "AVX2", "avx", "sse"}) CHECK_FALSE(parse_isa(name));
  CHECK(parse_isa(isa_name(detect_isa())) == detect_isa());
  // Compiled-in detection as the second opinion, as far as it goes.
  __builtin_cpu_init();
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi2");
  CHECK((detect_isa() >= Isa::kAvx2) == avx2);
  if (detect_isa() >= Isa::kAvx512) CHECK(__builtin_cpu_supports("avx512vnni"));
}

}  // namespace
}  // namespace kette
