"""Compares the stored model with transformers' DeepSeek-V3, writes the numbers that tests/models/tiny_model_test.cpp
goes by, and shows how evenly tokens go to the experts.

    python3 check.py --golden ../../tests/models/tiny_model
"""
from __future__ import annotations

import argparse
import json
import random
from pathlib import Path
from typing import List

import numpy as np
import torch
from transformers import AutoTokenizer, DeepseekV3ForCausalLM

import conversation
import problems
from export import restore
from network import Network, attention_mask

EVERY = 4  # positions of which logits are kept
PROMPTS = ("What is 48213 + 7906 + 55018?", "Which is larger, 51234 or 51324?",
           "Anna has 47 apples. Ben gives Anna 38 apples. Then she eats 9. How many are left?")
GREEDY = 24


def reference(model: DeepseekV3ForCausalLM, tokenizer, network: Network, question: str) -> dict:
    """A conversation as far as the model's own answer goes, and transformers' logits, with which the network here must
    agree."""
    text = tokenizer.apply_chat_template([{"role": "user", "content": question}], add_generation_prompt=True,
                                         tokenize=False)
    assert text == conversation.prompt([("user", question)])
    prompt = tokenizer(text, return_tensors="pt", add_special_tokens=False)
    with torch.no_grad():
        ids = model.generate(**prompt, max_new_tokens=40 + GREEDY, do_sample=False)
        logits = model(ids).logits[0]
        own = network(ids, attention_mask(torch.ones_like(ids), torch.float32))[0][0]
    print(f"{question!r}: largest logit {logits.abs().max():.2f}, largest difference {(logits - own).abs().max():.2e}")
    assert (logits - own).abs().max() < 1e-3
    given = ids[0, :-GREEDY].tolist()
    return {"ids": given, "greedy": ids[0, -GREEDY:].tolist(), "logits": logits[:len(given):EVERY].numpy()}


def loads(network: Network, each: int) -> List[np.ndarray]:
    """The share of tokens that each expert has, layer by layer, in solved held-out problems."""
    tokenizer = conversation.load_tokenizer(str(Path(__file__).parent / "model" / "tokenizer.json"))
    rng = random.Random(3)
    total = None
    for kind in problems.KIND_NAMES:
        for _ in range(each):
            p = problems.make(rng, True, kind)
            text = conversation.prompt([("user", p.question)]) + "".join(t for t,
                                                                         _ in p.thought) + "</think>\n\n" + p.answer
            ids = torch.tensor([tokenizer.encode(text, add_special_tokens=False).ids])
            with torch.no_grad():
                chosen = network(ids, attention_mask(torch.ones_like(ids), torch.float32))[2]
            counts = torch.stack([c[0].sum(0) for c in chosen])
            total = counts if total is None else total + counts
    return (total / total.sum(1, keepdim=True)).numpy()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--golden", type=Path, help="a folder for golden.json and logits.npy")
    args = parser.parse_args()
    folder = Path(__file__).parent / "model"
    torch.set_num_threads(1)
    model = DeepseekV3ForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    tokenizer, network = AutoTokenizer.from_pretrained(folder), restore(folder)
    found = [reference(model, tokenizer, network, question) for question in PROMPTS]
    if args.golden:
        args.golden.mkdir(parents=True, exist_ok=True)
        np.save(args.golden / "logits.npy", np.concatenate([f.pop("logits") for f in found]).astype("<f4"))
        for question, f in zip(PROMPTS, found):
            f["question"] = question
        (args.golden / "golden.json").write_text(json.dumps({"every": EVERY, "prompts": found}) + "\n")
    for layer, shares in enumerate(loads(network, 20), 1):
        each = " ".join(f"{100 * s:.1f}" for s in shares)
        print(f"layer {layer}: {each} %, largest {shares.max() * len(shares):.2f} of the mean")


if __name__ == "__main__":
    main()
