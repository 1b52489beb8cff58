// Half and bfloat16, all 65,536 of each: values from the definition, and rounding at and beside every midpoint.
#include "base/float_types.h"

#include <doctest/doctest.h>

#include <cmath>
#include <initializer_list>
#include <limits>

namespace kette {
namespace {

// A format of one sign bit, `exponent_bits` and `mantissa_bits`: what IEEE 754 says its bits mean. Not for NaN.
double value_of(uint32_t bits, int exponent_bits, int mantissa_bits) {
  const int mantissa = static_cast<int>(bits & ((1u << mantissa_bits) - 1));
  const int exponent = static_cast<int>(bits >> mantissa_bits & ((1u << exponent_bits) - 1));
  const int bias = (1 << (exponent_bits - 1)) - 1;
  double magnitude = 0;
  if (exponent == (1 << exponent_bits) - 1) {
    magnitude = std::numeric_limits<double>::infinity();
  } else if (exponent == 0) {
    magnitude = std::ldexp(mantissa, 1 - bias - mantissa_bits);
  } else {
    magnitude = std::ldexp(mantissa + (1 << mantissa_bits), exponent - bias - mantissa_bits);
  }
  return bits >> 15 != 0 ? -magnitude : magnitude;
}

struct Kind {
  int exponent_bits, mantissa_bits;
  float (*widen)(uint16_t);
  uint16_t (*narrow)(float);
  uint32_t infinity() const { return ((1u << exponent_bits) - 1) << mantissa_bits; }
  bool is_nan(uint32_t bits) const { return (bits & 0x7fff) > infinity(); }
};
constexpr Kind kHalf{5, 10, f16_to_float, float_to_f16};
constexpr Kind kBfloat{8, 7, bf16_to_float, float_to_bf16};

void check_every_value(const Kind& kind) {
  size_t wrong = 0;
  for (uint32_t bits = 0; bits < 0x10000; ++bits) {
    const auto h = static_cast<uint16_t>(bits);
    const float f = kind.widen(h);
    if (kind.is_nan(bits)) {
      const bool kept = std::isnan(f) && std::signbit(f) == (bits >> 15 != 0) && kind.is_nan(kind.narrow(f)) &&
                        kind.narrow(f) >> 15 == bits >> 15;
      wrong += !kept;
      continue;
    }
    const auto expected = static_cast<float>(value_of(bits, kind.exponent_bits, kind.mantissa_bits));
    wrong += std::bit_cast<uint32_t>(f) != std::bit_cast<uint32_t>(expected);
    wrong += kind.narrow(f) != h;
  }
  CHECK(wrong == 0);
}

// Between h and the next larger magnitude: exactly half way goes to the even one, anything beside it to the nearer.
// The step from the largest finite value to infinity has the midpoint that a next finite value would give it.
void check_every_midpoint(const Kind& kind) {
  size_t wrong = 0;
  for (uint32_t bits = 0; bits < kind.infinity(); ++bits) {
    const double low = value_of(bits, kind.exponent_bits, kind.mantissa_bits);
    const double below = bits == 0 ? 0.0 : value_of(bits - 1, kind.exponent_bits, kind.mantissa_bits);
    const bool last = bits + 1 == kind.infinity();
    const double high = last ? low + (low - below) : value_of(bits + 1, kind.exponent_bits, kind.mantissa_bits);
    const double middle = low + (high - low) / 2;
    const auto exact = static_cast<float>(middle);
    REQUIRE(static_cast<double>(exact) == middle);
    for (const uint32_t sign : {0u, 0x8000u}) {
      const float side = sign != 0 ? -1.0f : 1.0f;
      const uint32_t even = sign | (bits % 2 == 0 ? bits : bits + 1);
      wrong += kind.narrow(exact * side) != even;
      wrong += kind.narrow(std::nextafter(exact, 0.0f) * side) != (sign | bits);
      wrong += kind.narrow(std::nextafter(exact, std::numeric_limits<float>::infinity()) * side) != (sign | (bits + 1));
    }
  }
  CHECK(wrong == 0);
}

TEST_CASE("every half and bfloat16 widens to its value and narrows back to itself") {
  check_every_value(kHalf);
  check_every_value(kBfloat);
}

TEST_CASE("narrowing rounds to nearest, ties to even, at every midpoint") {
  check_every_midpoint(kHalf);
  check_every_midpoint(kBfloat);
}

TEST_CASE("the ends of the range") {
  CHECK(float_to_f16(65504.0f) == 0x7bff);
  CHECK(float_to_f16(std::numeric_limits<float>::max()) == 0x7c00);
  CHECK(float_to_f16(-std::numeric_limits<float>::infinity()) == 0xfc00);
  CHECK(float_to_f16(std::numeric_limits<float>::denorm_min()) == 0);
  CHECK(float_to_f16(-0.0f) == 0x8000);
  CHECK(float_to_bf16(std::numeric_limits<float>::max()) == 0x7f80);
  CHECK(float_to_bf16(-0.0f) == 0x8000);
  // A NaN whose payload is in the bits that are cut off stays one.
  CHECK(std::isnan(bf16_to_float(float_to_bf16(std::bit_cast<float>(0x7f800001u)))));
  CHECK(std::isnan(f16_to_float(float_to_f16(std::bit_cast<float>(0xff800001u)))));
}

}  // namespace
}  // namespace kette
