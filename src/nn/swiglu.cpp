#include "nn/swiglu.h"

#include <array>

namespace kette::nn {

void SwiGlu::add(Step& step, const Tensor& normed, const Tensor& x) const {
  const Arena::Mark mark(step.arena);
  Phase phase(step.profile, "gate and up");
  const Tensor h = step.arena.tensor(x.rows, up_proj.out());
  multiply(step, std::array{Product{&up_proj, normed, h, &gate_proj}});
  phase.next("down");
  const Tensor y = step.arena.tensor(x.rows, x.cols);
  multiply(step, std::array{Product{&down_proj, h, y}});
  add_rows(step, y, x);
}

}  // namespace kette::nn
