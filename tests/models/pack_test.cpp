// Encoded weights kept in a file: the same model with it, and without it where it is damaged or cannot be made.
#include "models/pack.h"

#include <doctest/doctest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <nlohmann/json.hpp>
#include <thread>

#include "base/hash.h"
#include "runtime/memory_plan.h"
#include "support/folder.h"
#include "support/golden.h"
#include "support/model.h"

using namespace kette;
using namespace kette::test;

namespace {

using Json = nlohmann::json;
using Loaded = std::shared_ptr<LoadedModel>;

const std::vector<Token> kIds = {1, 70, 33, 200, 5, 5, 9, 120};

std::string model_path(const std::string& model, const std::string& file = "hf") {
  for (const auto& root : golden_roots())
    if (std::filesystem::exists(root / "models" / model / file)) return (root / "models" / model / file).string();
  throw std::runtime_error("no golden " + model + "/" + file);
}

Result<Loaded> open_packed(const std::string& path, const std::string& types, const std::string& pack_dir,
                           OpenOptions options = {}) {
  options.weight_type = types;
  options.pack_dir = pack_dir;
  const Access access = options.map ? Access::kMap : Access::kRead;
  return LoadedModel::open(
      make_test_runtime(), [=](const std::string& p) { return open_path(p, access); }, path, options);
}

Json pack_of(const Loaded& loaded) { return Json::parse(loaded->info_json()).value("pack", Json()); }

std::vector<float> logits_of(const Loaded& loaded) {
  auto session = open_session(loaded);
  return eval_all(*session, kIds);
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

std::string only_file(const Folder& folder) {
  const auto names = folder.names();
  REQUIRE(names.size() == 1);
  return *names.begin();
}

}  // namespace

TEST_CASE("pack: the same bits without, when written, and when found") {
  for (const auto& [model, types] : {std::pair{"llama", "q8_0"},
                                     {"llama", "q4_k"},
                                     {"llama", "mlp=q4_0,head=q8_0"},
                                     {"qwen3moe", "experts=q8_0"},
                                     {"dsv3_fp8", "q4_0"}}) {
    CAPTURE(model);
    CAPTURE(types);
    const Folder folder;
    const std::string path = model_path(model);
    for (const nn::Mode mode : {nn::Mode::kFast, nn::Mode::kExact}) {
      OpenOptions options;
      options.mode = mode;
      const Loaded plain = value(open_packed(path, types, "", options));
      const std::vector<float> expected = logits_of(plain);
      CHECK(pack_of(plain).is_null());
      for (const char* state : {"written", "found"}) {
        const Loaded packed = value(open_packed(path, types, folder.path.string(), options));
        // The first mode has written it for both.
        CHECK(pack_of(packed)["state"] == (mode == nn::Mode::kFast ? state : "found"));
        CHECK(pack_of(packed)["file"] == folder / only_file(folder));
        CHECK(pack_of(packed)["bytes"] == std::filesystem::file_size(folder / only_file(folder)));
        CHECK(packed->weight_bytes() == plain->weight_bytes());
        CHECK(packed->store().bytes() < plain->store().bytes());
        CHECK(same_bits(logits_of(packed), expected));
      }
      options.map = false;
      const Loaded read = value(open_packed(path, types, folder.path.string(), options));
      CHECK(pack_of(read)["state"] == "found");
      CHECK(read->store().bytes() >= plain->store().bytes());
      CHECK(same_bits(logits_of(read), expected));
    }
  }
}

TEST_CASE("pack: a GGUF encodes into one too, and its stacked experts") {
  for (const char* file : {"llama/gguf/llama-F32.gguf", "qwen3moe/gguf/qwen3moe-F32.gguf"}) {
    std::string path;
    for (const auto& root : golden_roots())
      if (path.empty() && std::filesystem::exists(root / "models" / file)) path = (root / "models" / file).string();
    if (path.empty()) continue;
    CAPTURE(path);
    const Folder folder;
    const std::vector<float> expected = logits_of(value(open_packed(path, "q4_0", "")));
    for (const char* state : {"written", "found"}) {
      const Loaded packed = value(open_packed(path, "q4_0", folder.path.string()));
      CHECK(pack_of(packed)["state"] == state);
      CHECK(same_bits(logits_of(packed), expected));
    }
  }
}

TEST_CASE("pack: what was found is what is computed with") {
  const Folder folder;
  const std::string path = model_path("llama");
  const std::vector<float> expected = logits_of(value(open_packed(path, "q8_0", folder.path.string())));
  const std::string file = folder / only_file(folder);
  std::string bytes = read_file(file);
  const Gguf gguf = value(Gguf::open(value(open_path(file, Access::kMap)), {}, stored_types()));
  CHECK(gguf.string("general.type") == "packed_weights");
  const GgufTensor* tensor = gguf.find("model.layers.0.mlp.up_proj.weight");
  REQUIRE(tensor != nullptr);
  CHECK(tensor->type->name == "q8_0");
  for (uint64_t i = 0; i < tensor->bytes; i += 34)
    bytes[tensor->offset + i] = bytes[tensor->offset + i + 1] = 0;  // scales
  write_file(file, bytes);
  const Loaded found = value(open_packed(path, "q8_0", folder.path.string()));
  CHECK(pack_of(found)["state"] == "found");
  CHECK_FALSE(same_bits(logits_of(found), expected));
  // And it is no model of its own.
  CHECK(open_packed(file, "", "").status().code() == Code::kUnsupported);
}

TEST_CASE("pack: a file that is not as planned is refused, whatever its header says") {
  const Folder folder;
  const std::string path = model_path("llama");
  ok(open_packed(path, "q8_0", folder.path.string()).status());
  const std::string name = only_file(folder), good = read_file(folder / name);
  const Gguf gguf = value(Gguf::open(value(open_path(folder / name, Access::kMap)), {}, stored_types()));
  uint64_t front = good.size();
  for (const GgufTensor& t : gguf.tensors()) front = std::min(front, t.offset);

  const auto runtime = make_test_runtime();
  const OpenSibling beside = [&](const std::string& file) { return open_path(path + "/" + file, Access::kMap); };
  const Checkpoint checkpoint = value(Checkpoint::from_hf(beside, "", "llama", safetensors_types()));
  const auto tensors = encoded_tensors(checkpoint, value(WeightTypes::parse("q8_0")));
  const auto plan = [&] { return value(Pack::plan(checkpoint, tensors, *runtime->executor, [] { return Status(); })); };
  Pack pack = plan();
  CHECK(pack.file_name() == name);
  CHECK(pack.bytes() == good.size());
  CHECK(pack.open(folder.path.string(), Access::kMap).ok());
  CHECK(pack.find(*tensors[0].tensor) != nullptr);

  const Folder other;
  Pack damaged = plan();
  CHECK(damaged.open(other.path.string(), Access::kMap).code() == Code::kNotFound);
  const auto refused = [&](const std::string& bytes) {
    write_file(other / name, bytes);
    return damaged.open(other.path.string(), Access::kMap).code() == Code::kCorrupt &&
           damaged.find(*tensors[0].tensor) == nullptr;
  };
  for (size_t i = 0; i < front; ++i) {
    std::string bytes = good;
    bytes[i] = static_cast<char>(bytes[i] ^ 1 << i % 8);
    REQUIRE_MESSAGE(refused(bytes), "byte " << i);
  }
  for (size_t size = 0; size < good.size(); size += 1 + good.size() / 97) REQUIRE(refused(good.substr(0, size)));
  CHECK(refused(good.substr(0, good.size() - 1)));
  CHECK(refused(good + "x"));
  CHECK_FALSE(refused(good));
}

TEST_CASE("pack: refused files are made anew, and what was wrong is told") {
  const Folder folder, foreign;
  const std::string path = model_path("llama"), dir = folder.path.string();
  const std::vector<float> expected = logits_of(value(open_packed(path, "q8_0", dir)));
  const std::string name = only_file(folder), good = read_file(folder / name);
  ok(open_packed(path, "q4_0", foreign.path.string()).status());
  std::string flipped = good;
  flipped[40] = static_cast<char>(flipped[40] ^ 4);
  for (const std::string& bad : {std::string(), std::string("GGUF"), good.substr(0, good.size() / 2), flipped,
                                 read_file(foreign / only_file(foreign))}) {
    write_file(folder / name, bad);
    const Loaded loaded = value(open_packed(path, "q8_0", dir));
    CHECK(pack_of(loaded)["state"] == "written");
    CHECK(pack_of(loaded)["rejected"].get<std::string>().find(name) != std::string::npos);
    CHECK(same_bits(logits_of(loaded), expected));
    CHECK(read_file(folder / name) == good);
    CHECK(folder.names().size() == 1);
  }
}

TEST_CASE("pack: its name tells sources and types apart") {
  const Folder copy, folder;
  const std::string path = copy / "llama.gguf", dir = folder.path.string();
  std::string bytes = read_file(model_path("llama", "gguf/llama-F32.gguf"));
  write_file(path, bytes);
  const auto key = [&](const std::string& types) {
    const Json pack = pack_of(value(open_packed(path, types, dir)));
    return std::pair(pack["state"].get<std::string>(), pack["file"].get<std::string>());
  };
  const auto first = key("q8_0");
  CHECK(first.first == "written");
  CHECK(key("q4_0").second != first.second);
  // Two ways to say one thing.
  CHECK(key("embedding=q8_0,head=q8_0,attention=q8_0,experts=q8_0,mlp=q8_0") ==
        std::pair(std::string("found"), first.second));
  // Copied or touched it is the same model; with one number changed it is not.
  write_file(path, bytes);
  CHECK(key("q8_0") == std::pair(std::string("found"), first.second));
  bytes[bytes.size() - 100] = static_cast<char>(bytes[bytes.size() - 100] ^ 8);
  write_file(path, bytes);
  const Gguf gguf = value(Gguf::open(value(open_path(path, Access::kMap)), {}, stored_types()));
  const auto last = std::ranges::max_element(gguf.tensors(), {}, &GgufTensor::offset);
  if (last->shape.size() > 1) {
    CHECK(key("q8_0").second != first.second);
  } else {
    CHECK(key("q8_0").second == first.second);  // a norm: it is not in the pack
  }
}

TEST_CASE("pack: what keeps it from being made keeps nothing from being opened") {
  const std::string path = model_path("llama");
  const std::vector<float> expected = logits_of(value(open_packed(path, "q8_0", "")));
  const auto check_failed = [&](const std::string& dir) {
    CAPTURE(dir);
    std::string warned;
    const Loaded loaded = value(open_packed(path, "q8_0", dir));
    CHECK(pack_of(loaded)["state"] == "failed");
    CHECK_FALSE(pack_of(loaded)["problem"].get<std::string>().empty());
    CHECK(same_bits(logits_of(loaded), expected));
  };
  const Folder folder;
  check_failed(folder / "no such folder");
  write_file(folder / "file", "");
  check_failed(folder / "file");
  if (geteuid() != 0) {
    const std::string closed = folder / "closed";
    std::filesystem::create_directory(closed);
    std::filesystem::permissions(closed, std::filesystem::perms::owner_read | std::filesystem::perms::owner_exec);
    check_failed(closed);
    std::filesystem::permissions(closed, std::filesystem::perms::owner_all);
  }
  // A full disk.
  const Folder full;
  rlimit before{}, small{};
  REQUIRE(getrlimit(RLIMIT_FSIZE, &before) == 0);
  const auto handler = std::signal(SIGXFSZ, SIG_IGN);
  small = before;
  small.rlim_cur = 20'000;
  REQUIRE(setrlimit(RLIMIT_FSIZE, &small) == 0);
  check_failed(full.path.string());
  REQUIRE(setrlimit(RLIMIT_FSIZE, &before) == 0);
  std::signal(SIGXFSZ, handler);
  CHECK(full.names().empty());
  // Nothing to encode, nothing to keep.
  CHECK(pack_of(value(open_packed(path, "", full.path.string())))["state"] == "not_needed");
  CHECK(full.names().empty());
}

TEST_CASE("pack: progress rises to its end, and a stop at any call leaves no part of a file") {
  const std::string path = model_path("llama");
  size_t calls = 0;
  uint64_t last = 0, whole = 0;
  const auto watched = [&](size_t stop) {
    OpenOptions options;
    calls = last = 0;
    options.progress = [&, stop](uint64_t done, uint64_t total) {
      CHECK(done >= last);
      CHECK(done <= total);
      last = done;
      whole = total;
      return ++calls != stop;
    };
    return options;
  };
  {
    const Folder folder;
    ok(open_packed(path, "q8_0", folder.path.string(), watched(0)).status());
    CHECK(last == whole);
  }
  const size_t all = calls;
  size_t without = 0;
  for (size_t stop = 1; stop <= all; ++stop) {
    const Folder folder;
    CHECK(open_packed(path, "q8_0", folder.path.string(), watched(stop)).status().code() == Code::kHost);
    for (const std::string& name : folder.names()) CHECK(name.ends_with(".gguf"));
    without += folder.names().empty() ? 1 : 0;
    if (folder.names().empty()) continue;
    CHECK(pack_of(value(open_packed(path, "q8_0", folder.path.string())))["state"] == "found");
  }
  CHECK(without > 5);
  CHECK(without < all);
  const Folder found;
  ok(open_packed(path, "q8_0", found.path.string()).status());
  ok(open_packed(path, "q8_0", found.path.string(), watched(0)).status());
  CHECK(last == whole);
}

TEST_CASE("pack: several may make it at once") {
  const Folder folder;
  const std::string path = model_path("llama");
  const std::vector<float> expected = logits_of(value(open_packed(path, "q4_0", "")));
  std::vector<std::vector<float>> logits(4);
  std::vector<std::thread> threads;
  for (auto& out : logits)
    threads.emplace_back([&] { out = logits_of(value(open_packed(path, "q4_0", folder.path.string()))); });
  for (auto& t : threads) t.join();
  for (const auto& out : logits) CHECK(same_bits(out, expected));
  only_file(folder);
}

// A file of an older version is found by its name, so what the encoders make is part of the version.
TEST_CASE("pack: an encoder that gives other bytes needs another Pack::kVersion") {
  CHECK(Pack::kVersion == 1);
  std::vector<float> numbers(4096);
  uint32_t random = 1;
  for (float& x : numbers) {
    random = random * 1664525u + 1013904223u;
    x = static_cast<float>(static_cast<int32_t>(random)) * 0x1p-31f * (random % 97 == 0 ? 8.0f : 1.0f);
  }
  std::string text;
  for (const char* name : {"q8_0", "q4_0", "q4_1", "q4_k"}) {
    const Format* format = find_format(name);
    std::vector<std::byte> out(format->row_bytes(numbers.size()));
    format->encode(numbers.data(), out.data(), numbers.size());
    Hash128 hash;
    hash.bytes(out);
    text += hash.hex() + " ";
  }
  CHECK(text ==
        "f102d6f0527dd85c3624095ac28ea708 0f25e5d2675f7f024d1ad1ffb5ac2394 52defb519f3c65ecc2b12075b8e3901b "
        "42c819b20e505f0544959b7d8d245f86 ");
}
