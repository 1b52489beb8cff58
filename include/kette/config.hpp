/// What every header of the C++ API rests on: whether exceptions are on, and the namespace that says so.
///
/// The API is inline C++17 over the C ABI of kette.h: no C++ type crosses the boundary of the library, so a program
/// may use another compiler, standard or standard library than the one that built it.
#pragma once

#include "kette/kette.h"

/// 1 where exceptions are on. Define it as 0 before the first include to have the other behaviour all the same.
#ifndef KETTE_EXCEPTIONS
#if defined(__cpp_exceptions) || defined(__EXCEPTIONS) || (defined(_MSC_VER) && defined(_CPPUNWIND))
#define KETTE_EXCEPTIONS 1
#else
#define KETTE_EXCEPTIONS 0
#endif
#endif

// Objects compiled with and without exceptions meet in one program: their inline functions differ, so their names do.
#if KETTE_EXCEPTIONS
#define KETTE_BEGIN_NAMESPACE \
  namespace kette {           \
  inline namespace v0_exceptions {
#else
#define KETTE_BEGIN_NAMESPACE \
  namespace kette {           \
  inline namespace v0_no_exceptions {
#endif
#define KETTE_END_NAMESPACE \
  }                         \
  }

KETTE_BEGIN_NAMESPACE

/// The id of a token: 0 to vocab_size - 1; -1 where there is none.
using token = kette_token;

KETTE_END_NAMESPACE
