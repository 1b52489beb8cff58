"""What a word problem is made of: names, things, steps; and what happens to what someone has."""
from __future__ import annotations

import random
from typing import List, NamedTuple, Tuple, Union

NAMES = ("Anna", "Ben", "Clara", "David", "Eva", "Felix", "Greta", "Hugo", "Ida", "Jonas", "Kim", "Leo", "Mia", "Noah",
         "Olga", "Paul", "Tom", "Sara", "Alice", "Bob", "John", "Mary", "Peter", "Lisa", "Max", "Emma", "Sam", "Lucy",
         "Ali",
         "Yuki", "Omar", "Nina")
THINGS = ("apples", "coins", "marbles", "stickers", "books", "pencils", "cards", "shells", "stamps", "eggs", "cookies",
          "flowers", "stones", "beads", "nuts", "balls", "oranges", "cats", "dogs", "birds", "toys", "cars", "pens",
          "candies",
          "dollars", "euros", "cups", "boxes", "sheep", "fish", "chairs", "tickets")
PRONOUNS = ("He", "She", "They")

# A step's numbers are ints, or "r0", "r1" for the result of an earlier step.
Step = Tuple[str, Tuple[Union[int, str], ...]]


class Words(NamedTuple):
    question: str
    steps: List[Step]
    answer: str  # with {r} for the result


def small(rng: random.Random, low: int = 2, high: int = 999) -> int:
    """Mostly small."""
    return rng.randint(low, max(low, min(high, rng.choice((20, 99, 99, 499, 999)))))


def story(r, n, m, x):
    """One to three things happen to what someone has."""
    total = small(r, 3)
    text = r.choice((f"{n} has {total} {x}.", f"{n} had {total} {x}.", f"{n} starts with {total} {x}.",
                     f"There are {total} {x}.",
                     f"{n} owns {total} {x}.", f"If {n} has {total} {x}"))
    steps: List[Step] = []
    now: Union[int, str] = total
    for i in range(r.choice((1, 1, 2, 2, 3))):
        who = r.choice((n, "He", "She", "They"))
        if r.random() < 0.5 or total < 3:
            op, b = "+", small(r, 1)
            what = r.choice((f"{who} gets {b} more", f"{who} buys {b} more", f"{who} finds {b} {x}",
                             f"{m} gives {n} {b} {x}",
                             f"{who} receives {b} from {m}", f"{b} more are added", f"{who} wins {b} {x}",
                             f"{who} adds {b}",
                             f"{who} picks {b} {x}", f"{who} bought {b} {x}", f"{m} brings {b} more {x}"))
        else:
            op, b = "-", small(r, 1, total - 1)
            what = r.choice((f"{who} loses {b}", f"{who} gives {b} to {m}", f"{who} gives away {b}",
                             f"{who} sells {b} {x}",
                             f"{who} eats {b}", f"{who} uses {b} of them", f"{m} takes {b} {x}",
                             f"{b} of them are sold",
                             f"{who} lost {b} {x}", f"{who} gave {m} {b} {x}", f"{b} {x} are taken away",
                             f"{who} spends {b}"))
        if text.endswith("."):
            lead = r.choice(("", "", "Then ", "Later "))
            text += " " + lead + (what[0].lower() + what[1:] if lead and what.startswith(PRONOUNS) else what) + "."
        else:
            text += r.choice((" and ", ", then ",
                              " and then ")) + (what[0].lower() + what[1:] if what.startswith(PRONOUNS) else what)
        if r.random() < 0.3:
            text = text[:-1] if text.endswith(".") else text
        steps.append((op, (now, b)))
        now, total = f"r{i}", total + b if op == "+" else total - b
    text += "" if text.endswith(".") else r.choice((".", ","))
    question, answer = r.choice((
        (f"How many {x} does {n} have now?", f"{n} has {{r}} {x} now."), ("How many are left?", f"{{r}} {x} are left."),
        (f"How many {x} are there now?", f"There are {{r}} {x} now."), ("How many are there?",
                                                                        f"There are {{r}} {x} now."),
        (f"How many {x} are left?", f"{{r}} {x} are left."), ("How many now?", f"There are {{r}} {x} now."),
        (f"How many {x} does {n} have in the end?", f"{n} has {{r}} {x} now."),
        (f"how many {x} does {n} have?", f"{n} has {{r}} {x} now."), ("How many does that make?",
                                                                      f"That makes {{r}} {x}.")))
    return Words(f"{text} {question}", steps, answer)
