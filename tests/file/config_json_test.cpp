// config.json and its like -> settings under flat names.
#include "file/config_json.h"

#include <doctest/doctest.h>

using namespace kette;

namespace {

Config parsed(std::string_view json) {
  auto config = model_config_from_json(json);
  REQUIRE_MESSAGE(config.ok(), config.status().message());
  return std::move(*config);
}

void check_refused(std::string_view json, Code code, std::string_view text) {
  const Status status = model_config_from_json(json).status();
  CAPTURE(status.message());
  CHECK(status.code() == code);
  CHECK(status.message().find(text) != std::string::npos);
}

std::string quantization(std::string_view fields) { return fmt::format("{{\"quantization_config\": {{{}}}}}", fields); }

}  // namespace

TEST_CASE("config_json: kinds of values") {
  const Config c =
      parsed(R"({"i": 3, "neg": -3, "d": 1e-6, "b": true, "s": "x", "n": null, "nested": {"a": {"b": 1}, "c": 2},
    "after": 4, "li": [1, 2], "ld": [1, 2.5], "ls": ["a", "b"], "mixed": [1, "a"], "deep": [[1], 2], "objects": [{"k": 1}],
    "empty": [], "wide": 18446744073709551615})");
  CHECK(*c.integer("i", 0, 9) == 3);
  CHECK(*c.integer("neg", -9, 9) == -3);
  CHECK(*c.real("d", 0, 1) == 1e-6);
  CHECK(*c.boolean("b") == true);
  CHECK(*c.string("s") == "x");
  CHECK_FALSE(c.has("n"));
  CHECK(*c.integer("nested.a.b", 0, 9) == 1);
  CHECK(*c.integer("nested.c", 0, 9) == 2);
  CHECK(*c.integer("after", 0, 9) == 4);
  CHECK(*c.integers("li") == std::vector<int64_t>{1, 2});
  CHECK(*c.reals("ld") == std::vector<double>{1, 2.5});
  CHECK(*c.strings("ls") == std::vector<std::string>{"a", "b"});
  CHECK(*c.strings("s") == std::vector<std::string>{"x"});
  for (const char* key : {"mixed", "deep", "objects", "k", "objects.k"}) CHECK_FALSE(c.has(key));
  CHECK(c.has("empty"));
  CHECK(*c.real("wide", 0, 1e30) == 18446744073709551615.0);
  CHECK_FALSE(c.integer("wide", 0, INT64_MAX).ok());
}

TEST_CASE("config_json: both styles of transformers come out alike") {
  const Config four = parsed(R"({"rope_theta": 500000.0, "torch_dtype": "bfloat16", "rope_scaling":
    {"type": "yarn", "factor": 40, "original_max_position_embeddings": 4096}})");
  const Config five = parsed(R"({"dtype": "bfloat16", "rope_parameters": {"rope_type": "yarn", "rope_theta": 500000.0,
    "factor": 40, "original_max_position_embeddings": 4096, "partial_rotary_factor": 0.5}})");
  for (const Config* c : {&four, &five}) {
    CHECK(*c->real("rope_theta", 0, 1e9) == 500000.0);
    CHECK(*c->string("torch_dtype") == "bfloat16");
    CHECK(*c->string("rope_scaling.rope_type") == "yarn");
    CHECK(*c->real("rope_scaling.factor", 0, 99) == 40);
    CHECK(*c->integer("rope_scaling.original_max_position_embeddings", 0, 9999) == 4096);
  }
  CHECK(*five.real("partial_rotary_factor", 0, 1) == 0.5);
  check_refused(R"({"rope_parameters": {"full_attention": {"rope_theta": 1.0}}})", Code::kUnsupported,
                "by kind of layer");
}

TEST_CASE("config_json: quantization") {
  const std::string tiles = R"("weight_block_size": [128, 128])";
  parsed(quantization(R"("quant_method": "fp8", "fmt": "e4m3", "activation_scheme": "dynamic", )" + tiles));
  parsed(quantization(R"("quant_method": "fp8", )" + tiles));
  parsed(R"({"quantization_config": null})");
  check_refused(quantization(R"("quant_method": "gptq", "bits": 4)"), Code::kUnsupported, "\"gptq\", expected \"fp8\"");
  check_refused(quantization(R"("bits": 4)"), Code::kUnsupported, "quant_method: \"\"");
  check_refused(R"({"compression_config": {"quant_method": "compressed-tensors"}})", Code::kUnsupported,
                "compressed-tensors");
  check_refused(quantization(R"("quant_method": "fp8")"), Code::kCorrupt, "weight_block_size: missing");
  check_refused(quantization(R"("quant_method": "fp8", "weight_block_size": [1, 128])"), Code::kUnsupported,
                "[1, 128]");
  check_refused(quantization(R"("quant_method": "fp8", "weight_block_size": "x")"), Code::kCorrupt,
                "expected integers");
  check_refused(quantization(R"("quant_method": "fp8", "fmt": "e5m2", )" + tiles), Code::kUnsupported, "e5m2");
  check_refused(quantization(R"("quant_method": "fp8", "activation_scheme": "static", )" + tiles), Code::kUnsupported,
                "static");
}

TEST_CASE("config_json: what is refused") {
  for (const char* bad :
       {"", "[", "[]", "1", "{", "{\"a\"}", "{} {}", "{\"a\": 01}", "{\"a\": 1e999}", "{\"a\": \"\xff\"}", "nul"})
    check_refused(bad, Code::kFormat, "JSON");
  std::string deep = "{\"a\":";
  for (int i = 0; i < 1'000'000; ++i) deep += "[";
  check_refused(deep, Code::kFormat, "nested deeper than 64");
}
