// Time prefill and decode on fixed pseudo-random token ids: one JSON object on standard output.
// kette_bench MODEL --prompt 512 --decode 64 --threads 2 --reps 3 --json
// With --profile: where the time of these passes goes, phase by phase.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <fstream>
#include <iostream>
#include <kette/kette.hpp>
#include <string>
#include <vector>

#include "profile_table.h"

namespace {

struct Options {
  std::string model, isa;
  std::uint32_t prompt = 512, decode = 64, reps = 3;
  int threads = 0;
  bool exact = false, json = false, profile = false;
};

using Clock = std::chrono::steady_clock;
double seconds_since(Clock::time_point start) { return std::chrono::duration<double>(Clock::now() - start).count(); }

double median(std::vector<double> values) {
  if (values.empty()) return 0;
  std::sort(values.begin(), values.end());
  const std::size_t n = values.size();
  return n % 2 != 0 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

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
  const std::string of_decode = measured([&] { session.rewind(o.prompt).value(), decode(); });
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
  const auto model =
      kette::model::open(runtime, o.model, kette::load_options{}.set_flags(o.exact ? KETTE_MODEL_EXACT : 0)).value();
  const double load_s = seconds_since(opening);
  kette::session session(model, kette::session_options{}.set_max_context(o.prompt + o.decode + 8));

  const std::uint64_t ids = model.vocab_size() - 1;
  std::vector<kette::token> tokens(o.prompt);
  for (std::uint64_t i = 0; i < tokens.size(); ++i) tokens[i] = static_cast<kette::token>((1 + i * 7919) % ids);
  std::vector<float> logits(model.vocab_size());
  const auto prefill = [&] {
    session.rewind(0).value();
    const Clock::time_point start = Clock::now();
    if (o.prompt > 0) session.eval(tokens, logits, 1).value();
    return seconds_since(start);
  };
  const auto decode = [&] {
    const Clock::time_point start = Clock::now();
    for (std::uint64_t i = 0; i < o.decode; ++i)
      session.eval({static_cast<kette::token>((1 + i * 104729) % ids)}, logits, 1).value();
    return seconds_since(start);
  };
  if (o.profile) return profile(o, session, prefill, decode);
  std::vector<double> pp, tg;
  for (std::uint32_t rep = 0; rep <= o.reps; ++rep) {  // the first warms up
    const double prefill_s = prefill(), decode_s = decode();
    if (rep == 0) continue;
    pp.push_back(o.prompt / prefill_s);
    tg.push_back(o.decode / decode_s);
  }

  const std::string cpu = runtime.describe_cpu().value();
  const double pp_rate = o.prompt > 0 ? median(pp) : 0, tg_rate = o.decode > 0 ? median(tg) : 0;
  if (!o.json) {
    std::printf("%s: prefill %.2f tokens/s, decode %.2f tokens/s, loaded in %.2f s, %.0f MiB at most\n",
                o.model.c_str(), pp_rate, tg_rate, load_s, static_cast<double>(peak_rss()) / (1 << 20));
    return 0;
  }
  std::printf(
      "{\"engine\": \"kette\", \"model\": %s, \"prompt\": %u, \"decode\": %u, \"threads\": %d, \"reps\": %u, "
      "\"isa\": \"%s\", \"exact\": %s, \"pp\": %.2f, \"tg\": %.2f, \"load_s\": %.3f, \"peak_rss\": %llu, \"cpu\": "
      "%s}\n",
      quoted(o.model).c_str(), o.prompt, o.decode, o.threads, o.reps, member(cpu, "isa").c_str(),
      o.exact ? "true" : "false", pp_rate, tg_rate, load_s, static_cast<unsigned long long>(peak_rss()), cpu.c_str());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  Options o;
  CLI::App app("Time prefill and decode of a model.");
  app.add_option("model", o.model, "model: a GGUF file or a Hugging Face folder")->required();
  app.add_option("--prompt", o.prompt, "tokens of the prompt")->capture_default_str()->check(CLI::Range(0u, 1u << 24));
  app.add_option("--decode", o.decode, "tokens decoded after it, one by one")
      ->capture_default_str()
      ->check(CLI::Range(0u, 1u << 24));
  app.add_option("--reps", o.reps, "repetitions, besides one to warm up; rates are their median")
      ->capture_default_str()
      ->check(CLI::Range(1u, 1000u));
  app.add_option("--threads", o.threads, "threads (default: one per physical core)");
  app.add_option("--isa", o.isa, "at most this instruction set: ref, avx2, avx512, avx512_bf16, amx");
  app.add_flag("--exact", o.exact, "float32 activations");
  app.add_flag("--json", o.json, "one JSON object instead of a sentence");
  app.add_flag("--profile", o.profile, "instead of rates, where the time of a prefill and of decode steps goes");
  CLI11_PARSE(app, argc, argv);
  try {
    return run(o);
  } catch (const std::exception& e) {
    std::cerr << e.what() << '\n';
    return 1;
  }
}
