// Runs a fuzz target on files and on all files of folders: replay FILE_OR_FOLDER... Exit status 0: none crashed.
#include <cstdio>
#include <filesystem>
#include <vector>

#include "fuzz/target.h"
#include "support/golden.h"

int main(int argc, char** argv) {
  namespace fs = std::filesystem;
  std::vector<fs::path> files;
  for (int i = 1; i < argc; ++i) {
    if (!fs::is_directory(argv[i])) {
      files.emplace_back(argv[i]);
      continue;
    }
    for (const auto& entry : fs::recursive_directory_iterator(argv[i]))
      if (entry.is_regular_file()) files.push_back(entry.path());
  }
  if (files.empty()) {
    std::fprintf(stderr, "no inputs\n");
    return EXIT_FAILURE;
  }
  for (const fs::path& file : files) {
    const std::string bytes = kette::test::read_file(file);
    std::printf("%s (%zu bytes)\n", file.c_str(), bytes.size());
    std::fflush(stdout);  // the last line names the input that crashed
    LLVMFuzzerTestOneInput(reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size());
  }
  return EXIT_SUCCESS;
}
