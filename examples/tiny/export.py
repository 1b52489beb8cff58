"""A trained network -> a Hugging Face directory with DeepSeek-V3's names, as transformers and Kette read it."""
from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Dict

import torch
from safetensors.torch import load_file, save_file

from conversation import BEGIN, END, PAD, SPECIAL, TEMPLATE
from network import Config, Layer, Moe, Network


def layer_tensors(layer: Layer, prefix: str) -> Dict[str, torch.Tensor]:
    out = {}
    for name in ("input_layernorm", "post_attention_layernorm"):
        out[f"{prefix}.{name}.weight"] = getattr(layer, name).weight
    for name, weight in layer.self_attn.named_parameters():
        out[f"{prefix}.self_attn.{name}"] = weight
    mlp = layer.mlp
    if not isinstance(mlp, Moe):
        for name, weight in mlp.named_parameters():
            out[f"{prefix}.mlp.{name}"] = weight
        return out
    size = mlp.c.moe_intermediate_size
    for i in range(mlp.c.n_routed_experts + 1):
        part = slice(i * size, (i + 1) * size)
        expert = f"{prefix}.mlp." + (f"experts.{i}" if i < mlp.c.n_routed_experts else "shared_experts")
        out[f"{expert}.gate_proj.weight"] = mlp.gate_proj.weight[part]
        out[f"{expert}.up_proj.weight"] = mlp.up_proj.weight[part]
        out[f"{expert}.down_proj.weight"] = mlp.down_proj.weight[:, part]
    out[f"{prefix}.mlp.gate.weight"] = mlp.router
    out[f"{prefix}.mlp.gate.e_score_correction_bias"] = mlp.e_score_correction_bias
    return out


def views(network: Network) -> Dict[str, torch.Tensor]:
    """DeepSeek's names for the network's parameters, or for parts of them."""
    out = {"model.embed_tokens.weight": network.embed_tokens.weight, "model.norm.weight": network.norm.weight,
           "lm_head.weight": network.lm_head.weight}
    for i, layer in enumerate(network.layers):
        out.update(layer_tensors(layer, f"model.layers.{i}"))
    prefix = f"model.layers.{network.c.num_hidden_layers}"
    out.update(layer_tensors(network.ahead, prefix))
    out[f"{prefix}.embed_tokens.weight"] = network.embed_tokens.weight
    out[f"{prefix}.enorm.weight"] = network.enorm.weight
    out[f"{prefix}.hnorm.weight"] = network.hnorm.weight
    out[f"{prefix}.eh_proj.weight"] = network.eh_proj.weight
    out[f"{prefix}.shared_head.norm.weight"] = network.ahead_norm.weight
    out[f"{prefix}.shared_head.head.weight"] = network.lm_head.weight
    return out


def tensors(network: Network) -> Dict[str, torch.Tensor]:
    """As DeepSeek publishes them: bfloat16, the correction bias in float32."""
    return {name: t.detach().cpu().to(torch.float32 if name.endswith("bias") else torch.bfloat16).clone().contiguous()
            for name, t in views(network).items()}


def restore(folder: Path) -> Network:
    """The network that export() wrote, in float32."""
    given = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    network = Network(Config(**{f.name: given[f.name] for f in dataclasses.fields(Config)}))
    stored = load_file(str(folder / "model.safetensors"))
    with torch.no_grad():
        for name, part in views(network).items():
            part.copy_(stored[name])
    return network


def write_json(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def export(network: Network, folder: Path) -> None:
    """Everything but tokenizer.json."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors(network), str(folder / "model.safetensors"), {"format": "pt"})
    c = network.c
    ids = {"bos_token_id": SPECIAL.index(BEGIN), "eos_token_id": SPECIAL.index(END), "pad_token_id": SPECIAL.index(PAD)}
    write_json(folder / "config.json", {
        "architectures": ["DeepseekV3ForCausalLM"], "model_type": "deepseek_v3", **dataclasses.asdict(c), **ids,
        "num_key_value_heads": c.num_attention_heads, "n_shared_experts": 1, "first_k_dense_replace": 1,
        "moe_layer_freq": 1, "num_nextn_predict_layers": 1, "scoring_func": "sigmoid", "topk_method": "noaux_tc",
        "norm_topk_prob": True, "hidden_act": "silu", "attention_bias": False, "attention_dropout": 0.0,
        "rms_norm_eps": 1e-6, "rope_scaling": None, "rope_interleave": True, "initializer_range": 0.02,
        "tie_word_embeddings": False, "torch_dtype": "bfloat16", "use_cache": True})
    write_json(folder / "generation_config.json", {**ids, "do_sample": False})
    write_json(folder / "tokenizer_config.json", {
        "tokenizer_class": "PreTrainedTokenizerFast", "bos_token": BEGIN, "eos_token": END, "pad_token": PAD,
        "add_bos_token": False, "model_input_names": ["input_ids", "attention_mask"],
                                                  "clean_up_tokenization_spaces": False,
                                                  "model_max_length": c.max_position_embeddings,
        "chat_template": TEMPLATE})
