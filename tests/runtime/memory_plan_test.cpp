// Memory as planned from the headers against memory as taken; budgets; whether a machine can run a model.
#include "runtime/memory_plan.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "support/folder.h"
#include "support/golden.h"
#include "support/model.h"

using namespace kette;
using namespace kette::test;

namespace {

using Json = nlohmann::json;

OpenFile files() {
  return [](const std::string& path) { return open_path(path, Access::kMap); };
}

// Every model of the goldens: its directory, and a GGUF as plain floats and one in blocks.
std::vector<std::string> model_paths() {
  std::vector<std::string> out;
  std::set<std::string> seen;
  for (const auto& root : golden_roots())
    for (const auto& model : std::filesystem::directory_iterator(root / "models")) {
      if (!seen.insert(model.path().filename().string()).second) continue;
      if (std::filesystem::exists(model.path() / "hf")) out.push_back((model.path() / "hf").string());
      if (!std::filesystem::exists(model.path() / "gguf")) continue;
      for (const auto& file : std::filesystem::directory_iterator(model.path() / "gguf"))
        for (const char* kind : {"-F32.gguf", "-Q4_0.gguf"})
          if (file.path().string().ends_with(kind)) out.push_back(file.path().string());
    }
  return out;
}

std::string llama() { return (golden_roots()[0] / "models/llama/hf").string(); }

Json memory_of(const LoadedModel& loaded) { return Json::parse(loaded.info_json()).at("memory"); }

Json probe(const std::string& path, const OpenOptions& options = {}) {
  return Json::parse(value(LoadedModel::probe(*make_test_runtime(), files(), path, options)));
}

}  // namespace

TEST_CASE("memory plan: what is taken is within it, and not far below") {
  const auto runtime = make_test_runtime();
  size_t models = 0;
  for (const std::string& path : model_paths())
    for (const nn::Mode mode : {nn::Mode::kFast, nn::Mode::kDeterministic, nn::Mode::kExact})
      for (const bool map : {true, false}) {
        if (!map && mode != nn::Mode::kFast) continue;
        CAPTURE(path);
        CAPTURE(static_cast<int>(mode));
        OpenOptions options;
        options.mode = mode;
        options.map = map;
        options.plan_context = 700;
        const auto opened = LoadedModel::open(runtime, files(), path, options);
        if (!opened.ok()) continue;  // the damaged ones, and parts of split ones
        ++models;
        const auto& loaded = *opened;
        const Json plan = memory_of(*loaded);
        CHECK(plan.at("weight_bytes").get<uint64_t>() >= loaded->weight_bytes());
        CHECK(loaded->store().bytes() <= plan.at("resident_bytes").get<uint64_t>());
        if (!map) CHECK(plan.at("mapped_bytes") == 0);
        auto session = open_session(loaded, 700);
        CHECK(session->kv_bytes() == 0);  // as positions need it
        const size_t vocab_size = loaded->model()->shape().vocab_size;
        std::vector<Token> prompt(650);
        for (size_t i = 0; i < prompt.size(); ++i) prompt[i] = static_cast<Token>(i * 7 % vocab_size);
        std::vector<float> logits(vocab_size);
        ok(session->eval(prompt, logits.data(), 1));
        // In steps with a budget, what a layer takes is held to its end.
        GenerateOptions generate;
        generate.max_tokens = 2;
        generate.ignore_eos = true;
        ok(session->rewind(0));
        ok(session->begin(prompt, generate));
        while (!value(session->step(1'000'000))) {
        }
        CHECK(session->kv_bytes() == plan.at("kv_bytes").get<uint64_t>());
        const uint64_t planned = plan.at("scratch_bytes");
        CHECK(session->scratch_bytes() <= planned);
        CHECK(session->scratch_bytes() * 20 >= planned);
      }
  CHECK(models > 20);
}

TEST_CASE("memory plan: parts add up, and packs move what is encoded into mapped files") {
  OpenOptions options;
  options.weight_type = "head=q8_0,mlp=q4_0";
  const Json in_memory = probe(llama(), options).at("memory");
  options.pack_dir = "/any";
  const Json packed = probe(llama(), options).at("memory");
  for (const Json& memory : {in_memory, packed})
    for (const auto& [name, plan] : memory.at("weight_types").items()) {
      CAPTURE(name);
      CHECK(plan.at("mapped_bytes").get<uint64_t>() + plan.at("resident_bytes").get<uint64_t>() ==
            plan.at("weight_bytes"));
      CHECK(plan.at("weight_bytes").get<uint64_t>() + memory.at("kv_bytes").get<uint64_t>() +
                memory.at("scratch_bytes").get<uint64_t>() ==
            plan.at("bytes"));
      CHECK(plan.at("fits") == true);
      CHECK_FALSE(plan.contains("within_budget"));
    }
  const Json &a = in_memory.at("weight_types").at(options.weight_type),
             &b = packed.at("weight_types").at(options.weight_type);
  CHECK(a.at("bytes") == b.at("bytes"));
  CHECK(a.at("resident_bytes") > 0);
  CHECK(b.at("resident_bytes") == 0);
  CHECK(in_memory.at("weight_types").at("as_stored").at("resident_bytes") == 0);

  options.plan_context = 123;
  const Json shorter = probe(llama(), options).at("memory");
  CHECK(shorter.at("context") == 123);
  // Whole pages of 64 tokens.
  CHECK(shorter.at("kv_bytes").get<uint64_t>() == 128 * probe(llama()).at("kv_bytes_per_token").get<uint64_t>());
}

TEST_CASE("memory plan: a budget is for the weights and a session, and a refusal tells the numbers") {
  OpenOptions options;
  options.weight_type = "q4_0";
  const auto runtime = make_test_runtime();
  const auto open = [&] { return LoadedModel::open(runtime, files(), llama(), options); };
  const Json plan = memory_of(*value(open()));
  const uint64_t all = plan.at("bytes");
  options.memory_budget = all - 1;
  const Status refused = open().status();
  CHECK(refused.code() == Code::kBudget);
  for (const char* key : {"weight_bytes", "mapped_bytes", "resident_bytes", "kv_bytes", "scratch_bytes", "bytes"}) {
    CAPTURE(key);
    CHECK(refused.message().find(std::to_string(plan.at(key).get<uint64_t>())) != std::string::npos);
  }
  CHECK(refused.message().find(std::to_string(all - 1)) != std::string::npos);
  Json probed = probe(llama(), options);
  CHECK(probed.at("memory").at("budget_bytes") == all - 1);
  CHECK(probed.at("memory").at("weight_types").at("q4_0").at("within_budget") == false);
  CHECK(probed.at("machine").at("can_run") == false);
  CHECK(probed.at("machine").at("reasons").at(0).get<std::string>().find("budget") != std::string::npos);

  options.memory_budget = all;
  CHECK(probe(llama(), options).at("machine").at("can_run") == true);
  const auto loaded = value(open());
  const size_t context = loaded->model()->shape().max_position_embeddings;
  CHECK(Session::make(loaded, 0, std::nullopt).ok());
  CHECK(Session::make(loaded, std::min<size_t>(context, kDefaultContext), std::nullopt).ok());
  for (const auto& session :
       {Session::make(loaded, 100'000, std::nullopt).status(), Session::make(loaded, 0, nn::KvType::kF32).status()})
    CHECK(session.code() == Code::kBudget);
  options.plan_context = 1000;
  CHECK((open().ok()) == (context >= 1000));
  options.plan_context = UINT32_MAX;
  CHECK(open().status().code() == Code::kBudget);
}

TEST_CASE("memory plan: the machine's part of a probe") {
  const Json good = probe(llama()).at("machine");
  CHECK(good.at("can_run") == true);
  CHECK(good.at("architecture_supported") == true);
  CHECK(good.at("isa") == std::string(isa_name(test_isa())));
  CHECK(good.at("threads") == 2);
  CHECK(good.at("reasons").empty());

  // Another architecture, more layers than any memory holds a cache for.
  const Folder folder;
  for (const auto& file : std::filesystem::directory_iterator(llama()))
    std::filesystem::copy_file(file.path(), folder.path / file.path().filename());
  Json config = Json::parse(read_file(folder / "config.json"));
  const auto probe_with = [&](const char* key, const Json& setting) {
    Json changed = config;
    changed[key] = setting;
    write_file(folder / "config.json", changed.dump());
    return probe(folder.path.string()).at("machine");
  };
  const Json unknown = probe_with("architectures", Json::array({"AbacusForCausalLM"}));
  CHECK(unknown.at("can_run") == false);
  CHECK(unknown.at("architecture_supported") == false);
  CHECK(unknown.at("reasons").at(0).get<std::string>().find("AbacusForCausalLM") != std::string::npos);
  const Json large = probe_with("num_hidden_layers", 1 << 24);
  CHECK(large.at("architecture_supported") == true);
  CHECK(large.at("can_run") == false);
  CHECK(large.at("fits_in_memory") == false);
  CHECK(large.at("reasons").at(0).get<std::string>().find("KV cache") != std::string::npos);
  CHECK(probe_with("num_hidden_layers", config.at("num_hidden_layers")).at("can_run") == true);
}
