#include "nn/swiglu.h"

#include <array>

namespace kette::nn {

void SwiGlu::add(Step& step, const Tensor& normed, const Tensor& x) const {
  const Arena::Mark mark(step.arena);
  const Tensor gate = step.arena.tensor(x.rows, gate_proj.out());
  const Tensor up = step.arena.tensor(x.rows, up_proj.out());
  multiply(step, normed, std::array{Product{&gate_proj, gate}, Product{&up_proj, up}});
  step.parallel_rows(x.rows, 2, [&](size_t first, size_t last) {
    for (size_t i = first; i < last; ++i) step.vector().silu_mul(gate.row(i), up.row(i), gate.cols, gate.row(i));
  });
  const Tensor y = step.arena.tensor(x.rows, x.cols);
  multiply(step, gate, std::array{Product{&down_proj, y}});
  add_rows(step, y, x);
}

}  // namespace kette::nn
