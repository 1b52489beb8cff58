"""Problems of every kind, with the thought that solves them and the answer; seeded, and split by hash.

    rng = random.Random(1)
    p = make(rng, held_out=False)
    p.kind, p.question, p.thought, p.answer, p.right("... = 13023.")
"""
from __future__ import annotations

import random
import zlib
from typing import Callable, List, Tuple

from comparisons import compare_numbers, compare_sums
from problem import Problem, new_thought
from sums import add, chain, follow_up, multiply, subtract
from talk import small_talk
from thoughts import step
from words import word_problem

__all__ = ["KIND_NAMES", "Problem", "careless", "follow_up", "is_held_out", "make", "talk"]

HELD_OUT_SHARE = 64  # one problem in so many is never trained on


def is_held_out(key: str) -> bool:
    return zlib.crc32(key.encode()) % HELD_OUT_SHARE == 0


def words(rng: random.Random) -> Problem:
    w = word_problem(rng)
    t, slip = new_thought(rng)
    slip_at = rng.randrange(len(w.steps)) if slip else -1
    results: List[int] = []
    for i, (op, numbers) in enumerate(w.steps):
        given = tuple(results[int(n[1:])] if isinstance(n, str) else n for n in numbers)
        results.append(step(t, op, given, f"Step {i + 1}: ", slip=i == slip_at))
    answer = w.answer.replace("{r}", str(results[-1]))
    return Problem("words", w.question, w.question, t.pieces, answer, str(results[-1]), results[-1])


def talk(rng: random.Random) -> Problem:
    question, thought, answer = small_talk(rng)
    return Problem("talk", "", question, [(thought + "\n", 1)], answer, answer, 0)


KINDS: Tuple[Tuple[Callable[[random.Random], Problem], float], ...] = (
    (add, 0.27), (subtract, 0.17), (multiply, 0.11), (chain, 0.08), (compare_numbers, 0.06), (compare_sums, 0.06),
    (words, 0.25))
KIND_NAMES = ("add", "subtract", "multiply", "chain", "compare", "compare_sums", "words")
_MAKERS = [m for m, _ in KINDS]
_SHARES = [s for _, s in KINDS]


def careless(rng: random.Random, question: str) -> str:
    """As people type: now and then without capitals, without the last mark, with a word before."""
    if rng.random() < 0.12:
        question = rng.choice(("Please tell me: ", "Hi! ", "Hello, ", "Question: ", "Can you tell me: ",
                               "Solve: ")) + question
    if rng.random() < 0.15:
        question = question.lower()
    if rng.random() < 0.12 and question[-1:] in ".?!":
        question = question[:-1]
    if rng.random() < 0.04:
        question += "\n"
    return question


def make(rng: random.Random, held_out: bool, kind: str = "") -> Problem:
    """A problem of the kind, or of any; from the side of the split that is asked for."""
    maker = _MAKERS[KIND_NAMES.index(kind)] if kind else rng.choices(_MAKERS, _SHARES)[0]
    while True:
        problem = maker(rng)
        if is_held_out(problem.key) == held_out:
            return problem
