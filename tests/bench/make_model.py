#!/usr/bin/env python3
"""Write a model with a published model's shapes and random weights, to measure speed and memory with.

    make_model.py qwen2.5-1.5b q4_k OUT.gguf [--layers N] [--dense N] [--tokenizer tokenizer.json[.gz|.xz] --pre qwen2]
    make_model.py deepseek-v3-slice fp8 OUT_FOLDER          # a Hugging Face folder, as DeepSeek publishes

Weights are random blocks of the format, scaled so that activations stay as large as in a trained model. Experts are
chosen evenly, which a trained router does only nearly. The text is noise: measure with it, never judge by it.
There is no vocabulary (give token ids) unless --tokenizer names a byte-level BPE. Needs NumPy.
"""

from __future__ import annotations

import argparse
import dataclasses
import gzip
import json
import lzma
from pathlib import Path
from typing import Any, BinaryIO, Dict, Tuple

import numpy as np

from model_file import FORMATS, Tensor, write_gguf, write_safetensors
from shapes import RECIPES, SHAPES, fp8_tensors, gguf_settings, gguf_tensors, hf_config

FILE_TYPES = {"f32": 0, "f16": 1, "q4_0": 2, "q8_0": 7, "q4_k": 14, "q4_k_m": 15, "bf16": 32}
POOL_BYTES = 4 << 20


class RandomWeights:
    """Fills tensors from pools of random blocks, cut at random places: as fast as the disk."""

    def __init__(self, seed: int):
        self.random = np.random.default_rng(seed)
        self.pools: Dict[Tuple[str, int], np.ndarray] = {}

    def __call__(self, out: BinaryIO, t: Tensor) -> None:
        if t.name.endswith("norm.weight"):
            return self._small(out, t, np.ones(t.shape))
        if t.name.endswith("weight_scale_inv"):
            return self._small(out, t, np.full(t.shape, _e4m3_scale((128 * t.shape[1]) ** -0.5)))
        if len(t.shape) == 1 or t.format == "f32":  # biases, routers
            scale = 0.02 if len(t.shape) == 1 else t.shape[-1] ** -0.5
            return self._small(out, t, self.random.standard_normal(t.shape) * scale)
        key = (t.format, t.shape[-1])
        if key not in self.pools:
            self.pools[key] = self._blocks(t.format, t.shape[-1] ** -0.5)
        pool = self.pools[key]
        left = t.bytes // pool.shape[1]
        while left > 0:
            at = int(self.random.integers(len(pool) // 2))
            n = min(left, len(pool) - at)
            out.write(pool[at : at + n].tobytes())
            left -= n

    @staticmethod
    def _small(out: BinaryIO, t: Tensor, values: np.ndarray) -> None:
        out.write(_floats(values, t.format).tobytes())

    def _blocks(self, format: str, deviation: float) -> np.ndarray:
        """Random blocks [n, bytes], whose weights have this standard deviation (if not exactly this)."""
        _, _, size = FORMATS[format]
        n = POOL_BYTES // size

        def raw(columns: int) -> np.ndarray:
            return self.random.integers(0, 256, (n, columns), dtype=np.uint8)

        def half(value: float) -> np.ndarray:
            return np.full((n, 1), value, np.float16).view(np.uint8)

        # The deviation of random codes: evenly spread integers below m have that of sqrt((m^2 - 1) / 12).
        if format == "q4_0":
            return np.hstack([half(deviation / 4.61), raw(16)])
        if format == "q5_0":
            return np.hstack([half(deviation / 9.23), raw(4), raw(16)])
        if format == "q8_0":
            return np.hstack([half(deviation / 73.9), raw(32)])
        if format == "q4_k":  # d (scale code - 7.5 minimum): 258 with scales and minima of 0 to 63
            d = deviation / 258
            return np.hstack([half(d), half(7.5 * d), raw(12), raw(128)])
        if format == "q6_k":  # codes of 18.5, scales of 73.9
            return np.hstack([raw(128), raw(64), raw(16), half(deviation / (18.5 * 73.9))])
        if format == "fp8":
            codes = raw(1)
            codes[(codes & 0x7F) == 0x7F] = 0  # not a number
            return codes
        if format in ("bf16", "f16"):
            return _floats(self.random.standard_normal((n, 1)) * deviation, format)
        raise SystemExit(f"make_model: no random blocks for {format}")


def _floats(values: np.ndarray, format: str) -> np.ndarray:
    if format == "bf16":
        return (values.astype(np.float32).view(np.uint32) >> 16).astype(np.uint16).view(np.uint8)
    return values.astype(np.float32 if format == "f32" else np.float16).view(np.uint8)


def _e4m3_scale(deviation: float) -> float:
    """The factor that gives evenly spread FP8 codes this deviation."""
    codes = np.arange(127)
    exponent, fraction = codes >> 3, codes & 7
    values = np.where(exponent == 0, fraction / 8 * 2.0**-6, (1 + fraction / 8) * 2.0 ** (exponent - 7.0))
    return deviation / float(np.sqrt(np.mean(values**2)))


def vocabulary(path: Path, size: int, pre: str) -> Dict[str, Any]:
    """The settings that a byte-level BPE of a tokenizer.json comes to; ids it leaves out are unused tokens."""
    opened = {".gz": gzip.open, ".xz": lzma.open}.get(path.suffix, open)
    with opened(path, "rt", encoding="utf-8") as file:
        source = json.load(file)
    normal, control, user_defined, unused = 1, 3, 4, 5
    tokens, kinds = [f"[unused{i}]" for i in range(size)], [unused] * size
    for text, i in source["model"]["vocab"].items():
        if i < size:
            tokens[i], kinds[i] = text, normal
    for added in source["added_tokens"]:
        if added["id"] < size:
            tokens[added["id"]] = added["content"]
            kinds[added["id"]] = control if added["special"] else user_defined
    merges = [m if isinstance(m, str) else " ".join(m) for m in source["model"]["merges"]]
    end = next((a["id"] for a in source["added_tokens"] if "end" in a["content"] and a["id"] < size), 0)
    return {
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": pre,
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": kinds,
        "tokenizer.ggml.merges": merges,
        "tokenizer.ggml.bos_token_id": end,
        "tokenizer.ggml.eos_token_id": end,
        "tokenizer.ggml.padding_token_id": end,
    }


def make(
    shape_name: str,
    recipe: str,
    out: Path,
    layers: int = 0,
    dense: int = -1,
    tokenizer: str = "",
    pre: str = "qwen2",
    seed: int = 1,
) -> int:
    """Writes the model, and returns the bytes of its tensors."""
    shape = SHAPES[shape_name]
    shape = dataclasses.replace(
        shape, layers=layers or shape.layers, dense_layers=shape.dense_layers if dense < 0 else dense
    )
    fill = RandomWeights(seed)
    if recipe == "fp8":
        if not shape.sigmoid_router:
            raise SystemExit(f"make_model: {shape_name} is not published in FP8")
        tensors = list(fp8_tensors(shape))
        out.mkdir(parents=True, exist_ok=True)
        (out / "config.json").write_text(json.dumps(hf_config(shape), indent=1))
        write_safetensors(out / "model.safetensors", tensors, fill)
    else:
        tensors = gguf_tensors(shape, recipe)
        settings = gguf_settings(shape, shape_name)
        settings["general.file_type"] = FILE_TYPES[recipe]
        if tokenizer:
            settings.update(vocabulary(Path(tokenizer), shape.vocab, pre))
        write_gguf(out, settings, tensors, fill)
    return sum(t.bytes for t in tensors)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("shape", choices=SHAPES)
    parser.add_argument("format", choices=[*RECIPES, "fp8"])
    parser.add_argument("out", type=Path)
    parser.add_argument("--layers", type=int, default=0, help="only the first N, of a model too large for this machine")
    parser.add_argument("--dense", type=int, default=-1, help="how many of them come before those with experts")
    parser.add_argument("--tokenizer", default="", help="tokenizer.json to put in, for engines that want one")
    parser.add_argument("--pre", default="qwen2", help="GGUF's name of how it splits words")
    parser.add_argument("--seed", type=int, default=1)
    a = parser.parse_args()
    size = make(a.shape, a.format, a.out, a.layers, a.dense, a.tokenizer, a.pre, a.seed)
    print(f"{a.out}: {size / 1e9:.2f} GB")


if __name__ == "__main__":
    main()
