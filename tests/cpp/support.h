// What the tests of the C++ API open: the tiny Llama of the goldens, and the demo model where the build has it.
#pragma once

#include <filesystem>
#include <kette/kette.hpp>
#include <stdexcept>
#include <string>
#include <vector>

#include "support/golden.h"

KETTE_BEGIN_NAMESPACE  // as the API's: one of these tests sees it without exceptions
    namespace cpp_test {
  inline std::filesystem::path golden_file(const std::string& name) {
    for (const auto& root : kette::test::golden_roots())
      if (std::filesystem::exists(root / name)) return root / name;
    throw std::runtime_error("no golden " + name);
  }
  inline std::string tiny_path() { return golden_file("models/llama/gguf/llama-F32.gguf").string(); }

  inline const runtime& test_runtime() {
    static const runtime rt = runtime::create(runtime_options{}.set_threads(1)).value();
    return rt;
  }
  inline model open_tiny(std::uint32_t flags = KETTE_MODEL_EXACT) {
    return model::open(test_runtime(), tiny_path(), load_options{}.set_flags(flags)).value();
  }

  // Prompt 1 of models/llama/golden.json, and how it goes on greedily.
  inline const std::vector<token> kPrompt = {204, 119, 24, 31, 246, 74, 206, 113, 4, 89, 85, 197, 21, 151, 5, 91, 131};
  inline const std::vector<token> kGreedy = {239, 53, 7, 208, 161, 169, 71, 280, 71, 71, 71, 162, 205, 208, 7, 208};

  // The demo model's path, or "" where there is none.
  inline std::string demo_path() {
#ifdef KETTE_DEMO_MODEL
    if (std::filesystem::exists(KETTE_DEMO_MODEL)) return KETTE_DEMO_MODEL;
#endif
    return "";
  }

}  // namespace cpp_test
KETTE_END_NAMESPACE
