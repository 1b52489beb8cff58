"""Measures the tiny model with Kette: right answers by kind, by thinking budget and by weight type, slips mended,
speed. The budget is kept by hand here, so that each thought is worked out once for all budgets.

    KETTE_LIBRARY=.../libkette.so PYTHONPATH=../../bindings/python python3 evaluate.py --each 150 --out results.json
"""
from __future__ import annotations

import argparse
import json
import random
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Optional

import kette

import problems

BUDGETS = (0, 8, 16, 32, 48, 64, 96, 128, 160, 192, 256)
CLOSING = "\nI have to answer now.\n</think>\n\n"
MOST_TOKENS = 450


class Solved(NamedTuple):
    prompt: List[int]
    thought: List[int]
    answer: str
    metrics: Dict[str, int]


class Solver:
    def __init__(self, folder: Path, weight_type: Optional[str] = None):
        self.model = kette.Model(folder, threads=1, weight_type=weight_type)
        self.session = self.model.session()
        self.closing = self.model.tokenize(CLOSING, parse_special=True)
        (self.thought_end,) = self.model.tokenize("</think>", parse_special=True)

    def go_on(self, ids: List[int], speculation: Optional[str] = "off") -> List[int]:
        """Greedily to the end of the turn."""
        answer = self.session.generate(ids, max_tokens=MOST_TOKENS, temperature=0, speculation=speculation)
        return [event.token for event in answer if event.token >= 0]

    def text(self, ids: List[int]) -> str:
        return self.model.detokenize(ids, skip_special=True).split("</think>")[-1]

    def solve(self, question: str, thinking: bool = True, speculation: Optional[str] = "off") -> Solved:
        text = self.model.render_chat(question, enable_thinking=thinking)
        prompt = self.model.tokenize(text, parse_special=True)
        self.session.rewind(0)
        made = self.go_on(prompt, speculation)
        end = made.index(self.thought_end) if self.thought_end in made else len(made) if thinking else 0
        answer = self.text(made[end:]) if end < len(made) else ""
        return Solved(prompt, made[:end], answer, self.session.metrics)

    def within(self, solved: Solved, budget: int) -> str:
        """The answer if the thought may have so many tokens: cut there, it is closed for the model."""
        if len(solved.thought) <= budget:
            return solved.answer
        return self.text(self.go_on(solved.prompt + solved.thought[:budget] + self.closing))


def asked(kinds, each: int, seed: int) -> List[problems.Problem]:
    rng = random.Random(seed)
    return [problems.make(rng, True, kind) for kind in kinds for _ in range(each)]


def by_kind(ps: List[problems.Problem], right: List[bool]) -> Dict[str, float]:
    out: Dict[str, Any] = {}
    for p, r in zip(ps, right):
        out.setdefault(p.kind, []).append(r)
    out = {kind: round(sum(rs) / len(rs), 4) for kind, rs in out.items()}
    out["all"] = round(sum(right) / len(right), 4)
    return out


def mended(solver: Solver, n: int, seed: int) -> Dict[str, float]:
    """Of thoughts into which a wrong step was put: how many were noticed, and how many answers are right."""
    rng = random.Random(seed)
    noticed = right = count = 0
    while count < n:
        p = problems.make(rng, True)
        slips = [i for i, (_, learned) in enumerate(p.thought) if not learned]
        if not slips:
            continue
        count += 1
        text = solver.model.render_chat(p.question) + "".join(text for text, _ in p.thought[:slips[0] + 1])
        made = solver.go_on(solver.model.tokenize(text, parse_special=True))
        noticed += "Wait" in solver.model.detokenize(made)
        right += p.right(solver.text(made))
    return {"wrong steps": n, "noticed": noticed / n, "right answers": right / n}


def speed(solver: Solver, ps: List[problems.Problem]) -> Dict[str, Dict[str, float]]:
    """Taken in turns, so that whatever else the machine does slows all of them."""
    total: Dict[str, Dict[str, int]] = {"off": {}, "prompt_lookup": {}, "mtp": {}}
    for p in ps:
        for speculation, sums in total.items():
            for name, value in solver.solve(p.question, speculation=speculation).metrics.items():
                sums[name] = sums.get(name, 0) + value
    return {speculation: {"tokens_per_second": round(sums["gen_tokens"] / sums["decode_us"] * 1e6),
                          "tokens": sums["gen_tokens"], "drafted": sums["drafted_tokens"],
                          "accepted": sums["accepted_tokens"]} for speculation, sums in total.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=Path(__file__).parent / "model")
    parser.add_argument("--each", type=int, default=50, help="problems of each kind")
    parser.add_argument("--seed", type=int, default=2)
    parser.add_argument("--out", type=Path, help="a JSON file for the results")
    args = parser.parse_args()
    ps = asked(problems.KIND_NAMES, args.each, args.seed)
    solver = Solver(args.model)
    results: Dict[str, Any] = {"problems": len(ps)}

    solved = [solver.solve(p.question) for p in ps]
    results["thinking"] = by_kind(ps, [p.right(s.answer) for p, s in zip(ps, solved)])
    for p, s in zip(ps, solved):
        if not p.right(s.answer):
            print("wrong:", repr(p.question), "->", repr(s.answer), "expected", p.wanted)
    print("thinking", results["thinking"], flush=True)
    results["not thinking"] = by_kind(ps, [p.right(solver.solve(p.question, thinking=False).answer) for p in ps])
    print("not thinking", results["not thinking"], flush=True)
    lengths = sorted(len(s.thought) for s in solved)
    results["thought tokens"] = {"median": lengths[len(lengths) // 2], "longest": lengths[-1]}
    results["budgets"] = {}
    for budget in BUDGETS:
        results["budgets"][str(budget)] = by_kind(ps, [p.right(solver.within(s, budget)) for p, s in zip(ps, solved)])
        print("budget", budget, results["budgets"][str(budget)], flush=True)
    results["mended"] = mended(solver, 2 * args.each, args.seed)
    print("mended", results["mended"], flush=True)
    results["speed"] = speed(solver, ps[::5])
    print("speed", results["speed"], flush=True)
    results["weight types"] = {}
    for weight_type in ("q8_0", "q4_0"):
        other = Solver(args.model, weight_type)
        results["weight types"][weight_type] = by_kind(ps, [p.right(other.solve(p.question).answer) for p in ps])
        print(weight_type, results["weight types"][weight_type], flush=True)
    if args.out:
        args.out.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
