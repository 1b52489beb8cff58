// Time prefill and decode on fixed pseudo-random token ids: one JSON object on standard output.
// kette_bench MODEL --prompt 512 --decode 64 --threads 2 --reps 3 --json
// --context 8192 evaluates so many tokens before, once; --price 0.4 also tells what a million tokens cost on a machine of
// 0.4 dollars an hour that does nothing else.
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
  std::uint32_t context = 0, prompt = 512, decode = 64, reps = 3;
  int threads = 0;
  double price = 0;  // dollars an hour
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

int run(const Options& o) {
  const auto runtime =
      kette::runtime::create(kette::runtime_options{}.set_threads(o.threads).set_max_isa(o.isa)).value();
  const Clock::time_point opening = Clock::now();
  const auto model =
      kette::model::open(runtime, o.model, kette::load_options{}.set_flags(o.exact ? KETTE_MODEL_EXACT : 0)).value();
  const double load_s = seconds_since(opening);
  kette::session session(model, kette::session_options{}.set_max_context(o.context + o.prompt + o.decode + 8));

  const std::uint64_t ids = model.vocab_size() - 1;
  const auto tokens = [&](std::uint32_t n, std::uint64_t step) {
    std::vector<kette::token> list(n);
    for (std::uint64_t i = 0; i < n; ++i) list[i] = static_cast<kette::token>((1 + i * step) % ids);
    return list;
  };
  const std::vector<kette::token> before = tokens(o.context, 6101), prompt = tokens(o.prompt, 7919);
  const std::vector<kette::token> answer = tokens(o.decode, 104729);
  std::vector<float> logits(model.vocab_size());
  Times context, prefill, decode;
  context.measure(o.context, [&] {
    if (o.context > 0) session.eval(before, logits, 1).value();
  });
  for (std::uint32_t rep = 0; rep <= o.reps; ++rep) {
    if (rep == 1) prefill = decode = {};  // the first warmed up
    session.rewind(o.context).value();
    prefill.measure(o.prompt, [&] {
      if (o.prompt > 0) session.eval(prompt, logits, 1).value();
    });
    decode.measure(o.decode, [&] {
      for (const kette::token id : answer) session.eval({id}, logits, 1).value();
    });
  }

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
  std::printf("{\"engine\": \"kette\", \"model\": %s, \"prompt\": %u, \"decode\": %u, \"threads\": %d, \"reps\": %u, ",
              quoted(o.model).c_str(), o.prompt, o.decode, o.threads, o.reps);
  std::printf("\"isa\": \"%s\", \"exact\": %s, \"pp\": %.2f, \"tg\": %.2f, ", member(cpu, "isa").c_str(),
              o.exact ? "true" : "false", prefill.rate(), decode.rate());
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
  app.add_option("--reps", o.reps, "repetitions, besides one to warm up; rates are their median")
      ->capture_default_str()
      ->check(CLI::Range(1u, 1000u));
  app.add_option("--threads", o.threads, "threads (default: one per physical core)");
  app.add_option("--isa", o.isa, "at most this instruction set: ref, avx2, avx512, avx512_bf16, amx");
  app.add_option("--price", o.price, "dollars an hour of this machine: tells what a million tokens cost")
      ->check(CLI::PositiveNumber);
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
