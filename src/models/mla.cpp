#include "models/mla.h"

#include <cmath>

namespace kette {
namespace {

constexpr float kLatentEps = 1e-6f;  // of q_a_layernorm and kv_a_layernorm, whatever rms_norm_eps is

// One head's rows of a weight that has all heads' one after the other.
struct HeadRows {
  const nn::Weight* all;
  size_t first, n;

  nn::Weight view() const { return all->slice(first, n); }
  // Transposed and in another format, at `to`.
  nn::Weight transposed(const Format& format, std::byte* to) const {
    std::vector<float> plain(n * all->cols), column(n);
    for (size_t i = 0; i < n; ++i) all->decode(first + i, 0, all->cols, plain.data() + i * all->cols);
    for (size_t j = 0; j < all->cols; ++j) {
      for (size_t i = 0; i < n; ++i) column[i] = plain[i * all->cols + j];
      format.encode(column.data(), to + j * format.row_bytes(n), n);
    }
    return {&format, to, all->cols, n};
  }
};

std::vector<HeadRows> heads_of(const nn::Weight& all, size_t heads, size_t stride, size_t first, size_t n) {
  std::vector<HeadRows> rows;
  for (size_t h = 0; h < heads; ++h) rows.push_back({&all, h * stride + first, n});
  return rows;
}

std::vector<nn::Linear> transposed(Binder& b, const std::vector<HeadRows>& heads, std::string_view format_name) {
  std::vector<nn::Linear> linears;
  const Format& format = *find_format(format_name);
  const size_t bytes = heads[0].all->cols * format.row_bytes(heads[0].n);
  std::byte* to = b.own(heads.size() * bytes);
  for (size_t h = 0; h < heads.size(); ++h) linears.push_back(b.linear(heads[h].transposed(format, to + h * bytes)));
  return linears;
}

std::vector<nn::Linear> as_stored(Binder& b, const std::vector<HeadRows>& heads) {
  std::vector<nn::Linear> linears;
  for (const HeadRows& rows : heads) linears.push_back(b.linear(rows.view()));
  return linears;
}

void bind_whole(Binder& b, const std::string& prefix, const MlaSizes& s, nn::MlaAttention& a) {
  const size_t heads = s.num_attention_heads, nope = s.qk_nope_head_dim, both = nope + s.v_head_dim;
  const nn::Weight kv = b.matrix(prefix + ".kv_b_proj.weight", heads * both, s.kv_lora_rank);
  if (kv.data == nullptr) return;
  const auto k = heads_of(kv, heads, both, 0, nope);
  const std::string_view stored = kv.format->name;
  const bool as_float = b.mode() == nn::Mode::kExact || stored == "f32";
  a.k_absorbed = transposed(b, k, as_float ? "f32" : stored == "bf16" ? "bf16" : "f16");
  a.k_expanded = as_stored(b, k);
  a.v_proj = as_stored(b, heads_of(kv, heads, both, nope, s.v_head_dim));
}

void bind_split(Binder& b, const std::string& prefix, const MlaSizes& s, nn::MlaAttention& a) {
  const size_t heads = s.num_attention_heads;
  const nn::Weight k_b = b.stacked(prefix + ".k_b_proj.weight", heads, s.kv_lora_rank, s.qk_nope_head_dim);
  const nn::Weight v_b = b.stacked(prefix + ".v_b_proj.weight", heads, s.v_head_dim, s.kv_lora_rank);
  if (k_b.data == nullptr || v_b.data == nullptr) return;
  const auto k = heads_of(k_b, heads, s.kv_lora_rank, 0, s.kv_lora_rank);
  const std::string_view stored = k_b.format->name;
  const bool plain = stored == "f32" || stored == "f16";
  a.k_absorbed = as_stored(b, k);
  if (b.mla_form() == nn::MlaForm::kExpanded || (b.mla_form() == nn::MlaForm::kChosen && b.mode() == nn::Mode::kFast))
    a.k_expanded = transposed(b, k, b.mode() == nn::Mode::kExact ? "f32" : plain ? stored : "bf16");
  a.v_proj = as_stored(b, heads_of(v_b, heads, s.v_head_dim, 0, s.v_head_dim));
}

}  // namespace

MlaSizes bind_mla_sizes(Binder& b) {
  MlaSizes s{};
  s.hidden_size = b.size("hidden_size", 1, 1 << 20);
  s.num_attention_heads = b.size("num_attention_heads", 1, 4096);
  s.q_lora_rank = b.size("q_lora_rank", 1, 1 << 16, 0);
  s.kv_lora_rank = b.size("kv_lora_rank", 2, 4096);
  s.qk_nope_head_dim = b.size("qk_nope_head_dim", 2, 1024);
  s.qk_rope_head_dim = b.size("qk_rope_head_dim", 2, 1024);
  s.v_head_dim = b.size("v_head_dim", 2, 1024);
  for (const auto& [key, n] : {std::pair{"kv_lora_rank", s.kv_lora_rank},
                               {"qk_nope_head_dim", s.qk_nope_head_dim},
                               {"qk_rope_head_dim", s.qk_rope_head_dim},
                               {"v_head_dim", s.v_head_dim}})
    b.require(n % 2 == 0, fmt::format("{}: {}, expected an even number", key, n));
  b.require(!b.boolean("attention_bias", false), "attention_bias: true, expected false");
  // YaRN's softmax temperature: m^2 on the scores (the ratio of the two m is on cosine and sine, see bind_rope).
  double scale = 1 / std::sqrt(static_cast<double>(s.qk_nope_head_dim + s.qk_rope_head_dim));
  if (b.string("rope_scaling.rope_type", b.string("rope_scaling.type", "default")) == "yarn") {
    const double m = nn::yarn_magnitude(b.real("rope_scaling.factor", 1e-3, 1e6),
                                        b.real("rope_scaling.mscale_all_dim", 0, 1e3, 0.0));
    scale *= m * m;
  }
  s.softmax_scale = static_cast<float>(scale);
  s.rope_interleaved = b.boolean("rope_interleave", true);
  return s;
}

nn::MlaAttention bind_mla(Binder& b, const std::string& prefix, const MlaSizes& s) {
  nn::MlaAttention a;
  a.num_heads = s.num_attention_heads;
  a.qk_nope_head_dim = s.qk_nope_head_dim;
  a.qk_rope_head_dim = s.qk_rope_head_dim;
  a.v_head_dim = s.v_head_dim;
  a.kv_lora_rank = s.kv_lora_rank;
  a.softmax_scale = s.softmax_scale;
  a.rope_interleaved = s.rope_interleaved;
  a.form = b.mla_form();
  const size_t q = s.num_attention_heads * (s.qk_nope_head_dim + s.qk_rope_head_dim);
  if (s.q_lora_rank > 0) {
    a.query_latent = {b.linear(prefix + ".q_a_proj", s.q_lora_rank, s.hidden_size),
                      b.rms_norm(prefix + ".q_a_layernorm", s.q_lora_rank, kLatentEps)};
    a.q_proj = b.linear(prefix + ".q_b_proj", q, s.q_lora_rank);
  } else {
    a.q_proj = b.linear(prefix + ".q_proj", q, s.hidden_size);
  }
  a.kv_a_proj_with_mqa = b.linear(prefix + ".kv_a_proj_with_mqa", s.kv_lora_rank + s.qk_rope_head_dim, s.hidden_size);
  a.kv_a_layernorm = b.rms_norm(prefix + ".kv_a_layernorm", s.kv_lora_rank, kLatentEps);
  b.has_tensor(prefix + ".k_b_proj.weight") ? bind_split(b, prefix, s, a) : bind_whole(b, prefix, s, a);
  a.o_proj = b.linear(prefix + ".o_proj", s.hidden_size, s.num_attention_heads * s.v_head_dim);
  return a;
}

}  // namespace kette
