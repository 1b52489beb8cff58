// Panels of integers: a kernel of ours, no generated code.
#include "kernels/panel.h"

namespace kette::kernels {
namespace {

class IntPanel final : public PanelMultiply {
 public:
  explicit IntPanel(void (*run)(const IntPanelArgs&)) : run_(run) {}

  PanelType type() const override { return PanelType::kInts; }
  size_t scratch_bytes() const override { return 0; }

  Status multiply(const PanelArgs& args) override {
    run_({reinterpret_cast<const IntNumbers*>(args.a), args.a_stride / sizeof(IntNumbers), args.m,
          static_cast<const IntWeights*>(args.panel), args.k, args.width, args.add, args.c, args.c_stride, args.next});
    return {};
  }

 private:
  void (*run_)(const IntPanelArgs&);
};

}  // namespace

Result<std::unique_ptr<PanelMultiply>> make_avx512_ints_panel() {
  return std::unique_ptr<PanelMultiply>(std::make_unique<IntPanel>(&avx512::multiply_int));
}

}  // namespace kette::kernels
