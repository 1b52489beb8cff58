// The panel multiply as its definition says it: any CPU, no generated code.
#include "kernels/panel.h"

namespace kette::kernels {
namespace {

class RefPanel final : public PanelMultiply {
 public:
  PanelType type() const override { return PanelType::kF32; }
  size_t scratch_bytes() const override { return 0; }

  Status multiply(const PanelArgs& args) override {
    const float* panel = static_cast<const float*>(args.panel);
    for (size_t i = 0; i < args.m; ++i) {
      const float* a = reinterpret_cast<const float*>(args.a + i * args.a_stride);
      float sum[kPanelWidth] = {};
      float* c = args.c + i * args.c_stride;
      if (args.add)
        for (size_t j = 0; j < args.width; ++j) sum[j] = c[j];
      for (size_t k = 0; k < args.k; ++k) {
        const float x = a[k];
        const float* row = panel + k * kPanelWidth;
        for (size_t j = 0; j < kPanelWidth; ++j) sum[j] += x * row[j];
      }
      for (size_t j = 0; j < args.width; ++j) c[j] = sum[j];
    }
    return {};
  }
};

}  // namespace

Result<std::unique_ptr<PanelMultiply>> make_ref_f32_panel() {
  return std::unique_ptr<PanelMultiply>(std::make_unique<RefPanel>());
}

}  // namespace kette::kernels
