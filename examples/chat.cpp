// Chat with a model in the terminal: chat --model MODEL.gguf; with --prompt one question and its answer.
// The answer goes to standard output; what the model thinks before it (grey), progress, speed and complaints go to standard
// error.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <iostream>
#include <kette/kette.hpp>
#include <optional>
#include <string>

namespace {

struct Options {
  std::string model, system, prompt;
  int threads = 0;
  std::uint32_t context = 0;
  std::string think;
  kette::generate_options generate;
};

kette_cancel* interrupted = nullptr;  // of the answer under way

// Ctrl-C ends the answer; without one it ends the program, as ever.
class StopOnCtrlC {
 public:
  explicit StopOnCtrlC(const kette::cancel& cancel) {
    cancel.reset();
    interrupted = cancel.raw();
    struct sigaction action = {};
    action.sa_handler = [](int) { kette_cancel_trigger(interrupted); };
    action.sa_flags = SA_RESTART;
    sigaction(SIGINT, &action, &before_);
  }
  ~StopOnCtrlC() { sigaction(SIGINT, &before_, nullptr); }
  StopOnCtrlC(const StopOnCtrlC&) = delete;
  StopOnCtrlC& operator=(const StopOnCtrlC&) = delete;

 private:
  struct sigaction before_ = {};
};

class ProgressBar {
 public:
  bool operator()(std::uint64_t done, std::uint64_t total) {
    const auto percent =
        static_cast<int>(total > 0 ? 100.0 * static_cast<double>(done) / static_cast<double>(total) : 0);
    if (!visible_ || percent == shown_) return true;
    shown_ = percent;
    const std::string bar(static_cast<std::size_t>(percent * 30 / 100), '#');
    std::fprintf(stderr, "\rloading [%-30s] %3d %%", bar.c_str(), percent);
    return true;
  }
  void clear() const {
    if (shown_ >= 0) std::fputs("\r\x1b[K", stderr);
  }

 private:
  bool visible_ = isatty(STDERR_FILENO) != 0;
  int shown_ = -1;
};

const char* how_it_ended(kette::finish_reason reason) {
  switch (reason) {
    case kette::finish_reason::length: return ", stopped at --max-tokens";
    case kette::finish_reason::context_full: return ", the context is full: /reset or a larger --context";
    case kette::finish_reason::cancelled: return ", stopped";
    default: return "";
  }
}

// Why the thinking ended, where it was not the model's own doing.
const char* how_thinking_ended(kette::reasoning_end end) {
  switch (end) {
    case kette::reasoning_end::budget: return ", closed by --think";
    case kette::reasoning_end::loop: return ", closed: it ran in circles";
    case kette::reasoning_end::cut: return ", cut";
    default: return "";
  }
}

// Thoughts grey on standard error, the answer on standard output.
class Printer {
 public:
  void operator()(const kette::event& event) {
    if (event.is_reasoning() && !event.text().empty()) {
      if (!thinking_ && tty_) std::fputs("\x1b[90m", stderr);
      thinking_ = true;
      std::fwrite(event.text().data(), 1, event.text().size(), stderr);
    } else if (event.is_text() && !event.text().empty()) {
      end_thought();
      std::cout << event.text() << std::flush;
    }
  }
  void end_thought() {
    if (thinking_) std::fputs(tty_ ? "\x1b[0m\n\n" : "\n\n", stderr);
    thinking_ = false;
  }

 private:
  bool tty_ = isatty(STDERR_FILENO) != 0, thinking_ = false;
};

// Stream one answer; false if it failed, after saying why.
bool answer(kette::session& session, const std::string& question, const Options& options, const kette::cancel& cancel) {
  kette::finish_reason reason = kette::finish_reason::none;
  {
    const StopOnCtrlC guard(cancel);
    auto request = session.chat(question);
    request.options(options.generate).cancel(cancel);
    Printer print;
    for (const kette::event& event : request.stream()) {
      print(event);
      reason = event.reason();
    }
    print.end_thought();
  }
  std::cout << std::endl;
  if (!session.status()) {
    std::cerr << session.status().error().message() << '\n';
    return false;
  }
  const auto metrics = session.metrics();
  if (metrics && metrics->generated_tokens > 0) {
    const auto rate = [](std::uint64_t tokens, std::chrono::microseconds time) {
      return time.count() > 0 ? 1e6 * static_cast<double>(tokens) / static_cast<double>(time.count()) : 0.0;
    };
    // The first token comes out of the prefill.
    std::string thought;
    if (metrics->reasoning_tokens > 0)
      thought = " (" + std::to_string(metrics->reasoning_tokens) + " of them thinking" +
                how_thinking_ended(metrics->reasoning_end) + ")";
    std::fprintf(stderr, "[%llu tokens%s, %.1f tokens/s; prompt %llu, %.1f tokens/s%s]\n",
                 static_cast<unsigned long long>(metrics->generated_tokens), thought.c_str(),
                 rate(metrics->generated_tokens - 1, metrics->decode),
                 static_cast<unsigned long long>(metrics->prompt_tokens),
                 rate(metrics->prompt_tokens - metrics->cached_tokens, metrics->prefill), how_it_ended(reason));
  }
  return true;
}

void begin_conversation(kette::session& session, const Options& options) {
  session.reset().value();
  if (!options.system.empty()) session.messages().push_back({"system", options.system});
}

int converse(kette::session& session, const Options& options, const kette::cancel& cancel) {
  std::fputs("/reset starts over, /exit ends, Ctrl-C stops an answer.\n", stderr);
  for (std::string line;;) {
    std::cout << "> " << std::flush;
    if (!std::getline(std::cin, line)) {
      std::cout << '\n';
      break;
    }
    if (line == "/exit") break;
    if (line == "/reset")
      begin_conversation(session, options);
    else if (!line.empty())
      answer(session, line, options, cancel);
  }
  return 0;
}

int run(const Options& options) {
  const auto runtime = kette::runtime::create(kette::runtime_options{}.set_threads(options.threads)).value();
  ProgressBar bar;
  const auto opened = kette::model::open(runtime, options.model, kette::load_options{}.set_progress(std::ref(bar)));
  bar.clear();
  const kette::model& model = opened.value();
  kette::session session(model, kette::session_options{}.set_max_context(options.context));
  begin_conversation(session, options);
  const kette::cancel cancel;
  if (options.prompt.empty()) return converse(session, options, cancel);
  std::cout << "> " << options.prompt << std::endl;
  return answer(session, options.prompt, options, cancel) ? 0 : 1;
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  std::optional<float> temperature;
  std::optional<std::uint64_t> seed;
  CLI::App app("Chat with a model in the terminal.");
  app.add_option("-m,--model", options.model, "model: a GGUF file or a Hugging Face folder")->required();
  app.add_option("-p,--prompt", options.prompt, "ask this one question and end");
  app.add_option("-s,--system", options.system, "system message");
  app.add_option("-t,--temp", temperature,
                 "temperature; 0: always the likeliest token (default: 0 with --prompt, else the model's)");
  app.add_option("--seed", seed, "seed of the sampler (default: from the clock)");
  app.add_option("--threads", options.threads, "threads (default: one per physical core)");
  app.add_option("--think", options.think,
                 "on, off, or the most tokens of thinking (default: as the model's template has it)");
  app.add_option("-n,--max-tokens", options.generate.max_tokens,
                 "longest answer, in tokens (default: until the context is full)");
  app.add_option("-c,--context", options.context,
                 "longest conversation, in tokens (default: the model's, at most 4096)");
  CLI11_PARSE(app, argc, argv);
  if (options.think == "on") {
    options.generate.reasoning = kette::reasoning::on;
  } else if (options.think == "off" || options.think == "0") {
    options.generate.reasoning = kette::reasoning::off;
  } else if (!options.think.empty()) {
    if (!CLI::detail::lexical_cast(options.think, options.generate.reasoning_max_tokens)) {
      std::cerr << "--think: " << options.think << ", expected on, off or a number of tokens\n";
      return 1;
    }
  }
  options.generate.temperature = temperature;
  if (!temperature && !options.prompt.empty()) options.generate.temperature = 0.0f;  // one question, one answer
  const auto now = std::chrono::system_clock::now().time_since_epoch().count();
  options.generate.seed = seed.value_or(static_cast<std::uint64_t>(now));
  try {
    return run(options);
  } catch (const std::exception& e) {
    std::cerr << e.what() << '\n';
    return 1;
  }
}
