"""Shapes of published models (from their config.json), and the tensors of a GGUF or a Hugging Face folder of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Dict, Iterator, List

from model_file import FORMATS, Tensor


@dataclass(frozen=True)
class Shape:
    arch: str  # GGUF's name
    hidden: int
    layers: int
    heads: int
    ffn: int
    vocab: int
    kv_heads: int = 1
    head_dim: int = 0  # 0: hidden / heads
    tied: bool = False
    rope_theta: float = 1e6
    experts: int = 0
    experts_used: int = 0
    expert_ffn: int = 0
    shared_ffn: int = 0  # of all shared experts together
    dense_layers: int = 0  # in front of those with experts
    expert_groups: int = 1
    expert_groups_used: int = 1
    expert_scale: float = 1.0
    sigmoid_router: bool = False
    q_lora: int = 0
    kv_lora: int = 0  # above 0: latent attention, with the three widths behind
    nope: int = 0
    rope: int = 0
    value: int = 0
    tokenizer: str = ""  # the tokenizer.json under tests/golden that fits, for engines that want one

    @property
    def width(self) -> int:
        return self.head_dim or self.hidden // self.heads


DEEPSEEK = dict(arch="deepseek2", nope=128, rope=64, value=128, kv_lora=512, rope_theta=1e4)
V3 = dict(
    DEEPSEEK,
    hidden=7168,
    heads=128,
    ffn=18432,
    vocab=129280,
    q_lora=1536,
    experts=256,
    experts_used=8,
    expert_ffn=2048,
    shared_ffn=2048,
    expert_groups=8,
    expert_groups_used=4,
    expert_scale=2.5,
    sigmoid_router=True,
    tokenizer="deepseek_v3",
)
SHAPES: Dict[str, Shape] = {
    "smollm2-135m": Shape("llama", 576, 30, 9, 1536, 49152, kv_heads=3, tied=True, rope_theta=1e5),
    "qwen2.5-0.5b": Shape("qwen2", 896, 24, 14, 4864, 151936, kv_heads=2, tied=True, tokenizer="qwen3"),
    "qwen2.5-1.5b": Shape("qwen2", 1536, 28, 12, 8960, 151936, kv_heads=2, tied=True, tokenizer="qwen3"),
    "qwen2.5-7b": Shape("qwen2", 3584, 28, 28, 18944, 152064, kv_heads=4, tokenizer="qwen3"),
    "llama3.1-8b": Shape("llama", 4096, 32, 32, 14336, 128256, kv_heads=8, rope_theta=5e5, tokenizer="llama3_1"),
    "qwen1.5-moe-a2.7b": Shape(
        "qwen2moe",
        2048,
        24,
        16,
        5632,
        151936,
        kv_heads=16,
        experts=60,
        experts_used=4,
        expert_ffn=1408,
        shared_ffn=5632,
        tokenizer="qwen3",
    ),
    "qwen3-30b-a3b": Shape(
        "qwen3moe",
        2048,
        48,
        32,
        6144,
        151936,
        kv_heads=4,
        head_dim=128,
        experts=128,
        experts_used=8,
        expert_ffn=768,
        tokenizer="qwen3",
    ),
    "deepseek-v2-lite": Shape(
        hidden=2048,
        layers=27,
        heads=16,
        ffn=10944,
        vocab=102400,
        experts=64,
        experts_used=6,
        expert_ffn=1408,
        shared_ffn=2816,
        dense_layers=1,
        **DEEPSEEK,
    ),
    # The first dense layer and one with experts: 12.5 of 671 billion weights.
    "deepseek-v3-slice": Shape(layers=2, dense_layers=1, **V3),
    # Of every kind a little, for tests.
    "tiny-llama": Shape("llama", 256, 2, 4, 512, 320, kv_heads=2, tied=True),
    "tiny-qwen2moe": Shape(
        "qwen2moe", 256, 2, 4, 512, 320, kv_heads=2, experts=4, experts_used=2, expert_ffn=96, shared_ffn=256
    ),
    "tiny-qwen3moe": Shape(
        "qwen3moe", 256, 2, 4, 512, 320, kv_heads=2, head_dim=32, experts=4, experts_used=2, expert_ffn=256
    ),
    "tiny-deepseek": Shape(
        "deepseek2",
        256,
        2,
        4,
        512,
        320,
        nope=32,
        rope=16,
        value=32,
        kv_lora=64,
        q_lora=96,
        experts=8,
        experts_used=2,
        expert_ffn=128,
        shared_ffn=128,
        dense_layers=1,
        expert_groups=2,
        expert_groups_used=1,
        expert_scale=2.5,
        sigmoid_router=True,
    ),
}

# A recipe: the format of most matrices, of the output matrix, and of rows that blocks of 256 do not divide.
RECIPES = {
    "f32": ("f32", "f32", "f32"),
    "f16": ("f16", "f16", "f16"),
    "bf16": ("bf16", "bf16", "bf16"),
    "q8_0": ("q8_0", "q8_0", "q8_0"),
    "q4_0": ("q4_0", "q6_k", "q8_0"),
    "q4_k": ("q4_k", "q6_k", "q8_0"),
    # As published files have it: half of the layers' v and down in more bits.
    "q4_k_m": ("q4_k", "q6_k", "q5_0"),
}


def _more_bits(layer: int, layers: int) -> bool:
    return layer < layers // 8 or layer >= 7 * layers // 8 or (layer - layers // 8) % 3 == 2


def _format(recipe: str, name: str, columns: int, shape: Shape, layer: int) -> str:
    most, head, undivided = RECIPES[recipe]
    wanted = most
    if name == "output" or (name == "token_embd" and shape.tied):
        wanted = head
    elif (
        recipe == "q4_k_m"
        and name in ("attn_v", "ffn_down", "ffn_down_exps", "attn_v_b")
        and _more_bits(layer, shape.layers)
    ):
        wanted = "q6_k"
    if columns % FORMATS[wanted][1] == 0:
        return wanted
    return "q8_0" if wanted == "q6_k" else undivided


def gguf_tensors(s: Shape, recipe: str) -> List[Tensor]:
    """Matrices by the recipe; norms, biases and routers in float32, as converters write them."""
    out: List[Tensor] = []

    def matrix(name: str, *dims: int, layer: int = -1) -> None:
        prefix = "" if layer < 0 else f"blk.{layer}."
        out.append(Tensor(f"{prefix}{name}.weight", dims, _format(recipe, name, dims[-1], s, layer)))

    def floats(name: str, *dims: int) -> None:
        out.append(Tensor(name, dims, "f32"))

    matrix("token_embd", s.vocab, s.hidden)
    floats("output_norm.weight", s.hidden)
    if not s.tied:
        matrix("output", s.vocab, s.hidden)
    for i in range(s.layers):
        b = f"blk.{i}."
        floats(b + "attn_norm.weight", s.hidden)
        floats(b + "ffn_norm.weight", s.hidden)
        if s.kv_lora:
            q_rows, q_columns = s.heads * (s.nope + s.rope), s.q_lora or s.hidden
            if s.q_lora:
                matrix("attn_q_a", s.q_lora, s.hidden, layer=i)
                floats(b + "attn_q_a_norm.weight", s.q_lora)
            matrix("attn_q_b" if s.q_lora else "attn_q", q_rows, q_columns, layer=i)
            matrix("attn_kv_a_mqa", s.kv_lora + s.rope, s.hidden, layer=i)
            floats(b + "attn_kv_a_norm.weight", s.kv_lora)
            matrix("attn_k_b", s.heads, s.kv_lora, s.nope, layer=i)
            matrix("attn_v_b", s.heads, s.value, s.kv_lora, layer=i)
            matrix("attn_output", s.hidden, s.heads * s.value, layer=i)
        else:
            for part, rows in (("q", s.heads * s.width), ("k", s.kv_heads * s.width), ("v", s.kv_heads * s.width)):
                matrix(f"attn_{part}", rows, s.hidden, layer=i)
                if s.arch in ("qwen2", "qwen2moe"):
                    floats(f"{b}attn_{part}.bias", rows)
            if s.arch == "qwen3moe":
                floats(b + "attn_q_norm.weight", s.width)
                floats(b + "attn_k_norm.weight", s.width)
            matrix("attn_output", s.hidden, s.heads * s.width, layer=i)
        if not s.experts or i < s.dense_layers:
            matrix("ffn_gate", s.ffn, s.hidden, layer=i)
            matrix("ffn_up", s.ffn, s.hidden, layer=i)
            matrix("ffn_down", s.hidden, s.ffn, layer=i)
            continue
        floats(b + "ffn_gate_inp.weight", s.experts, s.hidden)
        if s.sigmoid_router:
            floats(b + "exp_probs_b.bias", s.experts)
        matrix("ffn_gate_exps", s.experts, s.expert_ffn, s.hidden, layer=i)
        matrix("ffn_up_exps", s.experts, s.expert_ffn, s.hidden, layer=i)
        matrix("ffn_down_exps", s.experts, s.hidden, s.expert_ffn, layer=i)
        if s.shared_ffn:
            matrix("ffn_gate_shexp", s.shared_ffn, s.hidden, layer=i)
            matrix("ffn_up_shexp", s.shared_ffn, s.hidden, layer=i)
            matrix("ffn_down_shexp", s.hidden, s.shared_ffn, layer=i)
            if s.arch == "qwen2moe":
                floats(b + "ffn_gate_inp_shexp.weight", s.hidden)
    return out


def gguf_settings(s: Shape, name: str) -> Dict[str, Any]:
    a = s.arch + "."
    out: Dict[str, Any] = {
        "general.architecture": s.arch,
        "general.name": f"{name}, random weights",
        "tokenizer.ggml.model": "no_vocab",
        a + "block_count": s.layers,
        a + "context_length": 32768,
        a + "embedding_length": s.hidden,
        a + "feed_forward_length": s.ffn,
        a + "attention.head_count": s.heads,
        a + "attention.head_count_kv": s.kv_heads,
        a + "attention.layer_norm_rms_epsilon": 1e-6,
        a + "rope.freq_base": s.rope_theta,
        a + "vocab_size": s.vocab,
    }
    if s.experts:
        out.update(
            {
                a + "expert_count": s.experts,
                a + "expert_used_count": s.experts_used,
                a + "expert_feed_forward_length": s.expert_ffn,
            }
        )
    if s.arch == "qwen2moe":
        out[a + "expert_shared_feed_forward_length"] = s.shared_ffn
    if s.kv_lora:
        out.update(
            {
                a + "attention.kv_lora_rank": s.kv_lora,
                a + "rope.dimension_count": s.rope,
                a + "attention.key_length": s.kv_lora + s.rope,
                a + "attention.value_length": s.kv_lora,
                a + "attention.key_length_mla": s.nope + s.rope,
                a + "attention.value_length_mla": s.value,
                a + "leading_dense_block_count": s.dense_layers,
                a + "expert_shared_count": s.shared_ffn // s.expert_ffn,
                a + "expert_weights_scale": s.expert_scale,
                a + "expert_weights_norm": s.sigmoid_router,
                a + "expert_gating_func": 2 if s.sigmoid_router else 1,
                a + "expert_group_count": s.expert_groups,
                a + "expert_group_used_count": s.expert_groups_used,
                a + "rope.scaling.type": "yarn",
                a + "rope.scaling.factor": 40.0,
                a + "rope.scaling.original_context_length": 4096,
                a + "rope.scaling.yarn_log_multiplier": 0.1 if s.sigmoid_router else 0.0707,
            }
        )
        if s.q_lora:
            out[a + "attention.q_lora_rank"] = s.q_lora
    elif s.head_dim:
        out.update({a + "attention.key_length": s.head_dim, a + "attention.value_length": s.head_dim})
    return out


def fp8_tensors(s: Shape) -> Iterator[Tensor]:
    """DeepSeek's checkpoint as published: FP8 with a float32 factor for each 128 x 128 tile, the rest bfloat16."""

    def fp8(name: str, rows: int, columns: int) -> Iterator[Tensor]:
        yield Tensor(f"{name}.weight", (rows, columns), "fp8")
        yield Tensor(f"{name}.weight_scale_inv", (-(-rows // 128), -(-columns // 128)), "f32")

    def ffn(prefix: str, width: int) -> Iterator[Tensor]:
        yield from fp8(prefix + "gate_proj", width, s.hidden)
        yield from fp8(prefix + "up_proj", width, s.hidden)
        yield from fp8(prefix + "down_proj", s.hidden, width)

    yield Tensor("model.embed_tokens.weight", (s.vocab, s.hidden), "bf16")
    yield Tensor("model.norm.weight", (s.hidden,), "bf16")
    yield Tensor("lm_head.weight", (s.vocab, s.hidden), "bf16")
    for i in range(s.layers):
        layer = f"model.layers.{i}."
        attention, mlp = layer + "self_attn.", layer + "mlp."
        yield Tensor(layer + "input_layernorm.weight", (s.hidden,), "bf16")
        yield Tensor(layer + "post_attention_layernorm.weight", (s.hidden,), "bf16")
        yield from fp8(attention + "q_a_proj", s.q_lora, s.hidden)
        yield Tensor(attention + "q_a_layernorm.weight", (s.q_lora,), "bf16")
        yield from fp8(attention + "q_b_proj", s.heads * (s.nope + s.rope), s.q_lora)
        yield from fp8(attention + "kv_a_proj_with_mqa", s.kv_lora + s.rope, s.hidden)
        yield Tensor(attention + "kv_a_layernorm.weight", (s.kv_lora,), "bf16")
        yield from fp8(attention + "kv_b_proj", s.heads * (s.nope + s.value), s.kv_lora)
        yield from fp8(attention + "o_proj", s.hidden, s.heads * s.value)
        if i < s.dense_layers:
            yield from ffn(mlp, s.ffn)
            continue
        yield Tensor(mlp + "gate.weight", (s.experts, s.hidden), "bf16")
        yield Tensor(mlp + "gate.e_score_correction_bias", (s.experts,), "f32")
        for expert in range(s.experts):
            yield from ffn(f"{mlp}experts.{expert}.", s.expert_ffn)
        yield from ffn(mlp + "shared_experts.", s.shared_ffn)


def hf_config(s: Shape) -> Dict[str, Any]:
    return {
        "architectures": ["DeepseekV3ForCausalLM"],
        "model_type": "deepseek_v3",
        "vocab_size": s.vocab,
        "hidden_size": s.hidden,
        "intermediate_size": s.ffn,
        "moe_intermediate_size": s.expert_ffn,
        "num_hidden_layers": s.layers,
        "num_attention_heads": s.heads,
        "num_key_value_heads": s.heads,
        "n_shared_experts": s.shared_ffn // s.expert_ffn,
        "n_routed_experts": s.experts,
        "routed_scaling_factor": s.expert_scale,
        "kv_lora_rank": s.kv_lora,
        "q_lora_rank": s.q_lora,
        "qk_rope_head_dim": s.rope,
        "v_head_dim": s.value,
        "qk_nope_head_dim": s.nope,
        "n_group": s.expert_groups,
        "topk_group": s.expert_groups_used,
        "num_experts_per_tok": s.experts_used,
        "moe_layer_freq": 1,
        "first_k_dense_replace": s.dense_layers,
        "norm_topk_prob": True,
        "scoring_func": "sigmoid",
        "topk_method": "noaux_tc",
        "hidden_act": "silu",
        "max_position_embeddings": 32768,
        "rms_norm_eps": 1e-6,
        "rope_theta": s.rope_theta,
        "attention_bias": False,
        "tie_word_embeddings": False,
        "num_nextn_predict_layers": 0,
        "torch_dtype": "bfloat16",
        "rope_scaling": {
            "type": "yarn",
            "factor": 40,
            "original_max_position_embeddings": 4096,
            "beta_fast": 32,
            "beta_slow": 1,
            "mscale": 1.0,
            "mscale_all_dim": 1.0,
        },
        "quantization_config": {
            "quant_method": "fp8",
            "fmt": "e4m3",
            "activation_scheme": "dynamic",
            "weight_block_size": [128, 128],
        },
    }
