// GGUF's deepseek2: both ways its metadata describes latent attention, and which generation a file is.
#include <doctest/doctest.h>

#include "file/checkpoint.h"
#include "support/gguf_writer.h"
#include "support/golden.h"

using namespace kette;
using namespace kette::test;

namespace {

GgufWriter deepseek() {
  GgufWriter w;
  w.set("general.architecture", "deepseek2").set<uint32_t>("deepseek2.embedding_length", 64);
  w.set<uint32_t>("deepseek2.block_count", 5).set<uint32_t>("deepseek2.attention.head_count", 4);
  w.set<uint32_t>("deepseek2.attention.kv_lora_rank", 32).set<uint32_t>("deepseek2.rope.dimension_count", 16);
  w.set<uint32_t>("deepseek2.expert_count", 8);
  w.tensor("token_embd.weight", {5, 64}, 1, std::string(640, 'e'));
  return w;
}

GgufWriter new_layout() {
  GgufWriter w = deepseek();
  w.set<uint32_t>("deepseek2.attention.head_count_kv", 1);
  w.set<uint32_t>("deepseek2.attention.key_length", 48).set<uint32_t>("deepseek2.attention.value_length", 32);
  w.set<uint32_t>("deepseek2.attention.key_length_mla", 40).set<uint32_t>("deepseek2.attention.value_length_mla", 20);
  return w;
}

GgufWriter old_layout() {
  GgufWriter w = deepseek();
  w.set<uint32_t>("deepseek2.attention.head_count_kv", 4);
  w.set<uint32_t>("deepseek2.attention.key_length", 40).set<uint32_t>("deepseek2.attention.value_length", 20);
  return w;
}

Checkpoint checkpoint_of(const GgufWriter& w) {
  auto gguf = open_gguf(w.finish());
  REQUIRE_MESSAGE(gguf.ok(), gguf.status().message());
  auto c = Checkpoint::from_gguf(std::move(*gguf));
  REQUIRE_MESSAGE(c.ok(), c.status().message());
  return std::move(*c);
}

void check_refused(const GgufWriter& w, std::string_view text) {
  auto gguf = open_gguf(w.finish());
  REQUIRE_MESSAGE(gguf.ok(), gguf.status().message());
  const auto c = Checkpoint::from_gguf(std::move(*gguf));
  CAPTURE(c.status().message());
  CHECK(c.status().code() == Code::kCorrupt);
  CHECK(c.status().message().find(text) != std::string::npos);
}

}  // namespace

TEST_CASE("deepseek2: a head's widths in files of both layouts") {
  for (const GgufWriter& w : {new_layout(), old_layout()}) {
    const Checkpoint c = checkpoint_of(w);
    for (const auto& [key, expected] : {std::pair{"qk_nope_head_dim", 24},
                                        {"qk_rope_head_dim", 16},
                                        {"v_head_dim", 20},
                                        {"kv_lora_rank", 32},
                                        {"num_key_value_heads", 4},
                                        {"head_dim", 40},
                                        {"num_hidden_layers", 5},
                                        {"n_routed_experts", 8}}) {
      CAPTURE(key);
      CHECK(*c.config().integer(key, 0, 1024) == expected);
    }
    CHECK_FALSE(c.config().has("q_lora_rank"));
    CHECK_FALSE(c.config().has("partial_rotary_factor"));
  }
  check_refused(deepseek(), "deepseek2.attention.key_length: expected a positive integer");
  check_refused(old_layout().set<uint32_t>("deepseek2.attention.value_length_mla", 0), "value_length_mla");
  check_refused(old_layout().set<uint32_t>("deepseek2.attention.key_length_mla", 16), "expected above");
}

TEST_CASE("deepseek2: which generation a file is, and how its router chooses") {
  const Checkpoint v2 = checkpoint_of(new_layout());
  CHECK(v2.architecture() == "DeepseekV2ForCausalLM");
  CHECK(*v2.config().string("topk_method") == "greedy");
  const Checkpoint groups = checkpoint_of(new_layout()
                                              .set<uint32_t>("deepseek2.expert_gating_func", 1)
                                              .set<uint32_t>("deepseek2.expert_group_count", 4)
                                              .set<uint32_t>("deepseek2.expert_group_used_count", 2));
  CHECK(groups.architecture() == "DeepseekV2ForCausalLM");
  CHECK(*groups.config().string("topk_method") == "group_limited_greedy");
  CHECK(*groups.config().integer("topk_group", 1, 9) == 2);
  const Checkpoint sigmoid = checkpoint_of(new_layout().set<uint32_t>("deepseek2.expert_gating_func", 2));
  CHECK(sigmoid.architecture() == "DeepseekV3ForCausalLM");
  CHECK(*sigmoid.config().string("scoring_func") == "sigmoid");
  CHECK(*sigmoid.config().string("topk_method") == "noaux_tc");
  // Files of early 2025 have no gating function.
  GgufWriter bias = new_layout();
  bias.tensor("blk.3.exp_probs_b.bias", {8}, 0, std::string(32, '\0'));
  CHECK(checkpoint_of(bias).architecture() == "DeepseekV3ForCausalLM");
  CHECK(checkpoint_of(bias).find("model.layers.3.mlp.gate.e_score_correction_bias") != nullptr);
}

TEST_CASE("deepseek2: yarn's multiplier, and layers behind the last") {
  GgufWriter w = new_layout();
  w.set("deepseek2.rope.scaling.type", "yarn").set<float>("deepseek2.rope.scaling.factor", 40);
  w.set<float>("deepseek2.rope.scaling.yarn_log_multiplier", 0.0707f);
  w.set<uint32_t>("deepseek2.nextn_predict_layers", 1);
  const Checkpoint c = checkpoint_of(w);
  CHECK(*c.config().real("rope_scaling.mscale", 0, 9) == doctest::Approx(0.707));
  CHECK(*c.config().real("rope_scaling.mscale_all_dim", 0, 9) == doctest::Approx(0.707));
  CHECK(*c.config().integer("num_hidden_layers", 0, 99) == 4);
  CHECK(*c.config().integer("num_nextn_predict_layers", 0, 99) == 1);
  check_refused(new_layout().set<uint32_t>("deepseek2.nextn_predict_layers", 5), "num_hidden_layers");
}
