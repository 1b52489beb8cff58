// A session saved and loaded goes on with the same bits; what is damaged, cut or of another session is refused.
#include "runtime/session_file.h"

#include <doctest/doctest.h>

#include "base/checksum.h"
#include "support/folder.h"
#include "support/memory.h"

using namespace kette;
using namespace kette::test;

namespace {

Status load(Session& session, const std::string& bytes) {
  return session.load(*open_memory(std::as_bytes(std::span(bytes)), "saved"));
}

SavedHeader header_of(const std::string& bytes) {
  SavedHeader header;
  std::memcpy(&header, bytes.data(), sizeof header);
  return header;
}

// Bytes of the front: no adapter, tokens, checksums of pages.
size_t padded_front(const std::string& bytes) {
  const uint64_t n = header_of(bytes).tokens;
  return (4 * n + 7) / 8 * 8 + 8 * nn::kv_pages(n);
}

// With a header changed by `change`, its checksum made to fit.
template <class F>
std::string with_header(std::string bytes, const F& change) {
  SavedHeader header = header_of(bytes);
  change(header);
  header.header_sum = header.sum();
  std::memcpy(bytes.data(), &header, sizeof header);
  return bytes;
}

void refuses(Session& session, const std::string& bytes, Code code, const char* word) {
  const Status status = load(session, bytes);
  CHECK(status.code() == code);
  CAPTURE(status.message());
  CHECK(status.message().find(word) != std::string::npos);
}

}  // namespace

TEST_CASE("what goes on from a saved session has the bits of one that never stopped") {
  for (const std::string& path : {llama_path(), latent_path(), module_path()})
    for (const nn::KvType type : {nn::KvType::kF16, nn::KvType::kF32, nn::KvType::kBf16, nn::KvType::kQ8_0})
      for (const nn::Mode mode : {nn::Mode::kFast, nn::Mode::kExact}) {
        CAPTURE(path);
        CAPTURE(static_cast<int>(type));
        CAPTURE(static_cast<int>(mode));
        const Metered m = open_metered(path, mode);
        const Ids prompt = some_ids(*m.loaded, 100), more = some_ids(*m.loaded, 40, 3);
        GenerateOptions options = greedy(40);
        options.max_draft = 2;
        const auto straight = open_session(m.loaded, 512, type);
        const Ids begun = ask(*straight, prompt, options);
        const std::string bytes = saved(*straight);
        CHECK(saved(*straight) == bytes);
        const Ids whole = prompt + begun + more;
        const Ids expected = ask(*straight, whole, options);
        const uint64_t cached = straight->metrics().cached_tokens;
        CHECK(cached > 130);

        const auto loaded = open_session(m.loaded, 300, type);
        eval_all(*loaded, more);
        ok(load(*loaded, bytes));
        CHECK(loaded->length() == prompt.size() + begun.size() - 1);
        CHECK(saved(*loaded) == bytes);
        CHECK(ask(*loaded, whole, options) == expected);
        CHECK(loaded->metrics().cached_tokens == cached);

        // Bit by bit, also from the middle of a page, and by a fork of the loaded one.
        const auto other = open_session(m.loaded, 300, type);
        ok(load(*other, bytes));
        const auto fork = value(other->fork());
        ok(load(*straight, bytes));
        const std::vector<float> logits = eval_all(*straight, more);
        CHECK(eval_all(*other, more) == logits);
        CHECK(eval_all(*fork, more) == logits);
      }
}

TEST_CASE("a session is saved with any number of tokens, none too") {
  const Metered m = open_metered(module_path(), nn::Mode::kDeterministic);
  const Ids ids = some_ids(*m.loaded, 129);
  for (const size_t n : {size_t{0}, size_t{1}, size_t{63}, size_t{64}, size_t{65}, size_t{128}, size_t{129}}) {
    const auto session = open_session(m.loaded, 200), loaded = open_session(m.loaded, std::max<size_t>(n, 1));
    if (n > 0) eval_all(*session, Ids(ids.begin(), ids.begin() + static_cast<ptrdiff_t>(n)));
    ok(load(*loaded, saved(*session)));
    CHECK(loaded->length() == n);
    CHECK(loaded->kv_bytes() == session->kv_bytes());
    if (n > 0) ok(loaded->rewind(n - 1)), ok(session->rewind(n - 1));
    CHECK(eval_all(*loaded, {5}) == eval_all(*session, {5}));
  }
}

TEST_CASE("any byte that is missing, too many or other is found, and a refusal changes nothing") {
  for (const std::string& path : {llama_path(), module_path()}) {
    const Metered m = open_metered(path, nn::Mode::kDeterministic);
    const auto session = open_session(m.loaded);
    const Ids prompt = some_ids(*m.loaded, 70);
    ask(*session, prompt, greedy(5));
    const std::string good = saved(*session);
    const auto victim = open_session(m.loaded);
    eval_all(*victim, {1, 2, 3});
    const std::string before = saved(*victim);
    const size_t front = sizeof(SavedHeader) + padded_front(good);
    size_t tried = 0;
    const auto must_fail = [&](const std::string& bytes, size_t at) {
      CAPTURE(at);
      const Status status = load(*victim, bytes);
      CHECK(!status.ok());
      CHECK((status.code() == Code::kCorrupt || status.code() == Code::kFormat || status.code() == Code::kUnsupported));
      ++tried;
    };
    // Every byte of the header and the front, and a byte here and there of the pages.
    for (size_t at = 0; at < good.size(); at += at < front ? 1 : 1 + good.size() / 200) {
      std::string damaged = good;
      damaged[at] = static_cast<char>(damaged[at] ^ (1 << at % 8));
      must_fail(damaged, at);
    }
    for (size_t size = 0; size < good.size(); size += size < front ? 1 : 1 + good.size() / 100)
      must_fail(good.substr(0, size), size);
    must_fail(good.substr(0, good.size() - 1), good.size() - 1);
    must_fail(good + '\0', good.size() + 1);
    CHECK(tried > 2 * front);
    CHECK(saved(*victim) == before);
    CHECK(victim->length() == 3);
    ok(load(*victim, good));
  }
}

TEST_CASE("a header that lies is refused before it costs anything, and told what it lies about") {
  const Metered m = open_metered(module_path(), nn::Mode::kDeterministic);
  const auto session = open_session(m.loaded);
  ask(*session, some_ids(*m.loaded, 70), greedy(5));
  const std::string good = saved(*session);
  const auto victim = open_session(m.loaded);
  const int64_t taken = m.meter->kv_taken;
  const auto lies = [&](auto change, Code code, const char* word) {
    refuses(*victim, with_header(good, change), code, word);
  };
  lies([](SavedHeader& h) { h.magic[0] = 'X'; }, Code::kFormat, "not a saved session");
  lies([](SavedHeader& h) { h.version = 2; }, Code::kUnsupported, "version 2");
  lies([](SavedHeader& h) { h.order = 0x04030201; }, Code::kUnsupported, "byte order");
  lies([](SavedHeader& h) { ++h.model[1]; }, Code::kInvalidArgument, "another model");
  lies([](SavedHeader& h) { ++h.vocab_size; }, Code::kInvalidArgument, "vocabulary");
  lies([](SavedHeader& h) { --h.main_layers; }, Code::kInvalidArgument, "layers");
  lies([](SavedHeader& h) { ++h.layers; }, Code::kInvalidArgument, "layers");
  lies([](SavedHeader& h) { h.heads = UINT64_MAX; }, Code::kInvalidArgument, "heads");
  lies([](SavedHeader& h) { h.key_dim = 0; }, Code::kInvalidArgument, "numbers");
  lies([](SavedHeader& h) { h.value_dim = 1; }, Code::kInvalidArgument, "numbers");
  lies([](SavedHeader& h) { h.kv_type = 0; }, Code::kInvalidArgument, "f32");
  lies([](SavedHeader& h) { h.kv_type = 77; }, Code::kInvalidArgument, "unknown type");
  lies([](SavedHeader& h) { h.page = 128; }, Code::kUnsupported, "pages of 128");
  lies([](SavedHeader& h) { h.mode = 3; }, Code::kCorrupt, "mode 3");
  lies([](SavedHeader& h) { h.reserved = 1; }, Code::kCorrupt, "header");
  for (const uint64_t n : {uint64_t{513}, uint64_t{1} << 62, UINT64_MAX})
    lies([&](SavedHeader& h) { h.tokens = n; }, Code::kContextFull, "holds 512");
  lies([](SavedHeader& h) { --h.tokens; }, Code::kCorrupt, "bytes in all");
  lies([](SavedHeader& h) { ++h.tokens; }, Code::kCorrupt, "bytes in all");
  lies([](SavedHeader& h) { h.ahead_length = h.tokens + 1; }, Code::kCorrupt, "prediction module");
  lies([](SavedHeader& h) { h.ahead_length = 0; }, Code::kCorrupt, "bytes in all");
  lies([](SavedHeader& h) { h.adapter_bytes = UINT64_MAX; }, Code::kCorrupt, "adapter");
  lies([](SavedHeader& h) { h.adapter_bytes = 8; }, Code::kCorrupt, "bytes in all");
  lies([](SavedHeader& h) { h.total_bytes = 0; }, Code::kCorrupt, "bytes in all");
  lies([](SavedHeader& h) { ++h.front_sum; }, Code::kCorrupt, "front");
  // A token that the model does not have, under checksums that fit.
  std::string tokens = good;
  const Token wrong = static_cast<Token>(header_of(good).vocab_size);
  std::memcpy(tokens.data() + sizeof(SavedHeader) + 8, &wrong, sizeof wrong);
  refuses(*victim,
          with_header(tokens,
                      [&](SavedHeader& h) {
                        h.front_sum = checksum(std::as_bytes(std::span(tokens)).subspan(sizeof h, padded_front(good)));
                      }),
          Code::kCorrupt, "token 2 is");
  CHECK(m.meter->kv_taken == taken);
  CHECK(victim->length() == 0);
}

TEST_CASE("only the same model, KV type and a long enough context take a saved session") {
  const Metered m = open_metered(llama_path(), nn::Mode::kDeterministic);
  const auto session = open_session(m.loaded);
  const Ids prompt = some_ids(*m.loaded, 80);
  eval_all(*session, prompt);
  const std::string bytes = saved(*session);
  refuses(*open_session(m.loaded, 512, nn::KvType::kF32), bytes, Code::kInvalidArgument, "f16");
  refuses(*open_session(m.loaded, 79), bytes, Code::kContextFull, "80 tokens, the session holds 79");
  ok(load(*open_session(m.loaded, 80), bytes));
  // The same shapes, other weights: by their type, or encoded while opening.
  const std::string q8 = (golden_roots()[0] / "models/llama/gguf/llama-Q8_0.gguf").string();
  refuses(*open_session(open_metered(q8, nn::Mode::kDeterministic).loaded), bytes, Code::kInvalidArgument,
          "another model");
  OpenOptions encoded;
  encoded.weight_type = "head=q8_0";
  const std::string f32 = (golden_roots()[0] / "models/llama/gguf/llama-F32.gguf").string();
  const auto plain = open_session(open_metered(f32, nn::Mode::kFast).loaded);
  eval_all(*plain, prompt);
  const std::string of_plain = saved(*plain);
  refuses(*open_session(open_metered(f32, encoded).loaded), of_plain, Code::kInvalidArgument, "another model");
  // Another mode is another rounding only; so is another opening none.
  const auto exact = open_session(open_metered(f32, nn::Mode::kExact).loaded, 512, nn::KvType::kF16);
  ok(load(*exact, of_plain));
  CHECK(saved(*exact).substr(sizeof(SavedHeader)) == of_plain.substr(sizeof(SavedHeader)));

  ok(session->begin(prompt, greedy(2)));
  CHECK(session->save().status().code() == Code::kMisuse);
  CHECK(load(*session, bytes).code() == Code::kMisuse);
  CHECK(session->generating());
}

TEST_CASE("a saved file appears whole or not at all") {
  const Metered m = open_metered(llama_path(), nn::Mode::kDeterministic);
  const auto session = open_session(m.loaded);
  eval_all(*session, some_ids(*m.loaded, 80));
  const Folder folder;
  const std::string path = folder / "talk.kette";
  ok(session->save_file(path));
  CHECK(read_file(path) == saved(*session));
  ok(session->rewind(10));
  ok(session->save_file(path));  // takes the other's place
  CHECK(read_file(path) == saved(*session));
  CHECK(folder.names() == std::set<std::string>{"talk.kette"});
  CHECK(session->save_file(folder / "no/such.kette").code() == Code::kNotFound);
  const auto loaded = open_session(m.loaded);
  ok(loaded->load(*value(open_path(path, Access::kRead))));
  CHECK(loaded->length() == 10);
}

TEST_CASE("loading finds no memory at any one place and changes nothing") {
  const Metered m = open_metered(llama_path(), nn::Mode::kDeterministic);
  const auto session = open_session(m.loaded), victim = open_session(m.loaded);
  eval_all(*session, some_ids(*m.loaded, 150));
  eval_all(*victim, {1, 2, 3});
  const std::string bytes = saved(*session), before = saved(*victim);
  for (int64_t at = 1; at <= 3; ++at) {  // three pages
    m.meter->fail_at = at;
    CHECK_THROWS_AS((void)load(*victim, bytes), std::bad_alloc);
    CHECK(saved(*victim) == before);
  }
  m.meter->fail_at = 0;
  ok(load(*victim, bytes));
}
