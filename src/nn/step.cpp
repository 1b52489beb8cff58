#include "nn/step.h"

namespace kette::nn {

WorkerScratch::WorkerScratch(const kernels::Kernels& k, Allocator* allocator)
    : panel(kernels::kPanelDepth * kernels::kPanelWidth * (k.fast_panel ? kernels::kWidePanels / 2 : 1), allocator),
      multiply(std::max(k.exact_panel->scratch_bytes(), k.fast_panel ? k.fast_panel->scratch_bytes() : 0), allocator) {}

size_t Scratch::bytes() const {
  size_t sum = arena.bytes();
  for (const auto& w : workers) sum += w->panel.size() * sizeof(float) + w->multiply.size();
  return sum;
}

}  // namespace kette::nn
