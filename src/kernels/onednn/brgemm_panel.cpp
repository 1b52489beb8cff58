// Panels multiplied by oneDNN's brgemm ukernel: generated code, kept per shape.
// oneDNN types stay in this file.
#include <oneapi/dnnl/dnnl_ukernel.h>

#include <array>
#include <map>
#include <mutex>
#include <shared_mutex>
#include <tuple>

#include "kernels/panel.h"

namespace kette::kernels {
namespace {

struct Destroy {
  void operator()(dnnl_brgemm* p) const { dnnl_brgemm_destroy(p); }
};
using Brgemm = std::unique_ptr<dnnl_brgemm, Destroy>;

constexpr size_t kScratchBytes = 1 << 20;
// Rows go in blocks of powers of two, so a weight needs a handful of kernels however long prompts are.
constexpr std::array<size_t, 8> kRowBlocks = {128, 64, 32, 16, 8, 4, 2, 1};
constexpr size_t kCacheCap = 4096;

struct Shape {
  size_t m, n, k, lda, ldc;
  bool add;
  auto key() const { return std::tie(m, n, k, lda, ldc, add); }
  bool operator<(const Shape& o) const { return key() < o.key(); }
};

class BrgemmPanel final : public PanelMultiply {
 public:
  explicit BrgemmPanel(PanelType type) : type_(type) {}

  PanelType type() const override { return type_; }
  size_t scratch_bytes() const override { return kScratchBytes; }

  Status multiply(const PanelArgs& args) override {
    try {
      return multiply_blocks(args);
    } catch (...) {  // no memory, here or in oneDNN; tasks do not throw
      return Status(Code::kOutOfMemory, {});
    }
  }

  void leave_thread() override { dnnl_brgemm_release_hw_context(); }

  Result<const dnnl_brgemm*> find(const Shape& shape) {
    {
      const std::shared_lock lock(mutex_);
      if (const auto it = kernels_.find(shape); it != kernels_.end()) return it->second.get();
    }
    const std::unique_lock lock(mutex_);
    if (const auto it = kernels_.find(shape); it != kernels_.end()) return it->second.get();
    if (kernels_.size() >= kCacheCap) return error(Code::kBudget, "more than {} generated matmul kernels", kCacheCap);
    KETTE_ASSIGN(Brgemm made, generate(shape));
    return kernels_.emplace(shape, std::move(made)).first->second.get();
  }

 private:
  Status multiply_blocks(const PanelArgs& args) {
    const size_t element = type_ == PanelType::kBf16 ? 2 : 4;
    const std::byte* a = args.a;
    float* c = args.c;
    for (size_t left = args.m; left > 0;) {
      size_t block = 0;
      while (kRowBlocks[block] > left) ++block;
      const size_t m = kRowBlocks[block];
      KETTE_ASSIGN(const dnnl_brgemm* kernel,
                   find({m, args.width, args.k, args.a_stride / element, args.c_stride, args.add}));
      const dnnl_dim_t offsets[2] = {0, 0};
      if (dnnl_brgemm_set_hw_context(kernel) != dnnl_success ||
          dnnl_brgemm_execute(kernel, a, args.panel, offsets, c, args.scratch) != dnnl_success)
        return error(Code::kInternal, "brgemm [{} x {}] x [{} x {}] did not run", m, args.k, args.k, args.width);
      a += m * args.a_stride;
      c += m * args.c_stride;
      left -= m;
    }
    return {};
  }

  Result<Brgemm> generate(const Shape& s) const {
    const dnnl_data_type_t type = type_ == PanelType::kBf16 ? dnnl_bf16 : dnnl_f32;
    const auto dim = [](size_t n) { return static_cast<dnnl_dim_t>(n); };
    dnnl_brgemm_t raw = nullptr;
    const dnnl_status_t created = dnnl_brgemm_create(&raw, dim(s.m), dim(s.n), dim(s.k), 1, dim(s.lda),
                                                     dim(kPanelWidth), dim(s.ldc), type, type, dnnl_f32);
    Brgemm made(raw);
    const dnnl_pack_type_t expected = type_ == PanelType::kBf16 ? dnnl_pack_type_pack32 : dnnl_pack_type_no_trans;
    dnnl_pack_type_t pack = dnnl_pack_type_undef;
    size_t scratch = 0;
    if (created != dnnl_success || dnnl_brgemm_set_add_C(raw, s.add ? 1 : 0) != dnnl_success ||
        dnnl_brgemm_finalize(raw) != dnnl_success || dnnl_brgemm_get_B_pack_type(raw, &pack) != dnnl_success ||
        dnnl_brgemm_get_scratchpad_size(raw, &scratch) != dnnl_success)
      return error(Code::kCpu, "oneDNN has no {} brgemm of {} x {} x {} for this CPU",
                   type_ == PanelType::kBf16 ? "bf16" : "f32", s.m, s.n, s.k);
    if (pack != expected || scratch > kScratchBytes)
      return error(Code::kInternal, "oneDNN wants pack type {} and {} bytes of scratch, expected {} and at most {}",
                   static_cast<int>(pack), scratch, static_cast<int>(expected), kScratchBytes);
    if (dnnl_brgemm_generate(raw) != dnnl_success) {
      // oneDNN 3.7 has deleted the kernel inside and would do so again: this small object is left behind.
      static_cast<void>(made.release());
      return error(Code::kJitRefused, "the system refused memory for generated code (brgemm {} x {} x {})", s.m, s.n,
                   s.k);
    }
    return made;
  }

  PanelType type_;
  std::shared_mutex mutex_;
  std::map<Shape, Brgemm> kernels_;
};

Result<std::unique_ptr<PanelMultiply>> make(PanelType type) {
  auto panel = std::make_unique<BrgemmPanel>(type);
  // A small kernel tells now, not in the middle of a prompt, whether this CPU and system can run generated code.
  const Shape probe{1, kPanelWidth, 64, 64, kPanelWidth, false};
  if (auto kernel = panel->find(probe); !kernel.ok()) return std::move(kernel).status();
  return std::unique_ptr<PanelMultiply>(std::move(panel));
}

}  // namespace

Result<std::unique_ptr<PanelMultiply>> make_onednn_bf16_panel() { return make(PanelType::kBf16); }
Result<std::unique_ptr<PanelMultiply>> make_onednn_f32_panel() { return make(PanelType::kF32); }

}  // namespace kette::kernels
