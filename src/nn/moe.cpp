#include "nn/moe.h"

#include <cmath>

#include "nn/elements.h"

namespace kette::nn {
namespace {

constexpr size_t kRouterRows = 64;  // rows that one product of the router takes: more of them, more threads

// A token and one of its experts are a slot, [rows][k]; places [rows * k] are the slots sorted by expert.
struct Places {
  size_t* begin;     // [num_experts + 1]: an expert's places are [begin[e], begin[e + 1])
  size_t* place_of;  // [rows * k] of a slot
  size_t* slot_of;   // [rows * k] of a place
};

// A counting sort: places of one expert are in the order of their tokens.
Places sort_by_expert(Step& step, const Choice* chosen, size_t slots, size_t num_experts) {
  Places p{step.arena.take<size_t>(num_experts + 1), step.arena.take<size_t>(slots), step.arena.take<size_t>(slots)};
  std::fill_n(p.begin, num_experts + 1, 0);
  for (size_t s = 0; s < slots; ++s) ++p.begin[chosen[s].expert + 1];
  for (size_t e = 0; e < num_experts; ++e) p.begin[e + 1] += p.begin[e];
  size_t* next = step.arena.take<size_t>(num_experts);
  std::copy_n(p.begin, num_experts, next);
  for (size_t s = 0; s < slots; ++s) {
    p.place_of[s] = next[chosen[s].expert]++;
    p.slot_of[p.place_of[s]] = s;
  }
  return p;
}

float sigmoid(float x) { return 1.0f / (1.0f + std::exp(-x)); }

}  // namespace

void Moe::route(Step& step, const Tensor& normed, const Tensor& logits, const Tensor& shared, Choice* chosen) const {
  const size_t stretches = (normed.rows + kRouterRows - 1) / kRouterRows;
  Product* products = step.arena.take<Product>(stretches * 2);
  size_t n = 0;
  for (size_t row = 0; row < normed.rows; row += kRouterRows) {
    const size_t rows = std::min(kRouterRows, normed.rows - row);
    products[n++] = {&router.gate, normed.slice(row, rows), logits.slice(row, rows)};
    if (shared_expert_gate) products[n++] = {&*shared_expert_gate, normed.slice(row, rows), shared.slice(row, rows)};
  }
  multiply(step, {products, n});
  step.parallel_rows(normed.rows, 8, [&](size_t first, size_t last) {
    for (size_t i = first; i < last; ++i) router.choose(logits.row(i), chosen + i * router.routing.num_experts_per_tok);
  });
}

void Moe::add(Step& step, const Tensor& normed, const Tensor& x) const {
  const Arena::Mark mark(step.arena);
  const size_t k = router.routing.num_experts_per_tok, slots = x.rows * k;
  Phase phase(step.profile, "router");
  const Tensor logits = step.arena.tensor(x.rows, router.num_experts()), shared_weight = step.arena.tensor(x.rows, 1);
  Choice* chosen = step.arena.take<Choice>(slots);
  route(step, normed, logits, shared_weight, chosen);
  phase.next("gather");
  const Places places = sort_by_expert(step, chosen, slots, experts.size());

  // Each place's input, and later its expert's result. A single row serves all its experts as it is.
  const Tensor gathered = step.arena.tensor(slots, x.cols);
  if (x.rows > 1)
    step.parallel_rows(slots, 4, [&](size_t first, size_t last) {
      for (size_t i = first; i < last; ++i) std::copy_n(normed.row(places.slot_of[i] / k), x.cols, gathered.row(i));
    });

  const Tensor h = step.arena.tensor(slots, experts[0].up_proj.out());
  const Tensor shared_h = step.arena.tensor(x.rows, shared_expert ? shared_expert->up_proj.out() : 0);
  const Tensor shared_y = step.arena.tensor(x.rows, shared_expert ? x.cols : 0);
  Product* up = step.arena.take<Product>(experts.size() + 1);
  Product* down = step.arena.take<Product>(experts.size() + 1);
  size_t n = 0;
  if (shared_expert) {
    up[n] = {&shared_expert->up_proj, normed, shared_h, &shared_expert->gate_proj};
    down[n++] = {&shared_expert->down_proj, shared_h, shared_y};
  }
  for (size_t e = 0; e < experts.size(); ++e) {
    const size_t first = places.begin[e], rows = places.begin[e + 1] - first;
    if (rows == 0) continue;
    const Tensor in = x.rows > 1 ? gathered.slice(first, rows) : normed;
    up[n] = {&experts[e].up_proj, in, h.slice(first, rows), &experts[e].gate_proj};
    down[n++] = {&experts[e].down_proj, h.slice(first, rows), gathered.slice(first, rows)};
  }
  phase.next("experts gate and up");
  multiply(step, {up, n});
  phase.next("experts down");
  multiply(step, {down, n});
  phase.next("add experts");

  // Slot by slot, whoever computed them: the order of additions is the token's own.
  step.parallel_rows(x.rows, 4, [&](size_t first, size_t last) {
    constexpr size_t kColumns = 512;  // a sum stays in L1
    float sum[kColumns];
    for (size_t i = first; i < last; ++i) {
      for (size_t at = 0; at < x.cols; at += kColumns) {
        const size_t columns = std::min(kColumns, x.cols - at);
        std::fill_n(sum, columns, 0.0f);
        for (size_t s = i * k; s < (i + 1) * k; ++s)
          add_scaled(gathered.row(places.place_of[s]) + at, chosen[s].weight, columns, sum);
        const float weight = shared_expert_gate ? sigmoid(*shared_weight.row(i)) : 1.0f;
        if (shared_expert) add_scaled(shared_y.row(i) + at, weight, columns, sum);
        step.vector().add(sum, columns, x.row(i) + at);
      }
    }
  });
}

}  // namespace kette::nn
