// A profile of passes changes no bit of them, and its phases are the whole.
#include "nn/profile.h"

#include <doctest/doctest.h>

#include <nlohmann/json.hpp>

#include "support/memory.h"

namespace kette::test {
namespace {

using Json = nlohmann::json;

struct Measured {
  std::vector<float> logits;
  Json profile;
  double wall_us = 0;
};

// A prompt, then tokens one by one: the logits of all.
Measured evaluate(const std::shared_ptr<LoadedModel>& loaded, bool profiled) {
  const auto session = open_session(loaded);
  const Ids prompt = some_ids(*loaded, 70), more = some_ids(*loaded, 6, 2);
  session->set_profile(profiled);
  Measured out;
  const auto began = Clock::now();
  out.logits = eval_all(*session, prompt);
  const std::vector<float> rest = eval_all(*session, more, 1);
  out.wall_us = std::chrono::duration<double, std::micro>(Clock::now() - began).count();
  out.logits.insert(out.logits.end(), rest.begin(), rest.end());
  if (profiled) out.profile = Json::parse(value(session->profile()));
  return out;
}

const Json& phase(const Json& profile, const std::string& name) {
  for (const Json& p : profile.at("phases"))
    if (p.at("name") == name) return p;
  throw std::runtime_error("no phase " + name);
}

Json answer_profile(const std::shared_ptr<LoadedModel>& loaded, uint32_t budget_us, Ids& tokens) {
  const auto session = open_session(loaded);
  session->set_profile(true);
  tokens = ask(*session, some_ids(*loaded, 12), greedy(8), budget_us);
  session->set_profile(false);
  ask(*session, some_ids(*loaded, 20, 3), greedy(4));  // is not measured
  return Json::parse(value(session->profile()));
}

}  // namespace

TEST_CASE("with a profile results are the same bits, and phases add up to the whole") {
  for (const std::string& path : {llama_path(), latent_path(), module_path()})
    for (const uint32_t n_threads : {1u, 2u}) {
      CAPTURE(path);
      CAPTURE(n_threads);
      const auto loaded = open_model(path, nn::Mode::kFast, n_threads);
      const Measured plain = evaluate(loaded, false), profiled = evaluate(loaded, true);
      CHECK(plain.logits == profiled.logits);
      const Json &total = profiled.profile["total"], &phases = profiled.profile["phases"];
      CHECK(profiled.profile["threads"] == n_threads);
      CHECK(profiled.profile["passes"] == 7);
      CHECK(profiled.profile["rows"] == 76);
      double wall = 0, share = 0;
      for (const Json& p : phases) {
        wall += p["wall_us"].get<double>();
        share += p["share"].get<double>();
        CHECK(p["serial_us"] >= 0);
        CHECK(p["waiting_us"] >= 0);
        CHECK(p["lost"] <= 1);
      }
      CHECK(wall == doctest::Approx(total["wall_us"].get<double>()).epsilon(0.001));
      CHECK(share == doctest::Approx(1).epsilon(0.01));
      // All but what the test itself does between the calls.
      CHECK(wall <= profiled.wall_us);
      CHECK(wall > 0.5 * profiled.wall_us);
      CHECK(phase(profiled.profile, "head")["stretches"] == 7);
      CHECK(phase(profiled.profile, "head")["gb_s"] > 0);
      CHECK(phase(profiled.profile, "attend")["gop_s"] > 0);
      CHECK(profiled.profile["stretches_per_layer"] > 3);
    }
}

TEST_CASE("a pass that a budget cuts into pieces has the tasks of a whole one") {
  for (const std::string& path : {llama_path(), latent_path()}) {
    CAPTURE(path);
    OpenOptions open;
    open.prefix_cache = false;
    const auto loaded = open_metered(path, open).loaded;
    Ids whole, cut;
    const Json at_once = answer_profile(loaded, 0, whole), pieces = answer_profile(loaded, 1, cut);
    CHECK(whole == cut);
    CHECK(at_once["rows"] == 12 + 7);
    CHECK(pieces["rows"] == at_once["rows"]);
    CHECK(pieces["passes"] == at_once["passes"]);
    for (const Json& p : at_once["phases"]) {
      CAPTURE(p.dump());
      CHECK(phase(pieces, p["name"])["tasks"] == p["tasks"]);
      CHECK(phase(pieces, p["name"])["stretches"] >= p["stretches"]);
    }
    CHECK(phase(pieces, "choose token")["times"] == 8);
  }
}

TEST_CASE("a session that was never told to measure has no profile") {
  const auto session = open_session(open_model(llama_path(), nn::Mode::kFast));
  CHECK(session->profile().status().code() == Code::kMisuse);
}

}  // namespace kette::test
