/// Internals of the C++ API: handles of the C ABI as owning types, its errors and buffers as values. Not for callers.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <utility>

#include "kette/error.hpp"

KETTE_BEGIN_NAMESPACE
namespace detail {

template <auto Free>
struct freed_by {
  template <class T>
  void operator()(T* p) const noexcept {
    Free(p);
  }
};

// Sole owner of a C handle, one pointer wide.
template <class T, auto Free>
using owned = std::unique_ptr<T, freed_by<Free>>;

// Counted reference to a C handle, one pointer wide.
template <class T, auto Ref, auto Unref>
class shared {
 public:
  shared() noexcept = default;
  explicit shared(T* adopted) noexcept : p_(adopted) {}
  shared(const shared& o) noexcept : p_(o.p_) {
    if (p_ != nullptr) Ref(p_);
  }
  shared(shared&& o) noexcept : p_(std::exchange(o.p_, nullptr)) {}
  shared& operator=(shared o) noexcept {
    std::swap(p_, o.p_);
    return *this;
  }
  ~shared() { Unref(p_); }

  T* get() const noexcept { return p_; }
  T* release() noexcept { return std::exchange(p_, nullptr); }

 private:
  T* p_ = nullptr;
};

// The error that a failed call stored, as a value.
inline error take_error(kette_status status, kette_error* e) {
  const owned<kette_error, kette_error_free> holder(e);
  return error(static_cast<errc>(status), e != nullptr ? kette_error_message(e) : kette_status_name(status),
               kette_error_os_code(e));
}

// A call of the C ABI, given what takes its kette_error**.
template <class F>
result<void> call(F&& f) {
  kette_error* e = nullptr;
  const kette_status status = f(&e);
  if (status < 0) return take_error(status, e);
  return {};
}

// A call that makes a handle or a buffer of type T.
template <class Owner, class T, class F>
result<Owner> make(F&& f) {
  T* made = nullptr;
  kette_error* e = nullptr;
  const kette_status status = f(&made, &e);
  if (status < 0) return take_error(status, e);
  return Owner(made);
}

// A call that makes a buffer, as a string.
template <class F>
result<std::string> make_string(F&& f) {
  auto buf = make<owned<kette_buf, kette_buf_free>, kette_buf>(std::forward<F>(f));
  if (!buf) return buf.error();
  return std::string(static_cast<const char*>(kette_buf_data(buf->get())), kette_buf_size(buf->get()));
}

// A call that writes up to `cap` items into a buffer of the caller's and says how many there are: tried with a guess,
// then with the size it asked for.
template <class Container, class F>
result<Container> fill(std::size_t guess, F&& f) {
  Container out(guess, typename Container::value_type{});
  for (;;) {
    std::size_t needed = 0;
    kette_error* e = nullptr;
    const kette_status status = f(out.data(), out.size(), &needed, &e);
    const bool too_small = status == KETTE_E_INVALID_ARGUMENT && needed > out.size();
    if (status >= 0 || too_small) out.resize(needed);
    if (status >= 0) return out;
    error why = take_error(status, e);
    if (!too_small) return why;
  }
}

// A C struct with its size set and all else zero.
template <class T>
T sized() noexcept {
  T s{};
  s.struct_size = static_cast<decltype(s.struct_size)>(sizeof(T));
  return s;
}

// A caller's function that C code calls: what it throws waits here until the C function has returned.
class thrown {
 public:
  // f(), or `otherwise` if it threw.
  template <class F, class R>
  R run(F&& f, R otherwise) noexcept {
#if KETTE_EXCEPTIONS
    try {
      return f();
    } catch (...) {
      caught_ = std::current_exception();
      return otherwise;
    }
#else
    static_cast<void>(otherwise);
    return f();
#endif
  }
  void rethrow() {
#if KETTE_EXCEPTIONS
    if (caught_) std::rethrow_exception(std::exchange(caught_, nullptr));
#endif
  }

 private:
#if KETTE_EXCEPTIONS
  std::exception_ptr caught_;
#endif
};

}  // namespace detail
KETTE_END_NAMESPACE
