// Where the tests find reference data, and how they read it.
#pragma once

#include <cstdint>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <stdexcept>
#include <string>
#include <vector>

namespace kette::test {

// tests/golden of this repository first; then, where the build was given KETTE_SHARED, its goldens folder.
// Both have the same layout: models/NAME, dequant, tokenizer, chat, smollm2.
inline std::vector<std::filesystem::path> golden_roots() {
  std::vector<std::filesystem::path> roots{KETTE_GOLDEN_DIR};
#ifdef KETTE_SHARED_DIR
  roots.emplace_back(std::filesystem::path(KETTE_SHARED_DIR) / "goldens");
#endif
  return roots;
}

inline std::string read_file(const std::filesystem::path& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) throw std::runtime_error("cannot open " + path.string());
  return {std::istreambuf_iterator<char>(in), {}};
}

// A NumPy array file, version 1 or 2, little-endian, C order.
struct Npy {
  std::string dtype;  // "<f4", "|u1", "<i4"
  std::vector<size_t> shape;
  std::string bytes;

  template <class T>
  std::vector<T> as(const char* expected) const {
    if (dtype != expected) throw std::runtime_error("npy: dtype " + dtype + ", expected " + expected);
    std::vector<T> out(bytes.size() / sizeof(T));
    std::memcpy(out.data(), bytes.data(), out.size() * sizeof(T));
    return out;
  }
  std::vector<float> floats() const { return as<float>("<f4"); }
  std::vector<uint8_t> octets() const { return as<uint8_t>("|u1"); }
};

inline Npy load_npy(const std::filesystem::path& path) {
  const std::string file = read_file(path);
  if (file.size() < 12 || file.compare(0, 6, "\x93NUMPY") != 0) throw std::runtime_error("not npy: " + path.string());
  const bool v1 = file[6] == 1;
  uint32_t header = 0;
  std::memcpy(&header, file.data() + 8, v1 ? 2 : 4);
  const size_t begin = v1 ? 10 : 12;
  const std::string text = file.substr(begin, header);
  Npy npy;
  const auto value_of = [&](const std::string& key) {
    return text.substr(text.find("'" + key + "':") + key.size() + 3);
  };
  const std::string descr = value_of("descr");
  const size_t quote = descr.find('\'');
  npy.dtype = descr.substr(quote + 1, descr.find('\'', quote + 1) - quote - 1);
  const std::string shape = value_of("shape");
  std::stringstream numbers(shape.substr(shape.find('(') + 1, shape.find(')') - shape.find('(') - 1));
  for (std::string item; std::getline(numbers, item, ',');)
    if (item.find_first_not_of(' ') != std::string::npos) npy.shape.push_back(std::stoull(item));
  npy.bytes = file.substr(begin + header);
  return npy;
}

}  // namespace kette::test
