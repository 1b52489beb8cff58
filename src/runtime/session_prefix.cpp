// What sessions of a model take over from each other: beginnings that they have in common.
#include <algorithm>

#include "runtime/scheduler.h"

namespace kette {

// What need not be evaluated of a prompt: of the session's own tokens, and of pages that others made. `ahead_too`: the
// module's layer is wanted for every position.
Session::Reuse Session::reuse(std::span<const Token> prompt, bool ahead_too) const {
  // At least the last token is evaluated again: its logits choose the first new one.
  const size_t most = prompt.size() - 1;
  const auto same = std::mismatch(tokens_.begin(), tokens_.end(), prompt.begin(), prompt.end() - 1);
  Reuse own;
  own.own = own.kept = static_cast<size_t>(same.first - tokens_.begin());
  own.ahead = std::min(ahead_length_, own.kept > 0 ? own.kept - 1 : 0);
  PrefixIndex* index = loaded_->prefixes();
  if (index == nullptr || prompt.size() < KETTE_KV_PAGE) return own;
  const std::vector<PrefixIndex::Page> found = index->find({kv_.type(), adapters_.key()}, prompt);
  const auto take = [&](size_t from, size_t to, size_t kept, size_t ahead) {
    Reuse out{own.own, std::min(kept, most), std::min(ahead, most), from, {}};
    for (size_t i = from; i < to; ++i) out.pages.push_back(found[i].page);
    return out;
  };
  // As far as the module's layer goes: to a page's end if its last position was made with the token that follows here.
  const size_t first = own.ahead / KETTE_KV_PAGE;
  size_t last = first, ahead = own.ahead;
  for (bool whole = true; model().looks_ahead() && whole && last < found.size() && found[last].next >= 0; ++last) {
    const size_t end = (last + 1) * KETTE_KV_PAGE;
    whole = end < prompt.size() && found[last].next == prompt[end];
    ahead = whole ? end : end - 1;
  }
  const size_t known = found.size() * KETTE_KV_PAGE;
  const bool reaches = ahead > own.ahead && std::min(ahead, most) + 1 >= std::min(std::max(known, own.kept), most);
  if (ahead > own.ahead && (ahead_too || reaches)) return take(first, last, ahead, ahead);
  if (ahead_too || known <= own.kept) return own;
  const size_t from = own.kept / KETTE_KV_PAGE;
  return take(from, found.size(), known, std::min<size_t>(own.ahead, from * KETTE_KV_PAGE));
}

// Whole pages that nobody will write to any more become known to the model's other sessions. What was loaded from a file
// does not, nor what was evaluated after it: others need not believe it.
void Session::publish() {
  PrefixIndex* index = loaded_->prefixes();
  if (index == nullptr || loaded_length_ > 0) return;
  size_t pages = length() / KETTE_KV_PAGE;
  // The module writes to a page once more when the token after it is known.
  if (work_ && work_->answer.options().speculation == Speculation::kLookAhead)
    pages = std::min({pages, ahead_length_ / KETTE_KV_PAGE, length() > 0 ? (length() - 1) / KETTE_KV_PAGE : 0});
  if (pages <= published_) return;
  try {
    std::vector<PrefixIndex::Page> known(pages);
    for (size_t i = 0; i < pages; ++i) {
      const size_t end = (i + 1) * KETTE_KV_PAGE;
      known[i] = {kv_.page(i), ahead_length_ >= end && length() > end ? tokens_[end] : -1};
    }
    index->add({kv_.type(), adapters_.key()}, tokens_, known);
  } catch (const std::bad_alloc&) {  // then others do not know
  }
  published_ = pages;
}

// Positions from n on are no longer wanted.
void Session::drop_behind(size_t n) {
  tokens_.resize(n);
  loaded_length_ = std::min(loaded_length_, n);
  published_ = std::min(published_, n / KETTE_KV_PAGE);
  kv_.drop_behind(n);
  if (PrefixIndex* index = loaded_->prefixes()) index->trim();
}

Session::~Session() {
  if (scheduler_ != nullptr) scheduler_->forget(*this);
  kv_.clear();
  if (PrefixIndex* index = loaded_->prefixes()) index->trim();
}

}  // namespace kette
