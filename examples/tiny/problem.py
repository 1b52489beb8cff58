"""What a problem is, and what the kinds of them share."""
from __future__ import annotations

import random
import re
from typing import List, NamedTuple, Tuple

from thoughts import Thought

SLIP_SHARE = 0.13  # of the thoughts have a wrong step, found and mended
WIDTHS = (1, 2, 3, 4, 5, 5, 6, 6, 6)  # of numbers, in digits


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


def number(rng: random.Random, widths: Tuple[int, ...]) -> int:
    width = rng.choice(widths)
    return rng.randint(10 ** (width - 1) if width > 1 else 0, 10**width - 1)


def new_thought(rng: random.Random) -> Tuple[Thought, bool]:
    slip = rng.random() < SLIP_SHARE
    return Thought(rng if slip else None), slip
