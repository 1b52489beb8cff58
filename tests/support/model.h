// A model file opened for a test, on the ISA that KETTE_FORCE_ISA names.
#pragma once

#include <cstdlib>
#include <stdexcept>
#include <string>

#include "runtime/session.h"

namespace kette::test {

template <class T>
T value(Result<T> result) {
  if (!result.ok()) throw std::runtime_error(result.status().message());
  return std::move(*result);
}

inline void ok(const Status& status) {
  if (!status.ok()) throw std::runtime_error(status.message());
}

inline Isa test_isa() {
  const char* forced = std::getenv("KETTE_FORCE_ISA");
  if (forced == nullptr || *forced == 0) return detect_isa();
  const auto isa = parse_isa(forced);
  if (!isa) throw std::runtime_error(std::string("KETTE_FORCE_ISA: ") + forced);
  return *isa;
}

inline std::shared_ptr<Runtime> make_test_runtime(uint32_t n_threads = 2) {
  RuntimeOptions options;
  options.pool.n_threads = n_threads;
  options.max_isa = test_isa();
  return value(make_runtime(std::move(options)));
}

inline std::shared_ptr<LoadedModel> open_model(const std::string& path, nn::Mode mode, uint32_t n_threads = 2) {
  OpenOptions options;
  options.mode = mode;
  return value(LoadedModel::open(
      make_test_runtime(n_threads), [](const std::string& p) { return open_path(p, Access::kMap); }, path, options));
}

inline std::unique_ptr<Session> open_session(std::shared_ptr<const LoadedModel> loaded, size_t max_context = 512,
                                             std::optional<nn::KvType> kv_type = std::nullopt) {
  return value(Session::make(std::move(loaded), max_context, kv_type));
}

// Logits at every position, evaluated in stretches of `chunk` tokens.
inline std::vector<float> eval_all(Session& session, const std::vector<Token>& tokens, size_t chunk = 1 << 20) {
  const size_t vocab_size = session.loaded().model()->shape().vocab_size;
  std::vector<float> logits(tokens.size() * vocab_size);
  for (size_t at = 0; at < tokens.size(); at += chunk) {
    const size_t n = std::min(chunk, tokens.size() - at);
    ok(session.eval(std::span(tokens).subspan(at, n), logits.data() + at * vocab_size, n));
  }
  return logits;
}

inline int32_t argmax(std::span<const float> row) {
  return static_cast<int32_t>(std::max_element(row.begin(), row.end()) - row.begin());
}

}  // namespace kette::test
