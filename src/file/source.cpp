#include "file/source.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <system_error>

#include "file/printable.h"

namespace kette {
namespace {

static_assert(sizeof(off_t) == 8, "files above 2 GiB need 64-bit offsets");

bool inside(uint64_t offset, uint64_t count, uint64_t size) { return offset <= size && count <= size - offset; }

Status outside(const std::string& name, uint64_t offset, uint64_t count, uint64_t size) {
  return error(Code::kIo, "{}: {} bytes at {} asked for, the file has {}", file_label(name), count, offset, size);
}

Status os_error(int number, const std::string& name, std::string_view doing) {
  const Code code = number == ENOENT ? Code::kNotFound : number == ENOMEM ? Code::kOutOfMemory : Code::kIo;
  return Status(code, fmt::format("{}: {}: {}", file_label(name), doing, std::generic_category().message(number)),
                number);
}

class File final : public Source {
 public:
  File(int fd, std::string name) : fd_(fd), name_(std::move(name)) {}
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() override {
    if (mapped_ != nullptr) munmap(mapped_, size_);
    close(fd_);
  }

  Status init(Access access) {
    struct stat info {};
    if (fstat(fd_, &info) != 0) return os_error(errno, name_, "fstat");
    if (!S_ISREG(info.st_mode)) return error(Code::kIo, "{}: not a regular file", file_label(name_));
    size_ = static_cast<uint64_t>(info.st_size);
    if (access == Access::kRead || size_ == 0) return {};
    void* p = mmap(nullptr, size_, PROT_READ, MAP_SHARED, fd_, 0);
    if (p == MAP_FAILED) return os_error(errno, name_, "mmap");
    mapped_ = p;
    return {};
  }

  const std::string& name() const override { return name_; }
  uint64_t size() const override { return size_; }

  // Read rather than copied from the map: a file that shrank is then an error and not a fault.
  Status read_at(uint64_t offset, std::span<std::byte> out) const override {
    if (!inside(offset, out.size(), size_)) return outside(name_, offset, out.size(), size_);
    while (!out.empty()) {
      const size_t most = std::min<size_t>(out.size(), 1u << 30);  // some systems refuse counts above INT_MAX
      const ssize_t n = pread(fd_, out.data(), most, static_cast<off_t>(offset));
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return os_error(errno, name_, "read");
      if (n == 0) return error(Code::kIo, "{}: ends at {}, had {} bytes when opened", file_label(name_), offset, size_);
      offset += static_cast<uint64_t>(n);
      out = out.subspan(static_cast<size_t>(n));
    }
    return {};
  }

  const std::byte* map(uint64_t offset, uint64_t count) const override {
    if (mapped_ == nullptr || !inside(offset, count, size_)) return nullptr;
    return static_cast<const std::byte*>(mapped_) + offset;
  }

 private:
  int fd_;
  std::string name_;
  uint64_t size_ = 0;
  void* mapped_ = nullptr;
};

class Memory final : public Source {
 public:
  Memory(std::span<const std::byte> bytes, std::string name) : bytes_(bytes), name_(std::move(name)) {}

  const std::string& name() const override { return name_; }
  uint64_t size() const override { return bytes_.size(); }
  Status read_at(uint64_t offset, std::span<std::byte> out) const override {
    if (!inside(offset, out.size(), size())) return outside(name_, offset, out.size(), size());
    if (!out.empty()) std::memcpy(out.data(), bytes_.data() + offset, out.size());
    return {};
  }
  const std::byte* map(uint64_t offset, uint64_t count) const override {
    return inside(offset, count, size()) ? bytes_.data() + offset : nullptr;
  }

 private:
  std::span<const std::byte> bytes_;
  std::string name_;
};

}  // namespace

Result<std::unique_ptr<Source>> open_path(const std::string& utf8_path, Access access) {
  if (utf8_path.find('\0') != std::string::npos) {
    return error(Code::kInvalidArgument, "{}: a path cannot hold a zero byte", file_label(utf8_path));
  }
  // O_NONBLOCK: opening a FIFO must not wait for its writer; regular files ignore it.
  int fd = -1;
  do {
    fd = open(utf8_path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
  } while (fd < 0 && errno == EINTR);
  if (fd < 0) return os_error(errno, utf8_path, "open");
  std::unique_ptr<File> file;
  try {
    file = std::make_unique<File>(fd, utf8_path);
  } catch (...) {
    close(fd);
    throw;
  }
  KETTE_TRY(file->init(access));
  return std::unique_ptr<Source>(std::move(file));
}

std::unique_ptr<Source> open_memory(std::span<const std::byte> bytes, std::string name) {
  return std::make_unique<Memory>(bytes, std::move(name));
}

}  // namespace kette
