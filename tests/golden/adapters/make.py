"""Makes this folder's files: adapters for the tiny models beside it, what transformers computes with them merged into the
weights, and hidden states pooled to embeddings.  python3 make.py  (torch, transformers, safetensors, gguf, numpy)"""
import json
import pathlib

import gguf
import numpy as np
import torch
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

HERE = pathlib.Path(__file__).resolve().parent
MODELS = HERE.parent / "models"
ATTENTION = ["self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj", "self_attn.o_proj"]
MLP = ["mlp.gate_proj", "mlp.up_proj", "mlp.down_proj"]
PROMPTS = {1: 1, 2: 2}  # of golden.json: logits of so many last positions


def modules(layers, names):
    return [f"model.layers.{i}.{name}" for i in layers for name in names]


# name: model, modules, dtype, settings; "rank" of those with a rank of their own
ADAPTERS = {
    "llama": ("llama", modules((0, 1), ATTENTION) + modules((1,), MLP) + ["lm_head"], torch.bfloat16,
              {"r": 4, "lora_alpha": 8, "rank_pattern": {"k_proj": 2, "model.layers.1.mlp.down_proj": 3},
               "alpha_pattern": {"layers.0.self_attn.v_proj": 2}}),
    "llama_second": ("llama", modules((1,), ["self_attn.q_proj", "mlp.up_proj"]), torch.float32,
                     {"r": 2, "lora_alpha": 3}),
    "qwen2": ("qwen2", modules((0, 1), ATTENTION), torch.float16, {"r": 3, "lora_alpha": 4, "use_rslora": True}),
    "qwen3": ("qwen3", modules((0, 1), ["self_attn.q_proj", "self_attn.k_proj", "mlp.gate_proj"]), torch.float16,
              {"r": 2, "lora_alpha": 4}),
    "qwen3moe": ("qwen3moe", modules((0, 1), ATTENTION + ["mlp.experts.3.gate_proj", "mlp.experts.5.down_proj"]),
                 torch.bfloat16, {"r": 2, "lora_alpha": 6}),
}
TEXTS = ["The quick brown fox jumps over the lazy dog.", "naïve café — 東京\n"]


def of_pattern(pattern, module, otherwise):
    return next((v for key, v in pattern.items() if module == key or module.endswith("." + key)), otherwise)


def make_pairs(model, name):
    base, names, dtype, settings = ADAPTERS[name]
    random = torch.Generator().manual_seed(sum(name.encode()))
    pairs = {}
    for module in names:
        out, columns = model.get_submodule(module).weight.shape
        rank = of_pattern(settings.get("rank_pattern", {}), module, settings["r"])
        a = torch.randn(rank, columns, generator=random) / columns**0.5
        b = torch.randn(out, rank, generator=random) * 0.1
        pairs[module] = (a.to(dtype).contiguous(), b.to(dtype).contiguous())
    return pairs


def scale_of(settings, module, rank):
    alpha = of_pattern(settings.get("alpha_pattern", {}), module, settings["lora_alpha"])
    return alpha / (rank**0.5 if settings.get("use_rslora") else rank)


def save_peft(name, pairs):
    base, names, _, settings = ADAPTERS[name]
    folder = HERE / name
    folder.mkdir(exist_ok=True)
    tensors = {}
    for module, (a, b) in pairs.items():
        tensors[f"base_model.model.{module}.lora_A.weight"] = a
        tensors[f"base_model.model.{module}.lora_B.weight"] = b
    save_file(tensors, folder / "adapter_model.safetensors", metadata={"format": "pt"})
    config = {"alpha_pattern": {}, "base_model_name_or_path": base, "bias": "none", "fan_in_fan_out": False,
              "init_lora_weights": True, "layers_to_transform": None, "lora_dropout": 0.0, "modules_to_save": None,
              "peft_type": "LORA", "rank_pattern": {}, "target_modules": sorted({m.split(".")[-1] for m in names}),
              "task_type": "CAUSAL_LM", "use_dora": False, "use_rslora": False, **settings}
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=1, sort_keys=True) + "\n")


GGUF_NAMES = {"self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k", "self_attn.v_proj": "attn_v",
              "self_attn.o_proj": "attn_output", "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up",
              "mlp.down_proj": "ffn_down"}


def save_gguf(path, architecture, alpha, pairs, heads):
    """As llama.cpp's convert_lora_to_gguf.py: q's and k's rows in the order of the converted model's."""
    writer = gguf.GGUFWriter(path, architecture)
    writer.add_string("general.type", "adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", alpha)
    for module, (a, b) in pairs.items():
        if module == "lm_head":
            name = "output"
        else:
            _, _, layer, rest = module.split(".", 3)
            name = f"blk.{layer}.{GGUF_NAMES[rest]}"
        b = b.float().numpy()
        if name.endswith(("attn_q", "attn_k")):
            n = heads[name[-1]]
            b = b.reshape(n, 2, b.shape[0] // n // 2, b.shape[1]).swapaxes(1, 2).reshape(b.shape)
        writer.add_tensor(f"{name}.weight.lora_a", a.float().numpy())
        writer.add_tensor(f"{name}.weight.lora_b", np.ascontiguousarray(b))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def load(base):
    folder = MODELS / base / "hf"
    config = AutoConfig.from_pretrained(folder)
    written = json.loads((folder / "config.json").read_text())
    if "rope_parameters" in written:  # as transformers 5 writes it; 4 would fall back to its default
        config.rope_theta = written["rope_parameters"]["rope_theta"]
    model = AutoModelForCausalLM.from_pretrained(folder, config=config, torch_dtype=torch.float32,
                                                 attn_implementation="eager").eval()
    prompt = json.loads((MODELS / base / "golden.json").read_text())["prompts"][1]
    assert np.abs(model(torch.tensor([prompt["ids"]])).logits[0].numpy()
                  - np.load(MODELS / base / prompt["logits"])).max() < 1e-3, base
    return model


def merge(model, name, pairs, by=1.0):
    for module, (a, b) in pairs.items():
        weight = model.get_submodule(module).weight
        weight.data += by * scale_of(ADAPTERS[name][3], module, a.shape[0]) * (b.double() @ a.double()).float()


def logits(model, base):
    ids = [p["ids"] for p in json.loads((MODELS / base / "golden.json").read_text())["prompts"]]
    return np.concatenate([model(torch.tensor([ids[i]])).logits[0, -n:].numpy() for i, n in PROMPTS.items()])


@torch.no_grad()
def main():
    index = {"prompts": [{"prompt": i, "last": n} for i, n in PROMPTS.items()], "cases": []}
    pairs = {}

    def case(file, base, applied):
        model = load(base)
        before = logits(model, base)
        for name, by in applied:
            merge(model, name, pairs[name], by)
        after = logits(model, base)
        np.save(HERE / f"{file}.logits.npy", after.astype(np.float32))
        index["cases"].append({"model": base, "logits": f"{file}.logits.npy",
                               "adapters": [{"folder": name, "scale": by} for name, by in applied],
                               "moves": round(float(np.abs(after - before).max()), 3)})

    for name, (base, *_) in ADAPTERS.items():
        pairs[name] = make_pairs(load(base), name)
        save_peft(name, pairs[name])
        case(name, base, [(name, 1.0)])
    case("llama_both", "llama", [("llama", 1.0), ("llama_second", -0.5)])
    # One alpha for all: those of a rank of their own are left out, q and k are in.
    _, _, _, settings = ADAPTERS["llama_second"]
    save_gguf(HERE / "llama_second.gguf", "llama", settings["lora_alpha"], pairs["llama_second"], {"q": 4, "k": 2})
    (HERE / "adapters.json").write_text(json.dumps(index, indent=1) + "\n")

    embeddings = []
    for base in ("llama", "qwen3"):
        model, tokenizer = load(base).model, AutoTokenizer.from_pretrained(MODELS / base / "hf")
        for text in TEXTS + (["All work and no play. " * 60] if base == "llama" else []):
            ids = tokenizer(text)["input_ids"]
            states = model(torch.tensor([ids])).last_hidden_state[0].double().numpy()
            pooled = {"mean": states.mean(0)}
            if base == "llama" and len(ids) < 50:
                pooled.update(last=states[-1], cls=states[0])
            embeddings.append({"model": base, "text": text, "tokens": len(ids),
                               **{k: [float(f"{x:.6g}") for x in v] for k, v in pooled.items()}})
    (HERE / "embeddings.json").write_text("[" + ",\n".join(json.dumps(e) for e in embeddings) + "]\n")


main()
