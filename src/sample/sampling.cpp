// Which sampling parameters are accepted.
#include <cmath>

#include "sample/sampler.h"

namespace kette {
namespace {

Status within(const char* field, float value, float least, float most) {
  if (value >= least && value <= most) return {};  // false for NaN
  return error(Code::kInvalidArgument, "sampling.{}: found {}, expected {} to {}", field, value, least, most);
}

Status at_least(const char* field, int32_t value, int32_t least) {
  if (value >= least) return {};
  return error(Code::kInvalidArgument, "sampling.{}: found {}, expected at least {}", field, value, least);
}

}  // namespace

// The bounds are far beyond use; they keep sums and products of adjusted logits finite.
Status validate(const Sampling& sampling, int32_t vocab_size) {
  KETTE_TRY(within("temperature", sampling.temperature, 0.0f, 1000.0f));
  KETTE_TRY(within("top_p", sampling.top_p, 0.0f, 1.0f));
  KETTE_TRY(within("min_p", sampling.min_p, 0.0f, 1.0f));
  KETTE_TRY(at_least("top_k", sampling.top_k, 0));
  KETTE_TRY(within("repetition_penalty", sampling.repetition_penalty, 0.01f, 100.0f));
  KETTE_TRY(within("presence_penalty", sampling.presence_penalty, -1000.0f, 1000.0f));
  KETTE_TRY(within("frequency_penalty", sampling.frequency_penalty, -1000.0f, 1000.0f));
  KETTE_TRY(at_least("penalty_window", sampling.penalty_window, -1));
  for (size_t i = 0; i < sampling.logit_bias.size(); ++i) {
    const auto [token, bias] = sampling.logit_bias[i];
    if (token < 0 || token >= vocab_size)
      return error(Code::kInvalidArgument, "sampling.logit_bias[{}]: found token {}, expected 0 to {}", i, token,
                   int64_t{vocab_size} - 1);
    if (!(std::fabs(bias) <= 1e30f))
      return error(Code::kInvalidArgument, "sampling.logit_bias[{}]: found {}, expected -1e30 to 1e30", i, bias);
  }
  return {};
}

}  // namespace kette
