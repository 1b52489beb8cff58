"""Trains the tiny model for a given time and writes it as a Hugging Face directory.

    python3 train.py --out model --seconds 480                  # one GPU
    python3 train.py --out /tmp/try --seconds 60 --rows 8 --workers 1 --device cpu
"""
from __future__ import annotations

import argparse
import multiprocessing
import random
import shutil
import time
from pathlib import Path
from typing import Dict, Iterator, List

import torch
import torch.nn.functional as F
from torch import Tensor

import conversation
import problems
from export import export
from network import Config, Network, attention_mask, moes

LENGTH = 512  # tokens of a row
WARM_UP = 150  # steps
DECAY_SHARE = 0.35  # of the time, in which the learning rate falls to nothing
BALANCE_SPEED = 2e-3  # of the router's correction bias


def make_batches(tokenizer: str, seed: int, rows: int, out: "multiprocessing.Queue") -> None:
    examples = conversation.Examples(conversation.load_tokenizer(tokenizer), seed)
    while True:
        out.put(examples.rows(rows, LENGTH))


def batches(args: argparse.Namespace, device: torch.device) -> Iterator[List[Tensor]]:
    """Made by processes of their own, for Python makes fewer tokens a second than a GPU takes."""
    made: "multiprocessing.Queue" = multiprocessing.Queue(4 * args.workers)
    for i in range(args.workers):
        given = (str(args.tokenizer), args.seed * 1000 + i, args.rows, made)
        multiprocessing.Process(target=make_batches, args=given, daemon=True).start()
    while True:
        yield [torch.from_numpy(a).to(device, non_blocking=True) for a in made.get()]


def losses(network: Network, ids: Tensor, learned: Tensor, document: Tensor, bf16: bool):
    """Of the next token and of the one after it; and how many tokens each expert of each layer had."""
    ids, document = ids.long(), document.int()
    learned = (learned > 0) & (document > 0)
    mask = attention_mask(document, torch.bfloat16 if bf16 else torch.float32)
    with torch.autocast(ids.device.type, dtype=torch.bfloat16, enabled=bf16):
        logits, further, loads = network(ids, mask)

    def loss(scores: Tensor, distance: int) -> Tensor:
        weight = (learned[:, distance:] & (document[:, distance:] == document[:, :-distance])).float().flatten()
        each = F.cross_entropy(scores[:, :-distance].float().flatten(0, 1), ids[:, distance:].flatten(),
                               reduction="none")
        return (each * weight).sum() / weight.sum()

    real = (document > 0).float()[..., None]
    return loss(logits, 1), loss(further, 2), torch.stack([(chosen * real).sum((0, 1)) for chosen in loads])


@torch.no_grad()
def balance(network: Network, loads: Tensor, speed: float) -> None:
    """Experts with less than their share are chosen a little more easily from now on, and the other way round."""
    for moe, load in zip(moes(network), loads):
        moe.e_score_correction_bias += speed * torch.sign(load.mean() - load)


@torch.no_grad()
def accuracy(network: Network, tokenizer, device: torch.device, bf16: bool, each: int, thinking: bool) -> Dict[str,
                                                                                                               float]:
    """Of greedy answers to held-out problems, by kind."""
    rng = random.Random(7)
    asked = [problems.make(rng, True, kind) for kind in problems.KIND_NAMES for _ in range(each)]
    ids = torch.full((len(asked), 480), conversation.SPECIAL.index(conversation.PAD), device=device)
    length = torch.zeros(len(asked), dtype=torch.long, device=device)
    for i, p in enumerate(asked):
        prompt = tokenizer.encode(conversation.prompt([("user", p.question)], thinking), add_special_tokens=False).ids
        ids[i, :len(prompt)] = torch.tensor(prompt, device=device)
        length[i] = len(prompt)
    end, start = conversation.SPECIAL.index(conversation.END), length.clone()
    done = torch.zeros_like(length, dtype=torch.bool)
    while not done.all():
        wide = min(ids.shape[1], (int(length.max()) + 31) // 32 * 32)
        mask = attention_mask(torch.ones(len(asked), wide, dtype=torch.int, device=device),
                              torch.bfloat16 if bf16 else torch.float32)
        with torch.autocast(device.type, dtype=torch.bfloat16, enabled=bf16):
            logits = network(ids[:, :wide], mask, ahead=False)[0]
        chosen = logits.gather(1, (length - 1)[:, None, None].expand(-1, 1, logits.shape[-1])).argmax(-1)
        ids.scatter_(1, length[:, None], torch.where(done[:, None], ids.gather(1, length[:, None]), chosen))
        done |= (chosen[:, 0] == end) | (length >= ids.shape[1] - 2)
        length += (~done).long()
    right: Dict[str, float] = {}
    for i, p in enumerate(asked):
        text = tokenizer.decode(ids[i, start[i]:length[i]].tolist(), skip_special_tokens=False)
        answer = text.split(conversation.THOUGHT)[-1].split(conversation.END)[0]
        good = p.right(answer) and (not thinking or conversation.THOUGHT in text)
        right[p.kind] = right.get(p.kind, 0) + good / each
        if not good and thinking and i % each < 8:
            print("wrong:", repr(p.question), repr(text), "expected", p.wanted)
    return right


def train(args: argparse.Namespace) -> None:
    torch.manual_seed(args.seed)
    device, bf16 = torch.device(args.device), args.device == "cuda"
    torch.set_float32_matmul_precision("high")
    source = batches(args, device)  # its processes are made before the GPU is used
    first = next(source)
    if bf16:
        torch.backends.cuda.enable_cudnn_sdp(False)
    network = Network(Config()).to(device)
    if args.resume:
        network.load_state_dict(torch.load(args.resume, map_location=device))
    print(f"{sum(p.numel() for p in network.parameters())} parameters", flush=True)
    matrices = [p for p in network.parameters() if p.dim() > 1]
    optimizer = torch.optim.AdamW(
        [{"params": matrices, "weight_decay": 0.05},
         {"params": [p for p in network.parameters() if p.dim() < 2], "weight_decay": 0.0}],
        lr=args.lr, betas=(0.9, 0.98), fused=bf16)
    compute = torch.compile(losses, dynamic=False) if bf16 else losses
    sum(compute(network, *first, bf16)[:2]).backward()  # what compiling takes is not counted
    optimizer.zero_grad(set_to_none=True)
    if bf16:
        torch.cuda.synchronize()
    print(f"compiled {time.time() - args.started:.1f} s after the start", flush=True)
    begin = shown = saved = time.time()
    step = tokens = 0
    waited = 0.0
    while True:
        now = time.time()
        done = (now - begin) / args.seconds
        if done >= 1:
            break
        rate = min(1.0, (step + 1) / WARM_UP) * min(1.0, (1 - done) / DECAY_SHARE)
        for group in optimizer.param_groups:
            group["lr"] = args.lr * rate
        batch = next(source)
        waited += time.time() - now
        main, ahead, loads = compute(network, *batch, bf16)
        (main + (0.3 if done < 0.7 else 0.1) * ahead).backward()
        norm = torch.nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        balance(network, loads, BALANCE_SPEED * (5 if step < 300 else min(1.0, 4 * (1 - done))))
        step += 1
        tokens += batch[0].numel()
        if now - shown > args.show:
            skew = (loads.max(1)[0] / loads.mean(1)).tolist()
            speed = tokens / (time.time() - begin) / 1e6
            print(f"{now - begin:6.1f} s step {step} loss {main.item():.4f} ahead {ahead.item():.4f} "
                  f"norm {norm.item():.2f} {speed:.2f} M tokens/s, waited {waited:.1f} s, "
                  f"largest load {' '.join(f'{s:.2f}' for s in skew)}", flush=True)
            shown = now
        if now - saved > 60:
            torch.save(network.state_dict(), args.out / "network.pt")
            saved = now
    torch.save(network.state_dict(), args.out / "network.pt")
    export(network, args.out)
    print(f"{step} steps, {tokens} tokens in {time.time() - begin:.1f} s", flush=True)
    tokenizer = conversation.load_tokenizer(str(args.tokenizer))
    for thinking in (True, False) if args.each else ():
        right = accuracy(network, tokenizer, device, bf16, args.each, thinking)
        print("thinking" if thinking else "not thinking", {k: round(v, 3) for k, v in right.items()}, flush=True)
    print(f"all in {time.time() - args.started:.1f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="the directory to write")
    parser.add_argument("--seconds", type=float, default=480, help="training time")
    parser.add_argument("--rows", type=int, default=128, help="rows of a batch")
    parser.add_argument("--lr", type=float, default=3e-3)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=14, help="processes that make problems")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--tokenizer", type=Path, help="a tokenizer.json; without one it is trained too")
    parser.add_argument("--resume", type=Path, help="a network.pt to go on from")
    parser.add_argument("--each", type=int, default=64, help="problems of each kind to solve at the end")
    parser.add_argument("--show", type=float, default=5, help="seconds between two lines of progress")
    args = parser.parse_args()
    args.started = time.time()
    args.out.mkdir(parents=True, exist_ok=True)
    made = args.out / "tokenizer.json"
    if args.tokenizer is None:
        conversation.train_tokenizer(args.seed).save(str(made))
    elif args.tokenizer.resolve() != made.resolve():
        shutil.copy(args.tokenizer, made)
    args.tokenizer = made
    train(args)


if __name__ == "__main__":
    main()
