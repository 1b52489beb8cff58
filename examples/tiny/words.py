"""Word problems of one to three steps."""
from __future__ import annotations

import random

from story import NAMES, THINGS, Words, small, story


def _mine(r, n, m, x):
    """The same about the one who asks."""
    a, b = small(r, 2), small(r, 1)
    if r.random() < 0.5 or b >= a:
        what, op = r.choice(("get {} more", "buy {} more", "find {}", "am given {}", "add {}", "win {}")), "+"
    else:
        what, op = r.choice(("spend {}", "lose {}", "give {} away", "eat {}", "use {}", "sell {}",
                             "give {} to " + m)), "-"
    start = f"I have {a} {x}{r.choice((' and', '. I', '. Then I', ' and then I'))} {what.format(b)}."
    ask = r.choice((f"How many {x} do I have now?", "How many are left?" if op == "-" else "How many do I have?",
                    "How much is left?" if op == "-" else f"How many {x} do I have?", "How many now?"))
    return Words(f"{start} {ask}", [(op, (a, b))], f"You have {{r}} {x}.")


def _kinds(r, n, m, x):
    y = r.choice([t for t in THINGS if t != x])
    a, b, c = small(r, 1), small(r, 1), small(r, 1)
    if r.random() < 0.6:
        start, numbers = f"{a} {x} and {b} {y}", (a, b)
    else:
        start, numbers = f"{a} {x}, {b} {y} and {c} coins", (a, b, c)
    ask = r.choice(("How many things is that?", "How many things are there in all?", f"How many things does {n} have?",
                    "How many is that together?", f"How many animals does {n} have?", "How many in total?"))
    return Words(r.choice((f"{n} has {start}. {ask}", f"There are {start}. {ask}", f"{n} buys {start}. {ask}")),
                 [("+", numbers)], "That makes {r}.")


def _age(r, n, m, x):
    a = r.randint(3, 69)
    b = r.randint(1, a - 1)
    older = r.random() < 0.5
    start = f"{n} is {a} years old{r.choice(('.', ' and', ','))}"
    word = "older" if older else "younger"
    return Words(r.choice((f"{start} {m} is {b} years {word}. How old is {m}?",
                           f"{n} is {a}. {m} is {b} years {word} than {n}. How old is {m}?")),
                 [("+" if older else "-", (a, b))], f"{m} is {{r}} years old.")


def _all_but(r, n, m, x):
    a = small(r, 3)
    b = r.randint(1, a - 1)
    if r.random() < 0.5:
        return Words(f"{n} has {a} {x}. All but {b} are lost. How many are lost?", [("-", (a, b))],
                     f"{{r}} {x} are lost.")
    k, c = r.randint(2, 9), small(r)
    d = k * c + small(r, 1, 99)
    return Words(f"If I buy {k} {x} for {c} {r.choice(('euros', 'dollars', 'coins'))} each and pay with {d}, "
                 f"how much {r.choice(('change do I get', 'do I get back', 'is left'))}?",
                 [("*", (c, k)), ("-", (d, "r0"))], "{r} come back.")


def _together(r, n, m, x):
    a, b = small(r, 1), small(r, 1)
    ask = r.choice((f"How many {x} do they have together?", "How many do they have in total?",
                    "How many is that together?",
                    f"How many {x} are there in all?", "How many do they have altogether?"))
    start = r.choice((f"{n} has {a} {x} and {m} has {b}.", f"{n} has {a} {x}. {m} has {b} {x}.",
                      f"{n} and {m} have {a} and {b} {x}.", f"There are {a} red {x} and {b} blue {x}."))
    return Words(f"{start} {ask}", [("+", (a, b))], f"Together that is {{r}} {x}.")


def _difference(r, n, m, x):
    b = small(r, 1)
    a = b + small(r, 1)
    start = r.choice((f"{n} has {a} {x} and {m} has {b}.", f"{m} has {b} {x}, {n} has {a} {x}.",
                      f"{n} has {a} {x}. {m} has {b} {x}."))
    more = r.random() < 0.6
    ask = f"How many more {x} does {n} have than {m}?" if more else f"How many fewer does {m} have than {n}?"
    return Words(f"{start} {ask}", [("-", (a, b))], f"{n} has {{r}} more {x}." if more else f"{m} has {{r}} fewer {x}.")


def _each(r, n, m, x):
    k, a = r.randint(2, 9), small(r)
    way = r.choice((f"There are {k} bags with {a} {x} each.", f"{n} has {k} bags of {a} {x}.",
                    f"{k} boxes hold {a} {x} each.",
                    f"Each bag has {a} {x}. {n} has {k} bags.", f"One box holds {a} {x}. {n} has {k} of them."))
    return Words(f"{way} {r.choice((f'How many {x} are there?', f'How many {x} is that?', 'How many in all?'))}",
                 [("*", (a, k))], f"There are {{r}} {x}.")


def _price(r, n, m, x):
    k, a = r.randint(2, 9), small(r)
    b = k * a + small(r, 1)
    return Words(f"A ticket costs {a} {x}. {n} buys {k} tickets and pays with {b} {x}. How much does {n} get back?",
                 [("*", (a, k)), ("-", (b, "r0"))], f"{n} gets {{r}} {x} back.")


def _gifts(r, n, m, x):
    a, b = small(r), small(r)
    c = r.randint(2, a + b - 1)
    get = r.choice(("buys", "finds", "gets", "collects"))
    lose = r.choice(("gives away", "loses", "sells"))
    return Words(f"{n} has {a} {x}. {n} {get} {b} more and then {lose} {c}. How many {x} does {n} have now?",
                 [("+", (a, b)), ("-", ("r0", c))], f"{n} has {{r}} {x} now.")


def _loss_first(r, n, m, x):
    a = small(r, 5)
    b = r.randint(1, a - 1)
    c = small(r)
    return Words(f"There are {a} {x} on the table. {n} takes {b}, and {m} puts {c} there. How many are there now?",
                 [("-", (a, b)), ("+", ("r0", c))], f"There are {{r}} {x} now.")


def _train(r, n, m, x):
    a, c = small(r, 5), small(r, 1, 199)
    b = r.randint(1, a - 1)
    way = r.choice(("train", "bus", "ship"))
    return Words(f"A {way} has {a} passengers. At the first stop {b} get off and {c} get on. "
                 f"How many are on the {way} now?",
                 [("-", (a, b)), ("+", ("r0", c))], f"There are {{r}} passengers on the {way}.")


def _train_two_stops(r, n, m, x):
    a, b, d = small(r, 5), small(r, 1, 199), small(r, 1, 99)
    c = r.randint(2, a + b - 1)
    return Words(f"A train starts with {a} people. First {b} get on, then {c} get off, then {d} get on. "
                 "How many people are on the train?",
                 [("+", (a, b)), ("-", ("r0", c)), ("+", ("r1", d))], "There are {r} people on the train.")


def _ages(r, n, m, x):
    a, b = r.randint(3, 69), r.randint(2, 29)
    return Words(f"{n} is {a} years old. {m} is {b} years older. How old are they together?",
                 [("+", (a, b)), ("+", ("r0", a))], "Together they are {r} years old.")


def _age_later(r, n, m, x):
    a, b, c = r.randint(3, 49), r.randint(2, 29), r.randint(2, 40)
    return Words(f"{n} is {a} years old, and {m} is {b} years older than {n}. How old will {m} be in {c} years?",
                 [("+", (a, b)), ("+", ("r0", c))], f"{m} will be {{r}} years old.")


def _boxes(r, n, m, x):
    k, a, b = r.randint(2, 9), small(r, 2, 199), small(r)
    return Words(f"{n} has {k} boxes with {a} {x} each, and {b} {x} more. How many {x} does {n} have?",
                 [("*", (a, k)), ("+", ("r0", b))], f"{n} has {{r}} {x}.")


def _boxes_minus(r, n, m, x):
    k, a = r.randint(2, 9), small(r, 2, 199)
    b = r.randint(2, k * a - 1)
    return Words(f"{n} packs {k} bags of {a} {x} and gives {b} {x} to {m}. How many {x} are left?",
                 [("*", (a, k)), ("-", ("r0", b))], "{r} " + x + " are left.")


def _shop(r, n, m, x):
    a, b = small(r), small(r)
    c = a + b + r.randint(1, 300)
    return Words(f"{n} buys a bag for {a} coins and a hat for {b} coins and pays with {c} coins. "
                 "How many coins come back?",
                 [("+", (a, b)), ("-", (c, "r0"))], "{r} coins come back.")


def _pages(r, n, m, x):
    a, b, c = small(r, 2, 199), small(r, 2, 199), small(r, 2, 199)
    d = a + b + c + r.randint(1, 300)
    return Words(f"A book has {d} pages. {n} reads {a} on Monday, {b} on Tuesday and {c} on Friday. "
                 "How many pages are left?",
                 [("+", (a, b, c)), ("-", (d, "r0"))], "{r} pages are left.")


def _road(r, n, m, x):
    a, b, c = small(r), small(r), small(r, 1, 99)
    return Words(f"{n} drives {a} km on the first day, {b} km more than that on the second day and {c} km "
                 "on the third. How far is that in all?",
                 [("+", (a, b)), ("+", (a, "r0")), ("+", ("r1", c))], "That is {r} km in all.")


def _fewer(r, n, m, x):
    a = small(r, 5)
    b = r.randint(1, a - 1)
    return Words(f"{n} has {a} {x}. {m} has {b} fewer. How many {x} do they have together?",
                 [("-", (a, b)), ("+", (a, "r0"))], f"Together they have {{r}} {x}.")


def _savings(r, n, m, x):
    a, k, b = small(r), r.randint(2, 9), r.randint(2, 99)
    return Words(f"{n} has saved {a} coins and saves {b} coins more every week. "
                 f"How many coins are there after {k} weeks?",
                 [("*", (b, k)), ("+", (a, "r0"))], "There are {r} coins.")


def _two_kinds(r, n, m, x):
    k, a, j, b = r.randint(2, 9), r.randint(2, 99), r.randint(2, 9), r.randint(2, 99)
    return Words(f"A shop sells {k} boxes of {a} {x} and {j} boxes of {b} {x}. How many {x} is that?",
                 [("*", (a, k)), ("*", (b, j)), ("+", ("r0", "r1"))], f"That is {{r}} {x}.")


TEMPLATES = (story, story, story, story, story, _mine, _mine, _kinds, _kinds, _age, _all_but, _together,
             _together, _difference, _difference, _each, _price, _gifts, _loss_first, _train, _train_two_stops, _ages,
             _age_later, _boxes, _boxes_minus, _shop, _pages, _road,
             _fewer, _savings, _two_kinds)


def word_problem(rng: random.Random) -> Words:
    n, m = rng.sample(NAMES, 2)
    return rng.choice(TEMPLATES)(rng, n, m, rng.choice(THINGS))
