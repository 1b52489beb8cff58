"""Sums written with signs, or asked for in words."""
from __future__ import annotations

import random

from problem import WIDTHS, Problem, new_thought, number
from thoughts import step


def add(rng: random.Random) -> Problem:
    way = rng.random()
    if way < 0.1:
        ns = tuple(number(rng, (1, 1, 2, 3)) for _ in range(rng.choice((4, 5))))
    elif way < 0.2:
        ns = tuple(number(rng, (1, 1, 2)) for _ in range(2))
    elif way < 0.28:
        ns = number(rng, (6, 7, 8)), number(rng, (7, 8))
    elif way < 0.3:
        ns = (number(rng, (1, 1, 2)),) * rng.randint(2, 5)
    elif way < 0.31:
        ns = number(rng, (9,)), number(rng, (8, 9))
    else:
        ns = tuple(number(rng, WIDTHS) for _ in range(rng.choice((2, 3, 3))))
    plus = " + ".join(map(str, ns))
    listed = ", ".join(map(str, ns[:-1])) + f" and {ns[-1]}"
    if rng.random() < 0.2:
        plus = plus.replace(" ", "")
    question = rng.choice((f"What is {plus}?", f"{plus} = ?", f"{plus}", f"{plus}=", f"Add {listed}.",
                           f"Calculate {plus}.",
                           f"What is the sum of {listed}?", f"How much is {' plus '.join(map(str, ns))}?", f"{plus}?",
                           f"Please work out {plus}.", f"What is {plus.replace(' ', '')}?",
                           f"Compute the sum of {listed}."))
    t, slip = new_thought(rng)
    result = step(t, "+", ns, slip=slip)
    return Problem("add", f"add {sorted(ns)}", question, t.pieces, f"{' + '.join(map(str, ns))} = {result}.",
                   str(result), result)


def subtract(rng: random.Random) -> Problem:
    way = rng.random()
    widths = (1, 1, 2) if way < 0.12 else (7, 8) if way < 0.2 else WIDTHS
    a, b = number(rng, widths), number(rng, widths)
    if a < b and rng.random() < 0.5:
        a, b = b, a
    question = rng.choice((f"What is {a} - {b}?", f"{a} - {b} = ?", f"{a} - {b}", f"Subtract {b} from {a}.",
                           f"{a} - {b}?",
                           f"How much is {a} minus {b}?", f"Calculate {a} - {b}.", f"Take {b} away from {a}.",
                           f"Please work out {a} - {b}.", f"What is {a}-{b}?", f"{a}-{b}", f"{a} minus {b}",
                           f"{a}-{b}=", f"What is {a} less {b}?"))
    t, slip = new_thought(rng)
    result = step(t, "-", (a, b), slip=slip and a != b)
    return Problem("subtract", f"sub {a} {b}", question, t.pieces, f"{a} - {b} = {result}.", str(result), result)


def multiply(rng: random.Random) -> Problem:
    a, k = number(rng, (1, 2, 3, 4, 5)), rng.randint(0, 10)
    if rng.random() < 0.5:
        a, k = number(rng, (1, 2, 2, 3)), number(rng, (2,))
    question = rng.choice((f"{a} x {k}", f"{a}*{k}", f"{a} times {k}", f"{a}*{k}=?", f"{a} multiplied by {k}?",
                           f"What is {a} x {k}?", f"{a} × {k} = ?", f"What is {a}*{k}?", f"What is {a} * {k}?",
                           f"{a} * {k} = ?", f"{a} times {k}?", f"Multiply {a} by {k}.", f"{a} * {k}",
                           f"How much is {a} times {k}?", f"Calculate {a} * {k}."))
    t, slip = new_thought(rng)
    result = step(t, "*", (a, k), slip=slip)
    return Problem("multiply", f"mul {a} {k}", question, t.pieces, f"{a} * {k} = {result}.", str(result), result)


def chain(rng: random.Random) -> Problem:
    """Three or four numbers with signs between them; a product comes first."""
    widths = rng.choice(((1,), (1, 2), (2, 3), (3, 4)))
    numbers = [number(rng, widths) for _ in range(rng.choice((3, 3, 4)))]
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
            return chain(rng)  # below zero on the way, or a sum of add's kind
        total += value if plain[i] == "+" else -value
    text = str(numbers[0]) + "".join(f" {s} {n}" for s, n in zip(signs, numbers[1:]))
    said = text.replace(" ", "") if rng.random() < 0.3 else text
    question = rng.choice((f"What is {said}?", said, f"{said} = ?", f"Calculate {said}.", f"How much is {said}?",
                           f"{said}="))
    t, slip = new_thought(rng)
    t.say(text + "\n")
    if product >= 0:
        step(t, "*", (numbers[product], numbers[product + 1]), slip=slip)
    total = values[0]
    for i, value in enumerate(values[1:]):
        total = step(t, plain[i], (total, value), slip=slip and product < 0 and i == 0 and (plain[0], value) != ("-",
                                                                                                                 total))
    return Problem("chain", "chain " + text, question, t.pieces, f"{text} = {total}.", str(total), total)


def follow_up(rng: random.Random, before: int) -> Problem:
    """A sum that goes on from the answer before, where that is not negative."""
    n = number(rng, (1, 2, 3, 4, 5))
    t, slip = new_thought(rng)
    if rng.random() < 0.5:
        question = rng.choice((f"Add {n} to that.", f"And plus {n}?", f"Now add {n}."))
        op, key = "+", f"add {sorted((before, n))}"
    else:
        question = rng.choice((f"Subtract {n} from that.", f"And minus {n}?", f"Now take away {n}."))
        op, key = "-", f"sub {before} {n}"
    result = step(t, op, (before, n), slip=slip and not (op == "-" and before == n))
    return Problem("follow_up", key, question, t.pieces, f"{before} {op} {n} = {result}.", str(result), result)
