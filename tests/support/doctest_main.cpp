// The main of every C++ test program. A run that selects no test case fails, so that a filter cannot rot; a run for an
// instruction set that this CPU lacks ends with 77, which ctest shows as skipped.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <cstdio>
#include <cstdlib>

#include "base/cpu_features.h"

namespace {

constexpr int kSkipped = 77;
unsigned g_selected = 0;

struct CountSelected : doctest::IReporter {
  explicit CountSelected(const doctest::ContextOptions&) {}
  void report_query(const doctest::QueryData&) override {}
  void test_run_start() override {}
  void test_run_end(const doctest::TestRunStats& run) override { g_selected = run.numTestCasesPassingFilters; }
  void test_case_start(const doctest::TestCaseData&) override {}
  void test_case_reenter(const doctest::TestCaseData&) override {}
  void test_case_end(const doctest::CurrentTestCaseStats&) override {}
  void test_case_exception(const doctest::TestCaseException&) override {}
  void subcase_start(const doctest::SubcaseSignature&) override {}
  void subcase_end() override {}
  void log_assert(const doctest::AssertData&) override {}
  void log_message(const doctest::MessageData&) override {}
  void test_case_skipped(const doctest::TestCaseData&) override {}
};
REGISTER_LISTENER("count_selected", 1, CountSelected);

}  // namespace

int main(int argc, char** argv) {
  const char* forced = std::getenv("KETTE_FORCE_ISA");
  if (forced != nullptr && *forced != 0) {
    const auto isa = kette::parse_isa(forced);
    if (!isa) {
      std::fprintf(stderr, "KETTE_FORCE_ISA: %s is not an instruction set Kette knows\n", forced);
      return EXIT_FAILURE;
    }
    if (*isa > kette::detect_isa()) {
      std::printf("SKIPPED: this CPU cannot run %s\n", forced);
      return kSkipped;
    }
  }
  doctest::Context context(argc, argv);
  const int result = context.run();
  if (context.shouldExit()) return result;
  if (g_selected == 0) {
    std::fprintf(stderr, "no test case selected\n");
    return EXIT_FAILURE;
  }
  return result;
}
