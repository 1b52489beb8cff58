"""Word problems of two or three steps, and what is said that is no sum."""
from __future__ import annotations

import random
from typing import List, NamedTuple, Tuple, Union

NAMES = ("Anna", "Ben", "Clara", "David", "Eva", "Felix", "Greta", "Hugo", "Ida", "Jonas", "Kim", "Leo", "Mia", "Noah",
         "Olga", "Paul", "Tom", "Sara", "Alice", "Bob", "John", "Mary", "Peter", "Lisa", "Max", "Emma", "Sam", "Lucy", "Ali",
         "Yuki", "Omar", "Nina")
THINGS = ("apples", "coins", "marbles", "stickers", "books", "pencils", "cards", "shells", "stamps", "eggs", "cookies",
          "flowers", "stones", "beads", "nuts", "balls", "oranges", "cats", "dogs", "birds", "toys", "cars", "pens", "candies",
          "dollars", "euros", "cups", "boxes", "sheep", "fish", "chairs", "tickets")

PRONOUNS = ("He", "She", "They")

# A step's numbers are ints, or "r0", "r1" for the result of an earlier step.
Step = Tuple[str, Tuple[Union[int, str], ...]]


class Words(NamedTuple):
    question: str
    steps: List[Step]
    answer: str  # with {r} for the result


def _n(rng: random.Random, low: int = 2, high: int = 999) -> int:
    """Mostly small."""
    return rng.randint(low, max(low, min(high, rng.choice((20, 99, 99, 499, 999)))))


def _story(r, n, m, x):
    """One to three things happen to what someone has."""
    total = _n(r, 3)
    text = r.choice((f"{n} has {total} {x}.", f"{n} had {total} {x}.", f"{n} starts with {total} {x}.", f"There are {total} {x}.",
                     f"{n} owns {total} {x}.", f"If {n} has {total} {x}"))
    steps: List[Step] = []
    now: Union[int, str] = total
    for i in range(r.choice((1, 1, 2, 2, 3))):
        who = r.choice((n, "He", "She", "They"))
        if r.random() < 0.5 or total < 3:
            op, b = "+", _n(r, 1)
            what = r.choice((f"{who} gets {b} more", f"{who} buys {b} more", f"{who} finds {b} {x}", f"{m} gives {n} {b} {x}",
                             f"{who} receives {b} from {m}", f"{b} more are added", f"{who} wins {b} {x}", f"{who} adds {b}",
                             f"{who} picks {b} {x}", f"{who} bought {b} {x}", f"{m} brings {b} more {x}"))
        else:
            op, b = "-", _n(r, 1, total - 1)
            what = r.choice((f"{who} loses {b}", f"{who} gives {b} to {m}", f"{who} gives away {b}", f"{who} sells {b} {x}",
                             f"{who} eats {b}", f"{who} uses {b} of them", f"{m} takes {b} {x}", f"{b} of them are sold",
                             f"{who} lost {b} {x}", f"{who} gave {m} {b} {x}", f"{b} {x} are taken away", f"{who} spends {b}"))
        if text.endswith("."):
            lead = r.choice(("", "", "Then ", "Later "))
            text += " " + lead + (what[0].lower() + what[1:] if lead and what.startswith(PRONOUNS) else what) + "."
        else:
            text += r.choice((" and ", ", then ", " and then ")) + (what[0].lower() + what[1:] if what.startswith(PRONOUNS) else what)
        if r.random() < 0.3:
            text = text[:-1] if text.endswith(".") else text
        steps.append((op, (now, b)))
        now, total = f"r{i}", total + b if op == "+" else total - b
    text += "" if text.endswith(".") else r.choice((".", ","))
    question, answer = r.choice((
        (f"How many {x} does {n} have now?", f"{n} has {{r}} {x} now."), ("How many are left?", f"{{r}} {x} are left."),
        (f"How many {x} are there now?", f"There are {{r}} {x} now."), ("How many are there?", f"There are {{r}} {x} now."),
        (f"How many {x} are left?", f"{{r}} {x} are left."), ("How many now?", f"There are {{r}} {x} now."),
        (f"How many {x} does {n} have in the end?", f"{n} has {{r}} {x} now."),
        (f"how many {x} does {n} have?", f"{n} has {{r}} {x} now."), ("How many does that make?", f"That makes {{r}} {x}.")))
    return Words(f"{text} {question}", steps, answer)


def _mine(r, n, m, x):
    """The same about the one who asks."""
    a, b = _n(r, 2), _n(r, 1)
    if r.random() < 0.5 or b >= a:
        what, op = r.choice(("get {} more", "buy {} more", "find {}", "am given {}", "add {}", "win {}")), "+"
    else:
        what, op = r.choice(("spend {}", "lose {}", "give {} away", "eat {}", "use {}", "sell {}", "give {} to " + m)), "-"
    start = f"I have {a} {x}{r.choice((' and', '. I', '. Then I', ' and then I'))} {what.format(b)}."
    ask = r.choice((f"How many {x} do I have now?", "How many are left?" if op == "-" else "How many do I have?",
                    "How much is left?" if op == "-" else f"How many {x} do I have?", "How many now?"))
    return Words(f"{start} {ask}", [(op, (a, b))], f"You have {{r}} {x}.")


def _kinds(r, n, m, x):
    y = r.choice([t for t in THINGS if t != x])
    a, b, c = _n(r, 1), _n(r, 1), _n(r, 1)
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
    return Words(r.choice((f"{start} {m} is {b} years {'older' if older else 'younger'}. How old is {m}?",
                           f"{n} is {a}. {m} is {b} years {'older' if older else 'younger'} than {n}. How old is {m}?")),
                 [("+" if older else "-", (a, b))], f"{m} is {{r}} years old.")


def _all_but(r, n, m, x):
    a = _n(r, 3)
    b = r.randint(1, a - 1)
    if r.random() < 0.5:
        return Words(f"{n} has {a} {x}. All but {b} are lost. How many are lost?", [("-", (a, b))], f"{{r}} {x} are lost.")
    k, c = r.randint(2, 9), _n(r)
    d = k * c + _n(r, 1, 99)
    return Words(f"If I buy {k} {x} for {c} {r.choice(('euros', 'dollars', 'coins'))} each and pay with {d}, "
                 f"how much {r.choice(('change do I get', 'do I get back', 'is left'))}?",
                 [("*", (c, k)), ("-", (d, "r0"))], "{r} come back.")


def _together(r, n, m, x):
    a, b = _n(r, 1), _n(r, 1)
    ask = r.choice((f"How many {x} do they have together?", "How many do they have in total?", "How many is that together?",
                    f"How many {x} are there in all?", "How many do they have altogether?"))
    start = r.choice((f"{n} has {a} {x} and {m} has {b}.", f"{n} has {a} {x}. {m} has {b} {x}.",
                      f"{n} and {m} have {a} and {b} {x}.", f"There are {a} red {x} and {b} blue {x}."))
    return Words(f"{start} {ask}", [("+", (a, b))], f"Together that is {{r}} {x}.")


def _difference(r, n, m, x):
    b = _n(r, 1)
    a = b + _n(r, 1)
    start = r.choice((f"{n} has {a} {x} and {m} has {b}.", f"{m} has {b} {x}, {n} has {a} {x}.", f"{n} has {a} {x}. {m} has {b} {x}."))
    more = r.random() < 0.6
    ask = f"How many more {x} does {n} have than {m}?" if more else f"How many fewer does {m} have than {n}?"
    return Words(f"{start} {ask}", [("-", (a, b))], f"{n} has {{r}} more {x}." if more else f"{m} has {{r}} fewer {x}.")


def _each(r, n, m, x):
    k, a = r.randint(2, 9), _n(r)
    way = r.choice((f"There are {k} bags with {a} {x} each.", f"{n} has {k} bags of {a} {x}.", f"{k} boxes hold {a} {x} each.",
                    f"Each bag has {a} {x}. {n} has {k} bags.", f"One box holds {a} {x}. {n} has {k} of them."))
    return Words(f"{way} {r.choice((f'How many {x} are there?', f'How many {x} is that?', 'How many in all?'))}",
                 [("*", (a, k))], f"There are {{r}} {x}.")


def _price(r, n, m, x):
    k, a = r.randint(2, 9), _n(r)
    b = k * a + _n(r, 1)
    return Words(f"A ticket costs {a} {x}. {n} buys {k} tickets and pays with {b} {x}. How much does {n} get back?",
                 [("*", (a, k)), ("-", (b, "r0"))], f"{n} gets {{r}} {x} back.")


def _gifts(r, n, m, x):
    a, b = _n(r), _n(r)
    c = r.randint(2, a + b - 1)
    get = r.choice(("buys", "finds", "gets", "collects"))
    lose = r.choice(("gives away", "loses", "sells"))
    return Words(f"{n} has {a} {x}. {n} {get} {b} more and then {lose} {c}. How many {x} does {n} have now?",
                 [("+", (a, b)), ("-", ("r0", c))], f"{n} has {{r}} {x} now.")


def _loss_first(r, n, m, x):
    a = _n(r, 5)
    b = r.randint(1, a - 1)
    c = _n(r)
    return Words(f"There are {a} {x} on the table. {n} takes {b}, and {m} puts {c} there. How many are there now?",
                 [("-", (a, b)), ("+", ("r0", c))], f"There are {{r}} {x} now.")


def _train(r, n, m, x):
    a, c = _n(r, 5), _n(r, 1, 199)
    b = r.randint(1, a - 1)
    way = r.choice(("train", "bus", "ship"))
    return Words(f"A {way} has {a} passengers. At the first stop {b} get off and {c} get on. How many are on the {way} now?",
                 [("-", (a, b)), ("+", ("r0", c))], f"There are {{r}} passengers on the {way}.")


def _train_two_stops(r, n, m, x):
    a, b, d = _n(r, 5), _n(r, 1, 199), _n(r, 1, 99)
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
    k, a, b = r.randint(2, 9), _n(r, 2, 199), _n(r)
    return Words(f"{n} has {k} boxes with {a} {x} each, and {b} {x} more. How many {x} does {n} have?",
                 [("*", (a, k)), ("+", ("r0", b))], f"{n} has {{r}} {x}.")


def _boxes_minus(r, n, m, x):
    k, a = r.randint(2, 9), _n(r, 2, 199)
    b = r.randint(2, k * a - 1)
    return Words(f"{n} packs {k} bags of {a} {x} and gives {b} {x} to {m}. How many {x} are left?",
                 [("*", (a, k)), ("-", ("r0", b))], "{r} " + x + " are left.")


def _shop(r, n, m, x):
    a, b = _n(r), _n(r)
    c = a + b + r.randint(1, 300)
    return Words(f"{n} buys a bag for {a} coins and a hat for {b} coins and pays with {c} coins. "
                 "How many coins come back?",
                 [("+", (a, b)), ("-", (c, "r0"))], "{r} coins come back.")


def _pages(r, n, m, x):
    a, b, c = _n(r, 2, 199), _n(r, 2, 199), _n(r, 2, 199)
    d = a + b + c + r.randint(1, 300)
    return Words(f"A book has {d} pages. {n} reads {a} on Monday, {b} on Tuesday and {c} on Friday. "
                 "How many pages are left?",
                 [("+", (a, b, c)), ("-", (d, "r0"))], "{r} pages are left.")


def _road(r, n, m, x):
    a, b, c = _n(r), _n(r), _n(r, 1, 99)
    return Words(f"{n} drives {a} km on the first day, {b} km more than that on the second day and {c} km on the third. "
                 "How far is that in all?",
                 [("+", (a, b)), ("+", (a, "r0")), ("+", ("r1", c))], "That is {r} km in all.")


def _fewer(r, n, m, x):
    a = _n(r, 5)
    b = r.randint(1, a - 1)
    return Words(f"{n} has {a} {x}. {m} has {b} fewer. How many {x} do they have together?",
                 [("-", (a, b)), ("+", (a, "r0"))], f"Together they have {{r}} {x}.")


def _savings(r, n, m, x):
    a, k, b = _n(r), r.randint(2, 9), r.randint(2, 99)
    return Words(f"{n} has saved {a} coins and saves {b} coins more every week. How many coins are there after {k} weeks?",
                 [("*", (b, k)), ("+", (a, "r0"))], "There are {r} coins.")


def _two_kinds(r, n, m, x):
    k, a, j, b = r.randint(2, 9), r.randint(2, 99), r.randint(2, 9), r.randint(2, 99)
    return Words(f"A shop sells {k} boxes of {a} {x} and {j} boxes of {b} {x}. How many {x} is that?",
                 [("*", (a, k)), ("*", (b, j)), ("+", ("r0", "r1"))], f"That is {{r}} {x}.")


TEMPLATES = (_story, _story, _story, _story, _story, _mine, _mine, _kinds, _kinds, _age, _all_but, _together, _together, _difference, _difference, _each, _price, _gifts, _loss_first, _train, _train_two_stops, _ages, _age_later, _boxes, _boxes_minus, _shop, _pages, _road,
             _fewer, _savings, _two_kinds)


def word_problem(rng: random.Random) -> Words:
    n, m = rng.sample(NAMES, 2)
    return rng.choice(TEMPLATES)(rng, n, m, rng.choice(THINGS))


SELF = 'I am Kette\'s tiny model. I only do sums: ask me "What is 417 + 85?"'
TALK = (
    (("Hello!", "Hello", "Hi", "Hi!", "Hey", "Good morning!", "Hello, how are you?", "Hi there", "How are you?", "Good evening"),
     "A greeting, not a sum.", "Hello! " + SELF),
    (("What are you?", "Who are you?", "What is your name?", "What can you do?", "Are you a robot?", "What is Kette?",
      "Help", "Introduce yourself.", "Who made you?", "What is this?", "Are you human?", "Tell me about yourself."),
     "A question about me, not a sum.", SELF),
    (("Thank you!", "Thanks", "Thanks!", "Thank you very much.", "Great!", "Well done!"), "Thanks, not a sum.", "You are welcome!"),
    (("Bye", "Goodbye!", "See you!"), "A goodbye, not a sum.", "Goodbye!"),
)
OTHER = ("What is the capital of {0}?", "Write a poem about {0}.", "Tell me about {0}.", "Why is {0} blue?", "Who invented {0}?",
         "Explain {0} to me.", "Tell me a joke about {0}.", "How do I cook {0}?", "Translate {0} into French.",
         "What do you think about {0}?", "Where is {0}?", "What is {0}?", "Write a story about {0} and {1}.", "Is {0} good for me?",
         "Can you help me with {0}?", "How does {0} work?", "Who is the king of {0}?", "What is the difference between {0} and {1}?",
         "I like {0}.", "Do you like {0}?", "{0}", "Give me a recipe for {0}.", "When was {0} discovered?", "Which is better, {0} or {1}?")
SUBJECTS = ("France", "the sky", "the sea", "Japan", "bread", "love", "history", "the moon", "music", "cats", "dogs", "rice",
            "football", "the weather", "Rome", "winter", "a horse", "light", "computers", "tea", "the sun", "school", "soup",
            "gold", "C++", "Python", "the internet", "physics", "Germany", "art", "Spain", "England", "water", "cheese", "money",
            "a robot", "the meaning of life", "Paris", "London", "cars", "trees", "time", "space", "a dragon", "pizza")
DIVIDE = ("What is {0} / {1}?", "{0} divided by {1}?", "Divide {0} by {1}.", "{0} / {1}", "{0} / {1} = ?", "What is {0} divided by {1}?",
          "What is the square root of {0}?", "What is {1} percent of {0}?")
SIGNED = ("Which is larger, {0}.{1} or {1}.{0}?", "{0}.{1} or {0}.{0}, which is smaller?", "What is -{0} + {1}?", "What is {0}.{1} + {1}.5?", "-{0} - {1}", "Add 0.{0} and {1}.", "{0}.5 * {1}")


def small_talk(rng: random.Random) -> Tuple[str, str, str]:
    """question, thought, answer"""
    way = rng.random()
    if way < 0.35:
        questions, thought, answer = rng.choice(TALK)
        return rng.choice(questions), thought, answer
    if way < 0.75:
        return rng.choice(OTHER).format(*rng.sample(SUBJECTS, 2)), "This is not a sum.", "I do not know. " + SELF
    numbers = rng.randint(2, rng.choice((20, 200, 9999))), rng.randint(2, rng.choice((9, 99)))
    if way < 0.9:
        return (rng.choice(DIVIDE).format(*numbers), "I have not learned that.",
                "I cannot do that. I add, subtract, multiply and compare whole numbers.")
    return (rng.choice(SIGNED).format(*numbers), "I only know whole numbers from 0 on.",
            "I cannot do that. I add, subtract, multiply and compare whole numbers.")
