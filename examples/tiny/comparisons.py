"""Which of two numbers, or of two sums, is larger."""
from __future__ import annotations

import random

from problem import WIDTHS, Problem, new_thought, number
from thoughts import Thought, compare, step


def near(rng: random.Random, a: int) -> int:
    """Another number that begins as this one does."""
    text = str(a)
    keep = rng.randrange(len(text) + 1)
    tail = "".join(rng.choice("0123456789") for _ in text[keep:])
    return int(text[:keep] + tail)


def is_larger(rng: random.Random) -> Problem:
    a = number(rng, WIDTHS)
    b = near(rng, a) if rng.random() < 0.6 else number(rng, WIDTHS)
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


def compare_numbers(rng: random.Random) -> Problem:
    if rng.random() < 0.2:
        return is_larger(rng)
    a = number(rng, WIDTHS)
    b = near(rng, a) if rng.random() < 0.6 else number(rng, WIDTHS)
    smaller = rng.random() < 0.35
    word = "smaller" if smaller else rng.choice(("larger", "bigger", "greater"))
    question = rng.choice((f"Which is {word}, {a} or {b}?", f"Which number is {word}: {a} or {b}?",
                           f"{a} or {b}, which is {word}?",
                           f"What is {word}, {a} or {b}?", f"Compare {a} and {b}: which is {word}?"))
    t = Thought()
    t.say(f"{a}, {b}\n")
    compare(t, a, b)
    t.say(f"Check: {b}, {a}\n")
    compare(t, b, a)
    found = min(a, b) if smaller else max(a, b)
    answer = "They are equal." if a == b else f"{found} is {'smaller' if smaller else 'larger'}."
    return Problem("compare", f"cmp {sorted((a, b))}", question, t.pieces, answer, answer, found)


def compare_sums(rng: random.Random) -> Problem:
    widths = rng.choice(((2, 3), (3,), (3, 4), (4,)))
    a, b, c = (number(rng, widths) for _ in range(3))
    d = max(1, a + b - c + rng.choice((-100, -10, -2, -1, 0, 1, 3, 10, 70))) if rng.random() < 0.5 else number(rng,
                                                                                                                widths)
    smaller = rng.random() < 0.35
    word = "smaller" if smaller else rng.choice(("larger", "bigger", "greater"))
    one, two = f"{a} + {b}", f"{c} + {d}"
    question = rng.choice((f"Which is {word}, {one} or {two}?", f"What is {word}: {one} or {two}?",
                           f"{one} or {two}, which is {word}?"))
    t, slip = new_thought(rng)
    first = rng.random() < 0.5
    x = step(t, "+", (a, b), slip=slip and first)
    y = step(t, "+", (c, d), slip=slip and not first)
    t.say(f"{x}, {y}\n")
    compare(t, x, y)
    found = one if (x < y) == smaller else two
    answer = "They are equal." if x == y else f"{found} is {'smaller' if smaller else 'larger'}."
    return Problem("compare_sums", f"cmps {a} {b} {c} {d}", question, t.pieces, answer, answer, max(x, y))
