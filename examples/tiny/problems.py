"""Problems of every kind, with the thought that solves them and the answer; seeded, and split by hash.

    rng = random.Random(1)
    p = make(rng, held_out=False)
    p.kind, p.question, p.thought, p.answer, p.right("... = 13023.")
"""
from __future__ import annotations

import random
import re
import zlib
from typing import Callable, List, NamedTuple, Tuple

from thoughts import Thought, compare, step
from words import small_talk, word_problem

HELD_OUT_SHARE = 64  # one problem in so many is never trained on
SLIP_SHARE = 0.13  # of the thoughts have a wrong step, found and mended


class Problem(NamedTuple):
    kind: str
    key: str  # what the split goes by
    question: str
    thought: List[Tuple[str, int]]  # text and whether it is learned
    answer: str
    wanted: str  # the number or the sentence that a right answer comes to
    result: int  # of sums, for a question that goes on from it

    def right(self, answer: str) -> bool:
        answer = answer.strip()
        if self.kind in ("compare", "compare_sums", "talk"):
            return answer == self.wanted
        numbers = re.findall(r"-?\d+", answer.split("=")[-1])
        return bool(numbers) and numbers[-1] == self.wanted


def is_held_out(key: str) -> bool:
    return zlib.crc32(key.encode()) % HELD_OUT_SHARE == 0


def _number(rng: random.Random, widths: Tuple[int, ...]) -> int:
    width = rng.choice(widths)
    return rng.randint(10 ** (width - 1) if width > 1 else 0, 10**width - 1)


def _thought(rng: random.Random) -> Tuple[Thought, bool]:
    slip = rng.random() < SLIP_SHARE
    return Thought(rng if slip else None), slip


WIDTHS = (1, 2, 3, 4, 5, 5, 6, 6, 6)


def _add(rng: random.Random) -> Problem:
    way = rng.random()
    if way < 0.1:
        ns = tuple(_number(rng, (1, 1, 2, 3)) for _ in range(rng.choice((4, 5))))
    elif way < 0.2:
        ns = tuple(_number(rng, (1, 1, 2)) for _ in range(2))
    elif way < 0.28:
        ns = _number(rng, (6, 7, 8)), _number(rng, (7, 8))
    elif way < 0.3:
        ns = (_number(rng, (1, 1, 2)),) * rng.randint(2, 5)
    elif way < 0.31:
        ns = _number(rng, (9,)), _number(rng, (8, 9))
    else:
        ns = tuple(_number(rng, WIDTHS) for _ in range(rng.choice((2, 3, 3))))
    plus = " + ".join(map(str, ns))
    listed = ", ".join(map(str, ns[:-1])) + f" and {ns[-1]}"
    if rng.random() < 0.2:
        plus = plus.replace(" ", "")
    question = rng.choice((f"What is {plus}?", f"{plus} = ?", f"{plus}", f"{plus}=", f"Add {listed}.", f"Calculate {plus}.",
                           f"What is the sum of {listed}?", f"How much is {' plus '.join(map(str, ns))}?", f"{plus}?",
                           f"Please work out {plus}.", f"What is {plus.replace(' ', '')}?", f"Compute the sum of {listed}."))
    t, slip = _thought(rng)
    result = step(t, "+", ns, slip=slip)
    return Problem("add", f"add {sorted(ns)}", question, t.pieces, f"{' + '.join(map(str, ns))} = {result}.", str(result), result)


def _subtract(rng: random.Random) -> Problem:
    way = rng.random()
    widths = (1, 1, 2) if way < 0.12 else (7, 8) if way < 0.2 else WIDTHS
    a, b = _number(rng, widths), _number(rng, widths)
    if a < b and rng.random() < 0.5:
        a, b = b, a
    question = rng.choice((f"What is {a} - {b}?", f"{a} - {b} = ?", f"{a} - {b}", f"Subtract {b} from {a}.", f"{a} - {b}?",
                           f"How much is {a} minus {b}?", f"Calculate {a} - {b}.", f"Take {b} away from {a}.",
                           f"Please work out {a} - {b}.", f"What is {a}-{b}?", f"{a}-{b}", f"{a} minus {b}", f"{a}-{b}=", f"What is {a} less {b}?"))
    t, slip = _thought(rng)
    result = step(t, "-", (a, b), slip=slip and a != b)
    return Problem("subtract", f"sub {a} {b}", question, t.pieces, f"{a} - {b} = {result}.", str(result), result)


def _multiply(rng: random.Random) -> Problem:
    a, k = _number(rng, (1, 2, 3, 4, 5)), rng.randint(0, 10)
    if rng.random() < 0.5:
        a, k = _number(rng, (1, 2, 2, 3)), _number(rng, (2,))
    question = rng.choice((f"{a} x {k}", f"{a}*{k}", f"{a} times {k}", f"{a}*{k}=?", f"{a} multiplied by {k}?", f"What is {a} x {k}?", f"{a} × {k} = ?", f"What is {a}*{k}?", f"What is {a} * {k}?", f"{a} * {k} = ?", f"{a} times {k}?", f"Multiply {a} by {k}.", f"{a} * {k}",
                           f"How much is {a} times {k}?", f"Calculate {a} * {k}."))
    t, slip = _thought(rng)
    result = step(t, "*", (a, k), slip=slip)
    return Problem("multiply", f"mul {a} {k}", question, t.pieces, f"{a} * {k} = {result}.", str(result), result)


def _near(rng: random.Random, a: int) -> int:
    """Another number that begins as this one does."""
    text = str(a)
    keep = rng.randrange(len(text) + 1)
    tail = "".join(rng.choice("0123456789") for _ in text[keep:])
    return int(text[:keep] + tail)


def _compare(rng: random.Random) -> Problem:
    if rng.random() < 0.2:
        return _is_larger(rng)
    a = _number(rng, WIDTHS)
    b = _near(rng, a) if rng.random() < 0.6 else _number(rng, WIDTHS)
    smaller = rng.random() < 0.35
    word = "smaller" if smaller else rng.choice(("larger", "bigger", "greater"))
    question = rng.choice((f"Which is {word}, {a} or {b}?", f"Which number is {word}: {a} or {b}?", f"{a} or {b}, which is {word}?",
                           f"What is {word}, {a} or {b}?", f"Compare {a} and {b}: which is {word}?"))
    t = Thought()
    t.say(f"{a}, {b}\n")
    compare(t, a, b)
    t.say(f"Check: {b}, {a}\n")
    compare(t, b, a)
    found = min(a, b) if smaller else max(a, b)
    answer = "They are equal." if a == b else f"{found} is {'smaller' if smaller else 'larger'}."
    return Problem("compare", f"cmp {sorted((a, b))}", question, t.pieces, answer, answer, found)


def _is_larger(rng: random.Random) -> Problem:
    a = _number(rng, WIDTHS)
    b = _near(rng, a) if rng.random() < 0.6 else _number(rng, WIDTHS)
    word = rng.choice(("larger", "smaller"))
    question = rng.choice((f"Is {a} {word} than {b}?", f"{a} {'>' if word == 'larger' else '<'} {b}?"))
    t = Thought()
    t.say(f"{a}, {b}\n")
    compare(t, a, b)
    t.say(f"Check: {b}, {a}\n")
    compare(t, b, a)
    yes = a > b if word == "larger" else a < b
    answer = f"{'Yes' if yes else 'No'}, {a} is {'' if yes else 'not '}{word} than {b}."
    return Problem("compare", f"cmp {sorted((a, b))}", question, t.pieces, answer, answer, max(a, b))


def _compare_sums(rng: random.Random) -> Problem:
    widths = rng.choice(((2, 3), (3,), (3, 4), (4,)))
    a, b, c = (_number(rng, widths) for _ in range(3))
    d = max(1, a + b - c + rng.choice((-100, -10, -2, -1, 0, 1, 3, 10, 70))) if rng.random() < 0.5 else _number(rng, widths)
    smaller = rng.random() < 0.35
    word = "smaller" if smaller else rng.choice(("larger", "bigger", "greater"))
    one, two = f"{a} + {b}", f"{c} + {d}"
    question = rng.choice((f"Which is {word}, {one} or {two}?", f"What is {word}: {one} or {two}?", f"{one} or {two}, which is {word}?"))
    t, slip = _thought(rng)
    first = rng.random() < 0.5
    x = step(t, "+", (a, b), slip=slip and first)
    y = step(t, "+", (c, d), slip=slip and not first)
    t.say(f"{x}, {y}\n")
    compare(t, x, y)
    answer = "They are equal." if x == y else f"{one if (x < y) == smaller else two} is {'smaller' if smaller else 'larger'}."
    return Problem("compare_sums", f"cmps {a} {b} {c} {d}", question, t.pieces, answer, answer, max(x, y))


def _chain(rng: random.Random) -> Problem:
    """Three or four numbers with signs between them; a product comes first."""
    widths = rng.choice(((1,), (1, 2), (2, 3), (3, 4)))
    numbers = [_number(rng, widths) for _ in range(rng.choice((3, 3, 4)))]
    signs = [rng.choice("+-") for _ in numbers[1:]]
    product = rng.randrange(len(signs)) if rng.random() < 0.3 else -1
    if product >= 0:
        signs[product] = "*"
        numbers[product + 1] = rng.randint(2, 9)
    values = list(numbers)
    if product >= 0:
        values[product:product + 2] = [numbers[product] * numbers[product + 1]]
    plain = [s for s in signs if s != "*"]
    total = values[0]
    for i, value in enumerate(values[1:]):
        if plain[i] == "-" and value > total or set(plain) == {"+"} and product < 0:
            return _chain(rng)  # below zero on the way, or a sum of _add's kind
        total += value if plain[i] == "+" else -value
    text = str(numbers[0]) + "".join(f" {s} {n}" for s, n in zip(signs, numbers[1:]))
    said = text.replace(" ", "") if rng.random() < 0.3 else text
    question = rng.choice((f"What is {said}?", said, f"{said} = ?", f"Calculate {said}.", f"How much is {said}?", f"{said}="))
    t, slip = _thought(rng)
    t.say(text + "\n")
    if product >= 0:
        step(t, "*", (numbers[product], numbers[product + 1]), slip=slip)
    total = values[0]
    for i, value in enumerate(values[1:]):
        total = step(t, plain[i], (total, value), slip=slip and product < 0 and i == 0 and (plain[0], value) != ("-", total))
    return Problem("chain", "chain " + text, question, t.pieces, f"{text} = {total}.", str(total), total)


def _words(rng: random.Random) -> Problem:
    w = word_problem(rng)
    t, slip = _thought(rng)
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


def follow_up(rng: random.Random, before: int) -> Problem:
    """A sum that goes on from the answer before, where that is not negative."""
    n = _number(rng, (1, 2, 3, 4, 5))
    t, slip = _thought(rng)
    if rng.random() < 0.5:
        question = rng.choice((f"Add {n} to that.", f"And plus {n}?", f"Now add {n}."))
        op, key = "+", f"add {sorted((before, n))}"
    else:
        question = rng.choice((f"Subtract {n} from that.", f"And minus {n}?", f"Now take away {n}."))
        op, key = "-", f"sub {before} {n}"
    result = step(t, op, (before, n), slip=slip and not (op == "-" and before == n))
    return Problem("follow_up", key, question, t.pieces, f"{before} {op} {n} = {result}.", str(result), result)


KINDS: Tuple[Tuple[Callable[[random.Random], Problem], float], ...] = (
    (_add, 0.27), (_subtract, 0.17), (_multiply, 0.11), (_chain, 0.08), (_compare, 0.06), (_compare_sums, 0.06),
    (_words, 0.25))
KIND_NAMES = ("add", "subtract", "multiply", "chain", "compare", "compare_sums", "words")
_MAKERS = [m for m, _ in KINDS]
_SHARES = [s for _, s in KINDS]


def careless(rng: random.Random, question: str) -> str:
    """As people type: now and then without capitals, without the last mark, with a word before."""
    if rng.random() < 0.12:
        question = rng.choice(("Please tell me: ", "Hi! ", "Hello, ", "Question: ", "Can you tell me: ", "Solve: ")) + question
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
