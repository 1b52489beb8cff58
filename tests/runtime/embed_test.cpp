// Embeddings against transformers' last_hidden_state, pooled.
#include "runtime/embed.h"

#include <doctest/doctest.h>

#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "support/golden.h"
#include "support/model.h"

namespace kette::test {
namespace {

const std::filesystem::path kGolden = KETTE_GOLDEN_DIR;

// A golden directory whose context is longer than the file says: rotary angles do not depend on it.
std::shared_ptr<LoadedModel> open_long(const std::string& model, nn::Mode mode) {
  std::map<std::string, std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(kGolden / "models" / model / "hf"))
    files["in/" + entry.path().filename().string()] = read_file(entry.path());
  auto config = nlohmann::json::parse(files["in/config.json"]);
  config["max_position_embeddings"] = 1200;
  files["in/config.json"] = config.dump();
  OpenOptions options;
  options.mode = mode;
  options.map = false;
  return value(LoadedModel::open(
      make_test_runtime(),
      [&](const std::string& path) -> Result<std::unique_ptr<Source>> {
        const auto it = files.find(path);
        if (it == files.end()) return error(Code::kNotFound, "{}: not there", path);
        return open_memory(std::as_bytes(std::span(it->second.data(), it->second.size())), path);
      },
      "in", options));
}

double length(const std::vector<float>& v) {
  double squares = 0;
  for (const float f : v) squares += static_cast<double>(f) * static_cast<double>(f);
  return std::sqrt(squares);
}

// Of the length of the expected one.
double difference(const std::vector<float>& got, const std::vector<float>& expected) {
  REQUIRE(got.size() == expected.size());
  std::vector<float> d(got.size());
  for (size_t i = 0; i < d.size(); ++i) d[i] = got[i] - expected[i];
  return length(d) / length(expected);
}

std::vector<float> embed_one(const LoadedModel& loaded, std::string_view text, Pooling pooling,
                             bool normalize = false) {
  return value(embed(loaded, std::array{text}, {pooling, normalize, nullptr}));
}

const std::pair<const char*, Pooling> kPoolings[] = {
    {"mean", Pooling::kMean}, {"last", Pooling::kLast}, {"cls", Pooling::kCls}};

}  // namespace

TEST_CASE("embeddings agree with the reference, long texts too") {
  const auto goldens = nlohmann::json::parse(read_file(kGolden / "adapters/embeddings.json"));
  size_t checked = 0;
  const auto bound = [](nn::Mode mode) {
    return mode == nn::Mode::kExact ? 1e-4 : mode == nn::Mode::kDeterministic ? 0.002 : 0.015;
  };
  for (const nn::Mode mode : {nn::Mode::kExact, nn::Mode::kDeterministic, nn::Mode::kFast}) {
    double largest = 0;
    for (const auto& golden : goldens) {
      const auto loaded = open_long(golden.at("model"), mode);
      const std::string text = golden.at("text");
      for (const auto& [name, pooling] : kPoolings) {
        if (!golden.contains(name)) continue;
        CAPTURE(golden.at("tokens").get<int>());
        CAPTURE(std::string(name));
        const auto expected = golden.at(name).get<std::vector<float>>();
        const double d = difference(embed_one(*loaded, text, pooling), expected);
        CHECK(d < bound(mode));
        largest = std::max(largest, d);
        // Shorter or longer than 1, the direction is the same.
        auto scaled = embed_one(*loaded, text, pooling, true);
        CHECK(std::fabs(length(scaled) - 1) < 1e-6);
        for (float& f : scaled) f *= static_cast<float>(length(expected));
        CHECK(difference(scaled, expected) < bound(mode) * 2);
        ++checked;
      }
    }
    MESSAGE("mode ", static_cast<int>(mode), ": largest difference ", largest);
  }
  CHECK(checked >= 24);
}

TEST_CASE("a text's embedding does not depend on the texts beside it") {
  const auto loaded = open_model((kGolden / "models/llama/hf").string(), nn::Mode::kFast);
  const std::vector<std::string_view> texts{"one text", "and another, rather longer one", "3"};
  for (const auto& [name, pooling] : kPoolings) {
    CAPTURE(std::string(name));
    const auto all = value(embed(*loaded, texts, {pooling, true, nullptr}));
    std::vector<float> each;
    for (const std::string_view text : texts) {
      const auto one = embed_one(*loaded, text, pooling, true);
      each.insert(each.end(), one.begin(), one.end());
    }
    CHECK(all == each);
  }
  CHECK(value(embed(*loaded, {}, {})).empty());
}

TEST_CASE("texts that cannot be embedded are named") {
  const auto loaded = open_model((kGolden / "models/llama/hf").string(), nn::Mode::kExact);
  const std::string brief = "x";
  const auto refused = [&](std::vector<std::string_view> texts, const EmbedOptions& options, Code code,
                           std::string_view word) {
    const Status status = embed(*loaded, texts, options).status();
    CAPTURE(status.message());
    CHECK(status.code() == code);
    CHECK(status.message().find(word) != std::string::npos);
  };
  std::string many;
  for (int i = 0; i < 600; ++i) many += static_cast<char>('a' + i * 7 % 26);
  refused({brief, many}, {}, Code::kContextFull, "text 1: ");
  const CancelFlag cancel(true);
  refused({brief}, {.cancel = &cancel}, Code::kCancelled, "text 0");
  OpenOptions vocabulary;
  vocabulary.vocab_only = true;
  const auto words = value(LoadedModel::open(
      make_test_runtime(1), [](const std::string& p) { return open_path(p, Access::kMap); },
      (kGolden / "models/llama/hf").string(), vocabulary));
  CHECK(embed(*words, std::array{std::string_view("x")}, {}).status().code() == Code::kMisuse);
}

}  // namespace kette::test
