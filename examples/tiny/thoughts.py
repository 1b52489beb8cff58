"""How a sum is worked out in writing: column by column, then a check by a second way, now and then with a slip that the
check finds and mends."""
from __future__ import annotations

import random
from typing import List, NamedTuple, Optional, Tuple

PLACES = ("ones", "tens", "hundreds", "thousands", "ten thousands", "hundred thousands", "millions",
          "ten millions", "hundred millions", "billions")
WAIT = "Wait, that is not right. Again:\n"


class Thought:
    """Text in pieces, each with a weight: 1 is learned, 0 is read only (a slip is not a thing to learn)."""

    def __init__(self, slip_rng: Optional[random.Random] = None):
        self.pieces: List[Tuple[str, int]] = []
        self.slip_rng = slip_rng  # where it is set, one of the sums goes wrong at first

    def say(self, text: str) -> None:
        if self.pieces and self.pieces[-1][1] == 1:
            self.pieces[-1] = (self.pieces[-1][0] + text, 1)
        else:
            self.pieces.append((text, 1))

    def slip(self, text: str) -> None:
        self.pieces.append((text, 0))

    @property
    def text(self) -> str:
        return "".join(piece for piece, _ in self.pieces)


class Column(NamedTuple):
    terms: str  # "3+6+8"
    carried: str  # "+1", or nothing
    value: int
    digit: int
    carry: int


def digits(n: int, width: int) -> List[int]:
    """Ones first."""
    return [n // 10**i % 10 for i in range(width)]


def column(op: str, ds: Tuple[int, ...], carry: int) -> Column:
    if op == "+":
        value = sum(ds) + carry
        return Column("+".join(map(str, ds)), f"+{carry}" if carry else "", value, value % 10, value // 10)
    if op == "*":
        value = ds[0] * ds[1] + carry
        return Column(f"{ds[0]}*{ds[1]}", f"+{carry}" if carry else "", value, value % 10, value // 10)
    borrow = ds[0] < ds[1] + carry
    top = ds[0] + 10 * borrow
    value = top - ds[1] - carry
    return Column(f"{top}-{ds[1]}", "-1" if carry else "", value, value, int(borrow))


def wrong(right: Column, op: str, carry: int, rng: random.Random) -> Column:
    """The column with a slip: what was carried forgotten, or a sum that is off."""
    if carry and rng.random() < 0.4:
        value = right.value + (carry if op == "-" else -carry)
        if 0 <= value and (op != "-" or value <= 9):
            after = right.carry if op == "-" else value // 10
            return Column(right.terms, "", value, value % 10, after)
    while True:
        value = right.value + rng.choice((-10, -2, -1, 1, 2, 10))
        if 0 <= value <= (9 if op == "-" else 89):
            return Column(right.terms, right.carried, value, value % 10, right.carry if op == "-" else value // 10)


def rows_of(op: str, numbers: Tuple[int, ...]) -> List[Tuple[int, ...]]:
    """The digits of each column."""
    if op == "*":
        return [(d, numbers[1]) for d in digits(numbers[0], len(str(numbers[0])))]
    width = max(len(str(n)) for n in numbers)
    return list(zip(*(digits(n, width) for n in numbers)))


def say_column(t: Thought, place: int, right: Column, said: Column) -> None:
    t.say(f"{PLACES[place]} {said.terms}")
    if said == right:
        t.say(f"{said.carried}={said.value}\n")
        return
    if said.carried == right.carried:  # the sum is off
        t.say(f"{said.carried}=")
        t.slip(f"{said.value}")
    else:
        t.slip(f"={said.value}")
    t.say("\n")


def say_columns(t: Thought, op: str, rows, first: int, carry: int, known: List[int], slip: int = -1) -> List[Column]:
    """Columns from `first` on; their digits go to the end of `known`."""
    columns = []
    for place in range(first, len(rows)):
        right = column(op, rows[place], carry)
        said = wrong(right, op, carry, t.slip_rng) if place == slip else right
        say_column(t, place, right, said)
        columns.append(said)
        known.append(said.digit)
        carry = said.carry
    if op != "-":
        top = len(rows)
        while carry:
            t.say(f"{PLACES[top]} {carry % 10}\n")
            known.append(carry % 10)
            carry //= 10
            top += 1
    return columns


def number(known: List[int]) -> int:
    return sum(d * 10**i for i, d in enumerate(known))


def calculate(t: Thought, op: str, numbers: Tuple[int, ...], sign: str = "", slip: bool = False) -> int:
    """Works out +, - (the first is not the smaller) or * (the second has one digit), and checks it: the result."""
    rows = rows_of(op, numbers)
    at = t.slip_rng.randrange(len(rows)) if slip else -1
    known: List[int] = []
    columns = say_columns(t, op, rows, 0, 0, known, at)
    t.say(f"So {sign if number(known) else ''}{number(known)}.\nCheck:")
    carry = 0  # of the right sum
    for place, said in enumerate(columns):
        right = column(op, rows[place], carry)
        if op == "-":  # adding back; what is carried there is what was borrowed
            back = column("+", (said.digit, rows[place][1]), carry)
            shown, value, claimed = back.terms + back.carried, back.value, rows[place][0]
            agree = value % 10 == claimed
        else:  # in the other order
            shown = column(op, rows[place][::-1], carry).terms + right.carried
            value, claimed = right.value, said.value
            agree = value == claimed
        t.say(f" {shown}={value}")
        if not agree:
            t.say(f", not {claimed}.\n{WAIT}")
            known = known[:place]
            say_columns(t, op, rows, place, carry, known)
            t.say(f"So {sign if number(known) else ''}{number(known)}.\n")
            return number(known)
        carry = right.carry
    t.say(" ok\n")
    return number(known)


def compare(t: Thought, a: int, b: int) -> None:
    """From the first digit on, until two differ."""
    left, right = str(a), str(b)
    t.say(f"digits {len(left)}, {len(right)}:")
    if len(left) == len(right):
        for x, y in zip(left, right):
            t.say(f" {x}{'=' if x == y else '<' if x < y else '>'}{y}")
            if x != y:
                break
        t.say(":")
    t.say(f" {max(a, b)} is larger.\n" if a != b else " they are equal.\n")


def step(t: Thought, op: str, numbers: Tuple[int, ...], lead: str = "", slip: bool = False) -> int:
    """One sum with everything that belongs to it; differences may be negative."""
    t.say(lead + f" {op} ".join(map(str, numbers)) + "\n")
    if op == "+" or op == "*" and numbers[1] < 10:
        return calculate(t, op, numbers, slip=slip)
    a, b = numbers
    if op == "*":  # one digit at a time
        parts = []
        for i, d in enumerate(digits(b, len(str(b)))):
            t.say(f"{a} * {d}\n")
            parts.append(calculate(t, "*", (a, d), slip=slip and i == 0) * 10**i)
        return step(t, "+", tuple(parts))
    compare(t, a, b)
    if a == b:
        t.say("So 0.\n")
        return 0
    if a > b:
        return calculate(t, "-", (a, b), slip=slip)
    t.say(f"Negative: {b} - {a}\n")
    return -calculate(t, "-", (b, a), sign="-", slip=slip)
