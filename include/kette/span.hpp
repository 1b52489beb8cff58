/// A pointer and a length, for C++17. It takes any contiguous container, and std::span takes it.
#pragma once

#include <cstddef>
#include <initializer_list>
#include <type_traits>
#include <utility>

#include "kette/config.hpp"

KETTE_BEGIN_NAMESPACE

/// A view of `size()` objects that it does not own; valid as long as what it was made from. The same type under every
/// standard, so that a signature does not change with -std. Thread class: that of the elements.
template <class T>
class span {
 public:
  using element_type = T;
  using value_type = std::remove_cv_t<T>;
  using iterator = T*;

  constexpr span() noexcept = default;
  constexpr span(T* data, std::size_t size) noexcept : data_(data), size_(size) {}
  /// A vector, array, string, std::span …: anything with data() and size() over the same type.
  template <class C,
            class = std::enable_if_t<
                !std::is_same_v<std::remove_cv_t<std::remove_reference_t<C>>, span> &&
                std::is_convertible_v<std::remove_pointer_t<decltype(std::declval<C&>().data())> (*)[], T (*)[]>>,
            class = decltype(std::declval<C&>().size())>
  constexpr span(C&& container) noexcept : data_(container.data()), size_(container.size()) {}
  template <std::size_t N>
  constexpr span(T (&array)[N]) noexcept : data_(array), size_(N) {}
  /// For arguments such as eval({1, 2, 3}): the list lives until the call returns, so don't keep such a span.
  template <class U = T, class = std::enable_if_t<std::is_const_v<U>>>
  constexpr span(std::initializer_list<value_type> list) noexcept : span(list.begin(), list.size()) {}

  constexpr T* data() const noexcept { return data_; }
  constexpr std::size_t size() const noexcept { return size_; }
  constexpr bool empty() const noexcept { return size_ == 0; }
  constexpr T* begin() const noexcept { return data_; }
  constexpr T* end() const noexcept { return data_ + size_; }
  constexpr T& operator[](std::size_t i) const noexcept { return data_[i]; }

 private:
  T* data_ = nullptr;
  std::size_t size_ = 0;
};

KETTE_END_NAMESPACE
