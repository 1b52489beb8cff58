// Both forms of latent attention, forced, on the golden models: exact mode agrees with the reference in either.
#include <doctest/doctest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "support/golden.h"
#include "support/model.h"

using namespace kette;
using namespace kette::test;
namespace fs = std::filesystem;

namespace {

std::shared_ptr<LoadedModel> open_form(const fs::path& path, nn::MlaForm form) {
  OpenOptions options;
  options.mode = nn::Mode::kExact;
  options.mla_form = form;
  return value(LoadedModel::open(
      make_test_runtime(), [](const std::string& p) { return open_path(p, Access::kMap); }, path.string(), options));
}

void check_file(const fs::path& dir, const nlohmann::json& prompts, const nlohmann::json& stored, nn::MlaForm form) {
  const auto loaded = open_form(dir / stored.at("file").get<std::string>(), form);
  const size_t vocab_size = loaded->model()->shape().vocab_size;
  for (size_t i = 0; i < prompts.size(); ++i) {
    const auto expected = load_npy(dir / stored.at("prompts")[i].at("logits").get<std::string>()).floats();
    const size_t from = stored.at("prompts")[i].at("positions")[0];
    const auto logits = eval_all(*open_session(loaded), prompts[i].at("ids").get<std::vector<Token>>());
    double largest = 0;
    for (size_t j = 0; j < expected.size(); ++j) {
      const double d = std::fabs(static_cast<double>(logits[from * vocab_size + j]) - static_cast<double>(expected[j]));
      largest = std::isnan(d) ? INFINITY : std::max(largest, d);
    }
    CHECK(largest <= 2e-3);
  }
}

}  // namespace

TEST_CASE("exact mode agrees with the reference in both forms of latent attention") {
  for (const fs::path& root : golden_roots())
    for (const char* model : {"dsv2lite", "dsv3"}) {
      const fs::path dir = root / "models" / model;
      if (!fs::exists(dir / "gguf" / "gguf.json")) continue;
      const auto prompts = nlohmann::json::parse(read_file(dir / "golden.json")).at("prompts");
      const auto files = nlohmann::json::parse(read_file(dir / "gguf" / "gguf.json")).at("files");
      for (const auto& stored : files) {
        if (!fs::exists(dir / stored.at("file").get<std::string>())) continue;
        CAPTURE(stored.at("file").get<std::string>());
        for (const nn::MlaForm form : {nn::MlaForm::kAbsorbed, nn::MlaForm::kExpanded}) {
          CAPTURE(static_cast<int>(form));
          check_file(dir, prompts, stored, form);
        }
      }
    }
}
