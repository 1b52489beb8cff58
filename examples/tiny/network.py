"""DeepSeek-V3's architecture in PyTorch, small and for training: latent attention, experts chosen by group with a
correction bias, multi-token prediction. All experts are computed for all tokens, as one wide layer whose parts are
multiplied by their gates: for 8 experts of 64 that is faster than moving tokens about."""
from __future__ import annotations

from dataclasses import dataclass
from typing import Optional, Tuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass
class Config:
    vocab_size: int = 512
    hidden_size: int = 192
    intermediate_size: int = 512
    moe_intermediate_size: int = 64
    num_hidden_layers: int = 5
    num_attention_heads: int = 6
    q_lora_rank: int = 96
    kv_lora_rank: int = 64
    qk_nope_head_dim: int = 32
    qk_rope_head_dim: int = 32
    v_head_dim: int = 32
    n_routed_experts: int = 8
    num_experts_per_tok: int = 2
    n_group: int = 4
    topk_group: int = 2
    routed_scaling_factor: float = 1.5
    rope_theta: float = 10000.0
    max_position_embeddings: int = 1024


class RmsNorm(nn.Module):
    def __init__(self, size: int):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(size))

    def forward(self, x: Tensor) -> Tensor:
        f = x.float()
        f = f * torch.rsqrt(f.pow(2).mean(-1, keepdim=True) + 1e-6)
        return self.weight * f.to(x.dtype)


def linear(cols: int, rows: int) -> nn.Linear:
    layer = nn.Linear(cols, rows, bias=False)
    nn.init.normal_(layer.weight, std=0.6 * cols**-0.5)
    return layer


def rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Neighbouring numbers are pairs. x: [..., positions, dim]; cos, sin: [positions, dim / 2]"""
    a, b = x.float().unflatten(-1, (-1, 2)).unbind(-1)
    return torch.cat((a * cos - b * sin, b * cos + a * sin), -1).to(x.dtype)


class Attention(nn.Module):
    def __init__(self, c: Config):
        super().__init__()
        self.c = c
        heads = c.num_attention_heads
        self.q_a_proj = linear(c.hidden_size, c.q_lora_rank)
        self.q_a_layernorm = RmsNorm(c.q_lora_rank)
        self.q_b_proj = linear(c.q_lora_rank, heads * (c.qk_nope_head_dim + c.qk_rope_head_dim))
        self.kv_a_proj_with_mqa = linear(c.hidden_size, c.kv_lora_rank + c.qk_rope_head_dim)
        self.kv_a_layernorm = RmsNorm(c.kv_lora_rank)
        self.kv_b_proj = linear(c.kv_lora_rank, heads * (c.qk_nope_head_dim + c.v_head_dim))
        self.o_proj = linear(heads * c.v_head_dim, c.hidden_size)

    def forward(self, x: Tensor, rope: Tuple[Tensor, Tensor], mask: Tensor) -> Tensor:
        c, heads = self.c, self.c.num_attention_heads
        q = self.q_b_proj(self.q_a_layernorm(self.q_a_proj(x))).unflatten(-1, (heads, -1)).transpose(1, 2)
        q_nope, q_rope = q.split((c.qk_nope_head_dim, c.qk_rope_head_dim), -1)
        latent, k_rope = self.kv_a_proj_with_mqa(x).split((c.kv_lora_rank, c.qk_rope_head_dim), -1)
        kv = self.kv_b_proj(self.kv_a_layernorm(latent)).unflatten(-1, (heads, -1)).transpose(1, 2)
        k_nope, v = kv.split((c.qk_nope_head_dim, c.v_head_dim), -1)
        k_rope = rotate(k_rope, *rope)[:, None].expand(-1, heads, -1, -1)
        q = torch.cat((q_nope, rotate(q_rope, *rope)), -1)
        k = torch.cat((k_nope, k_rope), -1)
        y = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return self.o_proj(y.transpose(1, 2).flatten(2))


class Swiglu(nn.Module):
    def __init__(self, size: int, wide: int):
        super().__init__()
        self.gate_proj, self.up_proj, self.down_proj = linear(size, wide), linear(size, wide), linear(wide, size)

    def forward(self, x: Tensor) -> Tensor:
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Moe(nn.Module):
    """The last of the experts in a row is the shared one: its gate is 1."""

    def __init__(self, c: Config):
        super().__init__()
        self.c = c
        wide = c.moe_intermediate_size * (c.n_routed_experts + 1)
        self.gate_proj, self.up_proj, self.down_proj = (
            linear(c.hidden_size, wide), linear(c.hidden_size, wide), linear(wide, c.hidden_size))
        with torch.no_grad():  # as many columns as a token has experts are summed, not all
            self.down_proj.weight *= (wide / (c.moe_intermediate_size * (c.num_experts_per_tok + 1))) ** 0.5
        self.router = nn.Parameter(torch.randn(c.n_routed_experts, c.hidden_size) * c.hidden_size**-0.5)
        self.register_buffer("e_score_correction_bias", torch.zeros(c.n_routed_experts))

    def gates(self, x: Tensor) -> Tuple[Tensor, Tensor]:
        """[..., experts]: what each expert's output is multiplied by, 0 if it is not chosen; and 1 if it is chosen."""
        c = self.c
        with torch.autocast(x.device.type, enabled=False):
            scores = (x.float() @ self.router.T).sigmoid()
        with torch.no_grad():
            choice = scores + self.e_score_correction_bias
            grouped = choice.unflatten(-1, (c.n_group, -1))
            groups = grouped.topk(2, -1)[0].sum(-1).topk(c.topk_group, -1)[1]
            open_ = torch.zeros_like(grouped[..., 0]).scatter_(-1, groups, 1.0)
            choice = (choice.unflatten(-1, (c.n_group, -1)) * open_[..., None]).flatten(-2)
            chosen = torch.zeros_like(scores).scatter_(-1, choice.topk(c.num_experts_per_tok, -1)[1], 1.0)
        gates = scores * chosen
        return gates / (gates.sum(-1, keepdim=True) + 1e-20) * c.routed_scaling_factor, chosen

    def forward(self, x: Tensor) -> Tuple[Tensor, Tensor]:
        gates, chosen = self.gates(x)
        gates = torch.cat((gates, torch.ones_like(gates[..., :1])), -1).to(x.dtype)
        h = F.silu(self.gate_proj(x)) * self.up_proj(x)
        h = (h.unflatten(-1, (gates.shape[-1], -1)) * gates[..., None]).flatten(-2)
        return self.down_proj(h), chosen


class Layer(nn.Module):
    def __init__(self, c: Config, dense: bool):
        super().__init__()
        self.input_layernorm, self.post_attention_layernorm = RmsNorm(c.hidden_size), RmsNorm(c.hidden_size)
        self.self_attn = Attention(c)
        self.mlp = Swiglu(c.hidden_size, c.intermediate_size) if dense else Moe(c)

    def forward(self, x: Tensor, rope: Tuple[Tensor, Tensor], mask: Tensor) -> Tuple[Tensor, Optional[Tensor]]:
        x = x + self.self_attn(self.input_layernorm(x), rope, mask)
        y = self.mlp(self.post_attention_layernorm(x))
        y, chosen = y if isinstance(y, tuple) else (y, None)
        return x + y, chosen


class Network(nn.Module):
    def __init__(self, c: Config):
        super().__init__()
        self.c = c
        self.embed_tokens = nn.Embedding(c.vocab_size, c.hidden_size)
        nn.init.normal_(self.embed_tokens.weight, std=0.5)
        self.layers = nn.ModuleList(Layer(c, dense=i == 0) for i in range(c.num_hidden_layers))
        self.norm = RmsNorm(c.hidden_size)
        self.lm_head = linear(c.hidden_size, c.vocab_size)
        # Multi-token prediction; the embedding and the head are the model's own.
        self.enorm, self.hnorm = RmsNorm(c.hidden_size), RmsNorm(c.hidden_size)
        self.eh_proj = linear(2 * c.hidden_size, c.hidden_size)
        self.ahead = Layer(c, dense=False)
        self.ahead_norm = RmsNorm(c.hidden_size)

    def rope(self, positions: int, device: torch.device) -> Tuple[Tensor, Tensor]:
        dim = self.c.qk_rope_head_dim
        frequency = self.c.rope_theta ** (-torch.arange(0, dim, 2, device=device).float() / dim)
        angle = torch.arange(positions, device=device).float()[:, None] * frequency
        return angle.cos(), angle.sin()

    def forward(self, ids: Tensor, mask: Tensor, ahead: bool = True):
        """ids: [rows, positions]; mask: [rows, 1, positions, positions], added to the attention's scores. Returns the
        logits, those of one token further (its last position has no meaning) and which experts each token had."""
        rope = self.rope(ids.shape[1], ids.device)
        embedded = self.embed_tokens(ids)
        x, loads = embedded, []
        for layer in self.layers:
            x, chosen = layer(x, rope, mask)
            if chosen is not None:
                loads.append(chosen)
        x = self.norm(x)
        logits = self.lm_head(x)
        if not ahead:
            return logits, None, loads
        following = self.embed_tokens(torch.cat((ids[:, 1:], ids[:, -1:]), 1))
        y = self.eh_proj(torch.cat((self.enorm(following), self.hnorm(x)), -1))
        y, chosen = self.ahead(y, rope, mask)
        loads.append(chosen)
        return logits, self.lm_head(self.ahead_norm(y)), loads


def attention_mask(document: Tensor, dtype: torch.dtype) -> Tensor:
    """[rows, 1, positions, positions]: 0 where a token may look at another: an earlier one of its conversation."""
    n = document.shape[1]
    same = document[:, :, None] == document[:, None, :]
    seen = same & torch.ones(n, n, dtype=torch.bool, device=document.device).tril()
    return torch.zeros(seen.shape, dtype=dtype, device=document.device).masked_fill(~seen, float("-inf"))[:, None]


def moes(network: Network):
    return [layer.mlp for layer in (*network.layers, network.ahead) if isinstance(layer.mlp, Moe)]
