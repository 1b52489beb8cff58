// Time prefill and decode on fixed pseudo-random token ids: one JSON object on standard output.
// kette_bench MODEL --prompt 512 --decode 64 --threads 2 --reps 3 --json
// --context 8192 evaluates so many tokens before, once; --price 0.4 also tells what a million tokens cost on a machine of
// 0.4 dollars an hour that does nothing else. --sessions 8 decodes in so many sessions at once, through a scheduler; the
// rate of decoding is then that of all together. --profile tells instead where the time of these passes goes.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <iostream>
#include <kette/kette.hpp>
#include <map>
#include <string>
#include <vector>

#include "profile_table.h"

namespace {

struct Options {
  std::string model, isa, mode = "fast", kv = "default";
  std::uint32_t context = 0, prompt = 512, decode = 64, reps = 3, sessions = 0;
  int threads = 0;
  double price = 0;  // dollars an hour
  bool json = false, profile = false;
};

const std::map<std::string, std::uint32_t> kModes = {
    {"fast", 0}, {"deterministic", KETTE_MODEL_DETERMINISTIC}, {"exact", KETTE_MODEL_EXACT}};
const std::map<std::string, std::int32_t> kKvTypes = {{"default", KETTE_KV_DEFAULT},
                                                      {"f32", KETTE_KV_F32},
                                                      {"f16", KETTE_KV_F16},
                                                      {"bf16", KETTE_KV_BF16},
                                                      {"q8_0", KETTE_KV_Q8_0}};

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const std::size_t n = values.size();
  return n % 2 != 0 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

// What passes took, on the clock and on all processors together.
struct Times {
  std::vector<double> rates, cpu;  // tokens a second, CPU-seconds per 1,000 tokens

  template <class Work>
  void measure(std::uint32_t tokens, const Work& work) {
    const Clock::time_point start = Clock::now();
    const std::clock_t cpu_start = std::clock();
    work();
    if (tokens == 0) return;
    rates.push_back(tokens / seconds_since(start));
    cpu.push_back(static_cast<double>(std::clock() - cpu_start) / CLOCKS_PER_SEC / tokens * 1000);
  }
  double rate() const { return median(rates); }
  double cpu_seconds() const { return median(cpu); }
  double usd_per_million(double price) const { return rates.empty() ? 0 : price / 3600 * 1e6 / rate(); }
};

// Bytes of memory that the process ever had resident at once.
std::uint64_t peak_rss() {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;)
    if (word == "VmHWM:") {
      std::uint64_t kib = 0;
      status >> kib;
      return kib * 1024;
    }
  return 0;
}

std::string quoted(const std::string& text) {
  std::string out = "\"";
  for (const char c : text) {
    char escape[8];
    if (c == '"' || c == '\\')
      out += {'\\', c};
    else if (static_cast<unsigned char>(c) < 0x20)
      out.append(escape,
                 static_cast<std::size_t>(std::snprintf(escape, sizeof escape, "\\u%04x", static_cast<unsigned>(c))));
    else
      out += c;
  }
  return out + '"';
}

// The value of a string member of a flat JSON object.
std::string member(const std::string& json, const std::string& key) {
  const std::size_t at = json.find("\"" + key + "\"");
  if (at == std::string::npos) return "";
  const std::size_t begin = json.find('"', at + key.size() + 2);
  return begin == std::string::npos ? "" : json.substr(begin + 1, json.find('"', begin + 1) - begin - 1);
}

kette::session_options session_options(const Options& o) {
  return kette::session_options{}.set_max_context(o.context + o.prompt + o.decode + 8).set_kv_type(kKvTypes.at(o.kv));
}

std::vector<kette::token> fixed_tokens(const kette::model& model, std::uint64_t n, std::uint64_t first,
                                       std::uint64_t step) {
  std::vector<kette::token> list(n);
  for (std::uint64_t i = 0; i < n; ++i)
    list[i] = static_cast<kette::token>((first + i * step) % (model.vocab_size() - 1));
  return list;
}

// Each session goes on from its own prompt; what is measured begins when all of them have been evaluated.
Times decode_together(const kette::model& model, const Options& o) {
  kette::scheduler scheduler(model, o.sessions);
  std::vector<kette::session> sessions;
  for (std::uint32_t i = 0; i < o.sessions; ++i) {
    sessions.emplace_back(model, session_options(o));
    scheduler.add(sessions.back()).value();
  }
  kette::generate_options prompt_only, answer;
  prompt_only.flags = KETTE_GENERATE_PROMPT_ONLY;
  answer.flags = KETTE_GENERATE_IGNORE_EOS;
  answer.max_tokens = o.decode;
  answer.temperature = 0.0f;
  answer.speculation = kette::speculation::off;
  const auto start_all = [&](const kette::generate_options& options) {
    for (std::uint64_t i = 0; i < sessions.size(); ++i)
      sessions[i]
          .generate(fixed_tokens(model, std::max(o.prompt, 1u), 1 + i * 31, 7919))
          .options(options)
          .start()
          .value();
  };
  const auto finish_all = [&] {
    for (bool done = false; !done;) {
      done = scheduler.step(std::chrono::microseconds(0)).value();
      for (kette::event e; scheduler.poll(e);) {
      }
    }
  };
  Times times;
  for (std::uint32_t rep = 0; rep <= o.reps; ++rep) {
    if (rep == 1) times = {};  // the first warmed up
    start_all(prompt_only);
    finish_all();
    start_all(answer);
    times.measure(o.sessions * o.decode, finish_all);
  }
  return times;
}

// Both kinds of pass, each measured alone, after one that warms up.
template <class Prefill, class Decode>
int profile(const Options& o, kette::session& session, const Prefill& prefill, const Decode& decode) {
  prefill(), decode();
  const auto measured = [&](const auto& once) {
    session.set_profile(true).value();
    for (std::uint32_t rep = 0; rep < o.reps; ++rep) once();
    session.set_profile(false).value();
    return session.profile().value();
  };
  const std::string of_prefill = measured(prefill);
  const std::string of_decode = measured([&] { session.rewind(o.context + o.prompt).value(), decode(); });
  if (o.json) {
    std::printf("{\"engine\": \"kette\", \"model\": %s, \"prompt\": %u, \"prefill\": %s, \"decode\": %s}\n",
                quoted(o.model).c_str(), o.prompt, of_prefill.c_str(), of_decode.c_str());
    return 0;
  }
  if (o.prompt > 0) ProfileTable(of_prefill).print("prefill");
  if (o.decode > 0) ProfileTable(of_decode).print("decode");
  return 0;
}

int run(const Options& o) {
  const auto runtime =
      kette::runtime::create(kette::runtime_options{}.set_threads(o.threads).set_max_isa(o.isa)).value();
  const Clock::time_point opening = Clock::now();
  const auto model = kette::model::open(runtime, o.model, kette::load_options{}.set_flags(kModes.at(o.mode))).value();
  const double load_s = seconds_since(opening);
  kette::session session(model, session_options(o));

  const auto before = fixed_tokens(model, o.context, 1, 6101), prompt = fixed_tokens(model, o.prompt, 1, 7919);
  const auto answer = fixed_tokens(model, o.decode, 1, 104729);
  std::vector<float> logits(model.vocab_size());
  const auto evaluate_prompt = [&] {
    if (o.prompt > 0) session.eval(prompt, logits, 1).value();
  };
  const auto decode_alone = [&] {
    for (const kette::token id : answer) session.eval({id}, logits, 1).value();
  };
  Times context, prefill, decode;
  context.measure(o.context, [&] {
    if (o.context > 0) session.eval(before, logits, 1).value();
  });
  if (o.profile)
    return profile(
        o, session, [&] { session.rewind(o.context).value(), evaluate_prompt(); }, decode_alone);
  for (std::uint32_t rep = 0; rep <= o.reps; ++rep) {
    if (rep == 1) prefill = decode = {};  // the first warmed up
    session.rewind(o.context).value();
    prefill.measure(o.prompt, evaluate_prompt);
    if (o.sessions == 0) decode.measure(o.decode, decode_alone);
  }
  if (o.sessions > 0) decode = decode_together(model, o);

  const std::string cpu = runtime.describe_cpu().value();
  if (!o.json) {
    std::printf("%s: prefill %.2f tokens/s, decode %.2f tokens/s, loaded in %.2f s, %.0f MiB at most\n",
                o.model.c_str(), prefill.rate(), decode.rate(), load_s, static_cast<double>(peak_rss()) / (1 << 20));
    if (o.context > 0) std::printf("  before them: %u tokens, %.2f tokens/s\n", o.context, context.rate());
    std::printf("  CPU-seconds per 1,000 tokens: prefill %.3f, decode %.3f\n", prefill.cpu_seconds(),
                decode.cpu_seconds());
    if (o.price > 0)
      std::printf("  a million tokens: %.4f USD in, %.4f USD out, at %.4f USD an hour\n",
                  prefill.usd_per_million(o.price), decode.usd_per_million(o.price), o.price);
    return 0;
  }
  std::printf("{\"engine\": \"kette\", \"model\": %s, \"prompt\": %u, \"decode\": %u, \"sessions\": %u, ",
              quoted(o.model).c_str(), o.prompt, o.decode, o.sessions);
  std::printf("\"threads\": %d, \"reps\": %u, ", o.threads, o.reps);
  std::printf("\"isa\": \"%s\", \"mode\": \"%s\", \"kv\": \"%s\", \"pp\": %.2f, \"tg\": %.2f, ",
              member(cpu, "isa").c_str(), o.mode.c_str(), o.kv.c_str(), prefill.rate(), decode.rate());
  std::printf("\"pp_cpu_s_per_1k\": %.4f, \"tg_cpu_s_per_1k\": %.4f, ", prefill.cpu_seconds(), decode.cpu_seconds());
  if (o.context > 0)
    std::printf("\"context\": %u, \"context_tps\": %.2f, \"context_cpu_s_per_1k\": %.4f, ", o.context, context.rate(),
                context.cpu_seconds());
  if (o.price > 0)
    std::printf("\"usd_per_hour\": %.6g, \"usd_per_million_in\": %.6g, \"usd_per_million_out\": %.6g, ", o.price,
                prefill.usd_per_million(o.price), decode.usd_per_million(o.price));
  std::printf("\"load_s\": %.3f, \"peak_rss\": %llu, \"cpu\": %s}\n", load_s,
              static_cast<unsigned long long>(peak_rss()), cpu.c_str());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Options o;
  CLI::App app("Time prefill and decode of a model.");
  app.add_option("model", o.model, "model: a GGUF file or a Hugging Face folder")->required();
  app.add_option("--context", o.context, "tokens evaluated once before everything else")
      ->check(CLI::Range(0u, 1u << 24));
  app.add_option("--prompt", o.prompt, "tokens of the prompt")->capture_default_str()->check(CLI::Range(0u, 1u << 24));
  app.add_option("--decode", o.decode, "tokens decoded after it, one by one")
      ->capture_default_str()
      ->check(CLI::Range(0u, 1u << 24));
  app.add_option("--sessions", o.sessions, "so many sessions decode at once, by a scheduler (default: one, by itself)")
      ->check(CLI::Range(1u, 64u))
      ->excludes("--context");
  app.add_option("--reps", o.reps, "repetitions, besides one to warm up; rates are their median")
      ->capture_default_str()
      ->check(CLI::Range(1u, 1000u));
  app.add_option("--threads", o.threads, "threads (default: one per physical core)");
  app.add_option("--isa", o.isa, "at most this instruction set: ref, avx2, avx512, avx512_bf16, amx");
  app.add_option("--price", o.price, "dollars an hour of this machine: tells what a million tokens cost")
      ->check(CLI::PositiveNumber);
  app.add_option("--mode", o.mode, "fast, deterministic, or exact: float32 activations")
      ->capture_default_str()
      ->check(CLI::IsMember(kModes));
  app.add_option("--kv", o.kv, "type of the cached keys and values")
      ->capture_default_str()
      ->check(CLI::IsMember(kKvTypes));
  app.add_flag("--json", o.json, "one JSON object instead of a sentence");
  app.add_flag("--profile", o.profile, "instead of rates, where the time of a prefill and of decode steps goes")
      ->excludes("--sessions");
  CLI11_PARSE(app, argc, argv);
  try {
    return run(o);
  } catch (const std::exception& e) {
    std::cerr << e.what() << '\n';
    return 1;
  }
}
