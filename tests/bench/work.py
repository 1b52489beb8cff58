"""What a token costs by the model's file: operations of its matrices, bytes of its weights, and both for each position
of the context.

A speed is then a share of the machine's limits: prefill of its multiply-adds, decode of its memory's bandwidth.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Tuple

from model_file import Tensor, read_gguf, read_safetensors

OF_LAYER = re.compile(r"^(?:blk|model\.layers)\.(\d+)\.")


@dataclass(frozen=True)
class Cost:
    format: str  # of most of the weights that a token is multiplied with
    ops: float  # of a token, without attention and head; a multiply-add is two
    head_ops: float
    bytes: float  # read for a token alone, with the head
    attention_ops: float  # of a token for each position that it looks at
    cache_bytes: float  # read for each position, as 16-bit floats

    def prefill_ops(self, tokens: int) -> float:
        """A token's mean share in a prompt: the head is wanted for the last one only."""
        return self.ops + self.head_ops / tokens + self.attention_ops * (tokens + 1) / 2

    def decode_bytes(self, context: int) -> float:
        return self.bytes + self.cache_bytes * context


def cost_of(path: Path) -> Cost:
    if path.is_dir():
        config = json.loads((path / "config.json").read_text(encoding="utf-8"))
        return cost(read_safetensors(sorted(path.glob("*.safetensors"))), _of_config(config))
    settings, tensors = read_gguf(path)
    return cost(tensors, _of_settings(settings))


def cost(tensors: List[Tensor], model: Dict[str, float]) -> Cost:
    """model: layers, used (the share of experts that a token goes to), attention_ops and cache_numbers of a layer."""
    tied = not any(t.name in ("output.weight", "lm_head.weight") for t in tensors)
    ops = head_ops = read = 0.0
    formats: Counter = Counter()
    for t in tensors:
        part = _part(t, model, tied)
        read += t.bytes * part
        if len(t.shape) < 2 or t.name.endswith("_scale_inv") or part == 0:
            continue
        work = 2.0 * t.weights * part
        if t.name in ("output.weight", "lm_head.weight") or (tied and _is_embedding(t)):
            head_ops += work
        elif not _is_embedding(t):
            ops += work
            formats[t.format] += work
    return Cost(
        formats.most_common(1)[0][0],
        ops,
        head_ops,
        read,
        model["layers"] * model["attention_ops"],
        2 * model["layers"] * model["cache_numbers"],
    )


def _is_embedding(t: Tensor) -> bool:
    return t.name in ("token_embd.weight", "model.embed_tokens.weight")


def _part(t: Tensor, model: Dict[str, float], tied: bool) -> float:
    """The share of a tensor that one token needs."""
    layer = OF_LAYER.match(t.name)
    if layer and int(layer.group(1)) >= model["layers"]:
        return 0.0  # of multi-token prediction
    if _is_embedding(t) and not tied:
        return 1 / t.shape[0]
    if "_exps." in t.name or ".mlp.experts." in t.name:
        return model["used"]
    return 1.0


def _attention(heads: int, kv_heads: int, width: int) -> Dict[str, float]:
    return {"attention_ops": 4.0 * heads * width, "cache_numbers": 2.0 * kv_heads * width}


def _latent_attention(heads: int, key: int, value: int, latent: int, rope: int) -> Dict[str, float]:
    """With keys and values rebuilt for each head, cheaper for many rows; rebuilding is a product of its own."""
    return {"attention_ops": 2.0 * heads * (key + value), "cache_numbers": float(latent + rope)}


def _of_settings(s: Dict[str, Any]) -> Dict[str, float]:
    def get(key: str, otherwise: Any = 0) -> Any:
        return s.get(f"{s['general.architecture']}.{key}", otherwise)

    heads, hidden, latent = get("attention.head_count"), get("embedding_length"), get("attention.kv_lora_rank")
    if latent:
        key = get("attention.key_length_mla") or get("attention.key_length")
        value = get("attention.value_length_mla") or get("attention.value_length")
        attention = _latent_attention(heads, key, value, latent, get("rope.dimension_count"))
    else:
        attention = _attention(
            heads, get("attention.head_count_kv", heads), get("attention.key_length") or hidden // heads
        )
    layers = get("block_count") - get("nextn_predict_layers")
    return {"layers": layers, "used": get("expert_used_count") / (get("expert_count") or 1), **attention}


def _of_config(c: Dict[str, Any]) -> Dict[str, float]:
    heads, experts = c["num_attention_heads"], c.get("n_routed_experts") or c.get("num_experts") or 0
    if c.get("kv_lora_rank"):
        attention = _latent_attention(
            heads,
            c["qk_nope_head_dim"] + c["qk_rope_head_dim"],
            c["v_head_dim"],
            c["kv_lora_rank"],
            c["qk_rope_head_dim"],
        )
    else:
        attention = _attention(
            heads, c.get("num_key_value_heads", heads), c.get("head_dim") or c["hidden_size"] // heads
        )
    return {"layers": c["num_hidden_layers"], "used": c.get("num_experts_per_tok", 0) / (experts or 1), **attention}


def peak_for(format: str, limits: Dict[str, float]) -> Tuple[str, float]:
    """Which of the machine's limits the prefill of a format is measured against: its fastest units for such numbers."""
    if "amx_bf16" in limits:
        return "amx_bf16", limits["amx_bf16"]
    kind = "f32" if format in ("f32", "f16", "bf16", "fp8") else "int8"
    names = [n for n in limits if n.startswith((kind, "bf16") if kind == "f32" else kind)]
    if kind == "int8" and not format.startswith("q4"):
        names.remove("int8_avx2_4bit")
    best = max(names, key=lambda n: limits[n])
    return best, limits[best]
