#include "file/new_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>

#include "file/printable.h"

namespace kette {
namespace {

constexpr int kMostWriters = 64;             // of one file at once
constexpr uint64_t kSyncBytes = 1ull << 30;  // written between two waits for the disk, so that no wait is long

Status os_error(int number, const std::string& name, std::string_view doing) {
  return Status(number == ENOENT ? Code::kNotFound : Code::kIo,
                fmt::format("{}: {}: {}", file_label(name), doing, std::generic_category().message(number)), number);
}

template <class Call>
int again(Call call) {
  int result = 0;
  do result = call();
  while (result < 0 && errno == EINTR);
  return result;
}

// Is it ours alone: locked, still under its name, and under no other (a link to a file that must not be cut)?
Result<bool> take(int fd, const std::string& part) {
  if (again([&] { return flock(fd, LOCK_EX | LOCK_NB); }) != 0) {
    if (errno == EWOULDBLOCK) return false;
    return os_error(errno, part, "lock");
  }
  struct stat open {
  }, named{};
  return fstat(fd, &open) == 0 && lstat(part.c_str(), &named) == 0 && open.st_dev == named.st_dev &&
         open.st_ino == named.st_ino && S_ISREG(open.st_mode) && open.st_nlink == 1;
}

std::string directory_of(const std::string& path) {
  const size_t slash = path.rfind('/');
  return slash == std::string::npos ? "." : path.substr(0, slash + 1);
}

}  // namespace

NewFile::NewFile(std::string path, std::string part, uint64_t size)
    : path_(std::move(path)), part_(std::move(part)), size_(size) {}

NewFile::~NewFile() {
  if (!part_.empty()) unlink(part_.c_str());
  close(fd_);
}

// The lock goes with the process: a name whose file is not locked is nobody's.
Result<std::unique_ptr<NewFile>> NewFile::create(const std::string& path, uint64_t size) {
  if (path.find('\0') != std::string::npos)
    return error(Code::kInvalidArgument, "{}: a path cannot hold a zero byte", file_label(path));
  Status busy = error(Code::kIo, "{}: {} files of that name are being written", file_label(path), kMostWriters);
  for (int i = 0; i < kMostWriters; ++i) {
    const std::string part = fmt::format("{}.{}.part", path, i);
    const int fd =
        again([&] { return open(part.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK, 0666); });
    if (fd < 0) {
      const int number = errno;
      busy = os_error(number, part, "open");
      if (number == EACCES || number == ELOOP || number == EISDIR) continue;  // perhaps another user's
      return busy;
    }
    auto taken = take(fd, part);
    if (taken.ok() && *taken) return hold(fd, path, part, size);
    if (!taken.ok()) unlink(part.c_str());  // no locks here: nobody writes it
    close(fd);
    KETTE_TRY(taken.status());
  }
  return busy;
}

Result<std::unique_ptr<NewFile>> NewFile::hold(int fd, const std::string& path, const std::string& part,
                                               uint64_t size) {
  std::unique_ptr<NewFile> file;
  try {
    file.reset(new NewFile(path, part, size));
  } catch (...) {
    unlink(part.c_str());
    close(fd);
    throw;
  }
  file->fd_ = fd;
  KETTE_TRY(file->reserve());
  return file;
}

Status NewFile::reserve() {
  const auto size = static_cast<off_t>(size_);
  if (again([&] { return ftruncate(fd_, 0); }) != 0) return os_error(errno, part_, "truncate");
  if (size == 0 || again([&] { return fallocate(fd_, 0, 0, size); }) == 0) return {};
  const int number = errno;
  if (number != EOPNOTSUPP && number != ENOSYS) return os_error(number, part_, fmt::format("reserve {} bytes", size_));
  if (again([&] { return ftruncate(fd_, size); }) != 0) return os_error(errno, part_, "truncate");
  return {};
}

Status NewFile::write_at(uint64_t offset, std::span<const std::byte> bytes) {
  if (offset > size_ || bytes.size() > size_ - offset)
    return error(Code::kInternal, "{}: {} bytes at {}, the file has {}", file_label(part_), bytes.size(), offset,
                 size_);
  while (!bytes.empty()) {
    const size_t most = std::min<size_t>(bytes.size(), 1u << 30);
    const ssize_t n = pwrite(fd_, bytes.data(), most, static_cast<off_t>(offset));
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return os_error(n < 0 ? errno : EIO, part_, "write");
    offset += static_cast<uint64_t>(n);
    unsynced_ += static_cast<uint64_t>(n);
    bytes = bytes.subspan(static_cast<size_t>(n));
  }
  if (unsynced_ < kSyncBytes) return {};
  unsynced_ = 0;
  if (again([&] { return fdatasync(fd_); }) != 0) return os_error(errno, part_, "fdatasync");
  return {};
}

Status NewFile::keep() {
  if (again([&] { return fsync(fd_); }) != 0) return os_error(errno, part_, "fsync");
  if (rename(part_.c_str(), path_.c_str()) != 0) return os_error(errno, part_, "rename");
  part_.clear();
  const std::string directory = directory_of(path_);
  const int fd = again([&] { return open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC); });
  if (fd < 0) return os_error(errno, directory, "open");
  // Some file systems know no such thing, and need none.
  const int number = again([&] { return fsync(fd); }) != 0 && errno != EINVAL ? errno : 0;
  close(fd);
  return number == 0 ? Status() : os_error(number, directory, "fsync");
}

}  // namespace kette
