#include "nn/step.h"

namespace kette::nn {

namespace {

// The most that `bytes` says of any panel.
template <class F>
size_t most(const kernels::Kernels& k, F&& bytes) {
  size_t n = 0;
  k.each_panel([&](kernels::PanelMultiply& panel) { n = std::max<size_t>(n, bytes(panel)); });
  return n;
}

}  // namespace

WorkerScratch::WorkerScratch(const kernels::Kernels& k, Allocator* allocator)
    : panel(most(k, [](auto& p) { return kernels::panel_bytes(p.type()) * kernels::most_panels(p.type()); }),
            allocator),
      multiply(most(k, [](auto& p) { return p.scratch_bytes(); }), allocator) {}

size_t Scratch::bytes() const {
  size_t sum = arena.bytes();
  for (const auto& w : workers) sum += w->panel.size() + w->multiply.size();
  return sum;
}

}  // namespace kette::nn
