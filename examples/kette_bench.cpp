// Time prefill and decode on fixed pseudo-random token ids: one JSON object on standard output.
// kette_bench MODEL --prompt 512 --decode 64 --threads 2 --reps 3 --json
// With --sessions N, N of them decode at once through a scheduler, and the rate of decoding is that of all together.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <fstream>
#include <iostream>
#include <kette/kette.hpp>
#include <string>
#include <vector>

namespace {

struct Options {
  std::string model, isa;
  std::uint32_t prompt = 512, decode = 64, reps = 3, sessions = 0;
  int threads = 0;
  bool exact = false, json = false;
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

double processor_seconds() { return static_cast<double>(std::clock()) / CLOCKS_PER_SEC; }

// Tokens a second of N sessions together, and the processor's seconds that one of them takes.
struct Together {
  double rate = 0, cpu_s = 0;
};

// Each goes on from its own prompt; what is timed begins when all of them have been evaluated.
Together decode_together(const kette::model& model, const Options& o) {
  const std::uint64_t ids = model.vocab_size() - 1;
  kette::scheduler scheduler(model, o.sessions);
  std::vector<kette::session> sessions;
  for (std::uint32_t i = 0; i < o.sessions; ++i) {
    sessions.emplace_back(model, kette::session_options{}.set_max_context(o.prompt + o.decode + 8));
    scheduler.add(sessions.back()).value();
  }
  std::vector<double> rates, costs;
  kette::generate_options prompt_only, decode;
  prompt_only.flags = KETTE_GENERATE_PROMPT_ONLY;
  decode.flags = KETTE_GENERATE_IGNORE_EOS;
  decode.max_tokens = o.decode;
  decode.temperature = 0.0f;
  decode.speculation = kette::speculation::off;
  const auto start_all = [&](const kette::generate_options& options) {
    std::vector<kette::token> prompt(std::max(o.prompt, 1u));
    for (std::uint64_t i = 0; i < sessions.size(); ++i) {
      for (std::uint64_t k = 0; k < prompt.size(); ++k)
        prompt[k] = static_cast<kette::token>((1 + i * 31 + k * 7919) % ids);
      sessions[i].generate(prompt).options(options).start().value();
    }
  };
  const auto finish_all = [&] {
    for (bool done = false; !done;) {
      done = scheduler.step(std::chrono::microseconds(0)).value();
      for (kette::event e; scheduler.poll(e);) {
      }
    }
  };
  for (std::uint32_t rep = 0; rep <= o.reps; ++rep) {  // the first warms up
    start_all(prompt_only);
    finish_all();
    start_all(decode);
    const Clock::time_point start = Clock::now();
    const double cpu = processor_seconds();
    finish_all();
    const double tokens = static_cast<double>(o.sessions) * o.decode;
    if (rep == 0) continue;
    rates.push_back(tokens / seconds_since(start));
    costs.push_back((processor_seconds() - cpu) / tokens);
  }
  return {median(rates), median(costs)};
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
  std::vector<kette::token> prompt(o.prompt);
  for (std::uint64_t i = 0; i < prompt.size(); ++i) prompt[i] = static_cast<kette::token>((1 + i * 7919) % ids);
  std::vector<float> logits(model.vocab_size());
  std::vector<double> pp, tg, cost;
  for (std::uint32_t rep = 0; rep <= o.reps; ++rep) {  // the first warms up
    session.rewind(0).value();
    Clock::time_point start = Clock::now();
    if (o.prompt > 0) session.eval(prompt, logits, 1).value();
    const double prefill_s = seconds_since(start);
    if (o.sessions > 0) {
      if (rep > 0) pp.push_back(o.prompt / prefill_s);
      continue;
    }
    start = Clock::now();
    const double cpu_s = processor_seconds();
    for (std::uint64_t i = 0; i < o.decode; ++i)
      session.eval({static_cast<kette::token>((1 + i * 104729) % ids)}, logits, 1).value();
    const double decode_s = seconds_since(start);
    if (rep == 0) continue;
    pp.push_back(o.prompt / prefill_s);
    tg.push_back(o.decode / decode_s);
    cost.push_back((processor_seconds() - cpu_s) / o.decode);
  }
  Together decoding{median(tg), median(cost)};
  if (o.sessions > 0 && o.decode > 0) decoding = decode_together(model, o);

  const std::string cpu = runtime.describe_cpu().value();
  const double pp_rate = o.prompt > 0 ? median(pp) : 0, tg_rate = o.decode > 0 ? decoding.rate : 0;
  if (!o.json) {
    std::printf("%s: prefill %.2f tokens/s, decode %.2f tokens/s, loaded in %.2f s, %.0f MiB at most\n",
                o.model.c_str(), pp_rate, tg_rate, load_s, static_cast<double>(peak_rss()) / (1 << 20));
    return 0;
  }
  std::printf(
      "{\"engine\": \"kette\", \"model\": %s, \"prompt\": %u, \"decode\": %u, \"sessions\": %u, \"threads\": %d, "
      "\"reps\": %u, "
      "\"isa\": \"%s\", \"exact\": %s, \"pp\": %.2f, \"tg\": %.2f, \"tg_cpu_s\": %.6f, \"load_s\": %.3f, \"peak_rss\": "
      "%llu, \"cpu\": "
      "%s}\n",
      quoted(o.model).c_str(), o.prompt, o.decode, o.sessions, o.threads, o.reps, member(cpu, "isa").c_str(),
      o.exact ? "true" : "false", pp_rate, tg_rate, o.decode > 0 ? decoding.cpu_s : 0, load_s,
      static_cast<unsigned long long>(peak_rss()), cpu.c_str());
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
  app.add_option("--sessions", o.sessions, "so many sessions decode at once, by a scheduler (default: one, by itself)")
      ->check(CLI::Range(1u, 64u));
  app.add_option("--reps", o.reps, "repetitions, besides one to warm up; rates are their median")
      ->capture_default_str()
      ->check(CLI::Range(1u, 1000u));
  app.add_option("--threads", o.threads, "threads (default: one per physical core)");
  app.add_option("--isa", o.isa, "at most this instruction set: ref, avx2, avx512, avx512_bf16, amx");
  app.add_flag("--exact", o.exact, "float32 activations");
  app.add_flag("--json", o.json, "one JSON object instead of a sentence");
  CLI11_PARSE(app, argc, argv);
  try {
    return run(o);
  } catch (const std::exception& e) {
    std::cerr << e.what() << '\n';
    return 1;
  }
}
