// A file that appears under its name whole or not at all: written beside it under a name of its own, brought to the
// disk, then renamed. Several processes may make the same file at once; the last one's stays.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>

#include "base/status.h"

namespace kette {

class NewFile {
 public:
  // `size` bytes, all zero, reserved where the file system can: a full disk is found out here, not at the end.
  // The file's name is `path`.N.part until keep(). Such a file that a process left behind when it was killed is
  // taken over.
  static Result<std::unique_ptr<NewFile>> create(const std::string& path, uint64_t size);
  // Without keep() nothing is left.
  ~NewFile();
  NewFile(const NewFile&) = delete;
  NewFile& operator=(const NewFile&) = delete;

  Status write_at(uint64_t offset, std::span<const std::byte> bytes);
  // On the disk, then under its name, then the name on the disk.
  Status keep();

 private:
  NewFile(std::string path, std::string part, uint64_t size);
  static Result<std::unique_ptr<NewFile>> hold(int fd, const std::string& path, const std::string& part, uint64_t size);
  Status reserve();

  int fd_ = -1;
  std::string path_, part_;  // its name to be, its name now; part_ is empty once it is renamed
  uint64_t size_, unsynced_ = 0;
};

}  // namespace kette
