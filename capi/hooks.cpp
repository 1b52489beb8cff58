#include <cerrno>
#include <mutex>
#include <vector>

#include "handles.h"

namespace kette::capi {
namespace {

class HostExecutor final : public Executor {
 public:
  explicit HostExecutor(const kette_executor& host) : host_(host) {}
  uint32_t width() const override { return host_.n_workers; }

  // The host runs one loop per worker; the loops share out the tasks, so that `worker` is never in use twice.
  void run(uint32_t n, Task task, void* arg) override {
    const bool alone = host_.in_worker != nullptr && host_.in_worker(host_.user) != 0;
    if (n <= 1 || host_.n_workers == 1 || alone) {
      for (uint32_t i = 0; i < n; ++i) task(arg, i, 0);
      return;
    }
    Loop loop{n, task, arg, {0}};
    host_.parallel_for(host_.user, std::min(n, host_.n_workers), &HostExecutor::work, &loop);
  }

 private:
  struct Loop {
    uint32_t n;
    Task task;
    void* arg;
    std::atomic<uint32_t> next;
  };
  static void work(void* arg, uint32_t worker, uint32_t) {
    const FloatEnvironment environment;
    Loop& loop = *static_cast<Loop*>(arg);
    for (uint32_t i = loop.next++; i < loop.n; i = loop.next++) loop.task(loop.arg, i, worker);
  }

  kette_executor host_;
};

class HostAllocator final : public Allocator {
 public:
  explicit HostAllocator(const kette_allocator& host) : host_(host) {}
  void* take(size_t n, size_t align, MemoryUse use) override {
    const InCallback callback;
    return host_.alloc(host_.user, n, align, static_cast<uint32_t>(use));
  }
  void give_back(void* p, size_t n, size_t align, MemoryUse use) noexcept override {
    const InCallback callback;
    host_.free_(host_.user, p, n, align, static_cast<uint32_t>(use));
  }

 private:
  kette_allocator host_;
};

// A host's hook struct, whose destroy is called when its last user ends, or now if there is no memory to keep it.
template <class T>
std::shared_ptr<const T> keep(const T& hook) {
  const auto end = [](const T& ending) {
    const InCallback callback;
    if (ending.destroy != nullptr) ending.destroy(ending.user);
  };
  auto* kept = new (std::nothrow) T(hook);
  if (kept == nullptr) {
    end(hook);
    throw std::bad_alloc();
  }
  return std::shared_ptr<const T>(kept, [end](const T* p) {
    end(*p);
    delete p;
  });
}

class VfsSource final : public Source {
 public:
  VfsSource(std::shared_ptr<const kette_vfs> vfs, void* file, uint64_t size, std::string name)
      : vfs_(std::move(vfs)), file_(file), size_(size), name_(std::move(name)) {}
  ~VfsSource() override {
    const InCallback callback;
    for (const auto& [p, n] : mapped_)
      if (vfs_->unmap != nullptr) vfs_->unmap(vfs_->user, file_, p, n);
    if (vfs_->close != nullptr) vfs_->close(vfs_->user, file_);
  }
  VfsSource(const VfsSource&) = delete;
  VfsSource& operator=(const VfsSource&) = delete;

  const std::string& name() const override { return name_; }
  uint64_t size() const override { return size_; }

  Status read_at(uint64_t offset, std::span<std::byte> out) const override {
    const InCallback callback;
    while (!out.empty()) {
      const int64_t n = vfs_->read_at(vfs_->user, file_, offset, out.data(), out.size());
      if (n < 0) return Status(Code::kIo, fmt::format("{:.200}: the host's read at {} failed", name_, offset), -n);
      if (n == 0 || static_cast<uint64_t>(n) > out.size())
        return error(Code::kIo, "{:.200}: the host's read at {} gave {} bytes, expected 1 to {}", name_, offset, n,
                     out.size());
      out = out.subspan(static_cast<size_t>(n));
      offset += static_cast<uint64_t>(n);
    }
    return {};
  }

  const std::byte* map(uint64_t offset, uint64_t size) const override {
    if (vfs_->map == nullptr || offset > size_ || size > size_ - offset) return nullptr;
    const InCallback callback;
    const std::lock_guard lock(mutex_);
    mapped_.reserve(mapped_.size() + 1);
    const void* p = vfs_->map(vfs_->user, file_, offset, size);
    if (p != nullptr) mapped_.emplace_back(p, size);
    return static_cast<const std::byte*>(p);
  }

 private:
  std::shared_ptr<const kette_vfs> vfs_;
  void* file_;
  uint64_t size_;
  std::string name_;
  mutable std::mutex mutex_;
  mutable std::vector<std::pair<const void*, size_t>> mapped_;
};

}  // namespace

int& InCallback::depth() {
  static thread_local int depth = 0;
  return depth;
}

Result<std::unique_ptr<Allocator>> host_allocator(const kette_allocator* given) {
  if (given == nullptr) return std::unique_ptr<Allocator>();
  KETTE_ASSIGN(const kette_allocator host, read_struct(given, "kette_allocator"));
  if (host.alloc == nullptr || host.free_ == nullptr)
    return error(Code::kInvalidArgument, "kette_allocator: alloc and free_ must not be NULL");
  return std::unique_ptr<Allocator>(std::make_unique<HostAllocator>(host));
}

Result<std::unique_ptr<Executor>> host_executor(const kette_executor* given) {
  if (given == nullptr) return std::unique_ptr<Executor>();
  KETTE_ASSIGN(const kette_executor host, read_struct(given, "kette_executor"));
  if (host.parallel_for == nullptr || host.n_workers < 1 || host.n_workers > 1024)
    return error(Code::kInvalidArgument,
                 "kette_executor: n_workers is {}, expected 1 to 1024, and parallel_for not NULL", host.n_workers);
  return std::unique_ptr<Executor>(std::make_unique<HostExecutor>(host));
}

Result<LogSink> host_log(const kette_logger* given) {
  if (given == nullptr) return LogSink();
  KETTE_ASSIGN(const kette_logger host, read_struct(given, "kette_logger"));
  auto kept = keep(host);
  if (host.log == nullptr) return error(Code::kInvalidArgument, "kette_logger.log is NULL");
  return LogSink([kept = std::move(kept)](LogLevel level, std::string_view component, std::string_view message) {
    if (static_cast<int32_t>(level) < kept->min_level) return;
    const InCallback callback;
    kept->log(kept->user, static_cast<int32_t>(level), std::string(component).c_str(), message.data(), message.size());
  });
}

Result<OpenFile> host_files(const kette_vfs* given, bool mapped) {
  if (given == nullptr)
    return OpenFile(
        [mapped](const std::string& path) { return open_path(path, mapped ? Access::kMap : Access::kRead); });
  KETTE_ASSIGN(const kette_vfs host, read_struct(given, "kette_vfs"));
  auto kept = keep(host);
  if (host.open == nullptr || host.read_at == nullptr)
    return error(Code::kInvalidArgument, "kette_vfs: open and read_at must not be NULL");
  return OpenFile([vfs = std::move(kept)](const std::string& path) -> Result<std::unique_ptr<Source>> {
    const InCallback callback;
    void* file = nullptr;
    uint64_t size = 0;
    if (const int32_t os = vfs->open(vfs->user, path.c_str(), &file, &size); os != 0)
      return Status(os == ENOENT ? Code::kNotFound : Code::kIo,
                    fmt::format("{:.200}: the host could not open it ({})", path, os), os);
    try {
      return std::unique_ptr<Source>(std::make_unique<VfsSource>(vfs, file, size, path));
    } catch (...) {
      if (vfs->close != nullptr) vfs->close(vfs->user, file);
      throw;
    }
  });
}

}  // namespace kette::capi
