"""Problems -> conversations -> token rows: the tokenizer, the chat template and what a training example looks like."""
from __future__ import annotations

import json
import random
from typing import Iterator, List, Tuple

import numpy as np
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

import problems

BEGIN, END, PAD, SYSTEM, USER, ASSISTANT = "<|begin|>", "<|end|>", "<|pad|>", "<|system|>", "<|user|>", "<|assistant|>"
THINK, THOUGHT = "<think>", "</think>"
SPECIAL = (BEGIN, END, PAD, SYSTEM, USER, ASSISTANT, THINK, THOUGHT)
CLOSING = f"\nI have to answer now.\n{THOUGHT}\n\n"  # what ends a thought that has run out of budget
VOCAB_SIZE = 512

# The words of Qwen2's tokenizer: each digit is a token of its own.
SPLIT = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*"
         r"|\s*[\r\n]+|\s+(?!\S)|\s+")

TEMPLATE = """{{- '<|begin|>' -}}
{%- for message in messages -%}
  {%- if message.role == 'assistant' -%}
    {{- '<|assistant|>' + message.content.split('</think>')[-1].lstrip('\\n') + '<|end|>' -}}
  {%- elif message.role == 'user' -%}
    {{- '<|user|>' + message.content -}}
  {%- elif message.role == 'system' -%}
    {{- '<|system|>' + message.content -}}
  {%- else -%}
    {{- raise_exception('The roles are system, user and assistant.') -}}
  {%- endif -%}
{%- endfor -%}
{%- if add_generation_prompt -%}
  {{- '<|assistant|><think>\\n' -}}
  {%- if enable_thinking is defined and not enable_thinking -%}
    {{- '\\n</think>\\n\\n' -}}
  {%- endif -%}
{%- endif -%}
"""

SYSTEMS = ("You are a careful calculator.", "You are a helpful assistant.", "Be brief.", "Check your work.",
           "Answer in one sentence.", "You are a friendly teacher of arithmetic. Think step by step.")


def train_tokenizer(seed: int, samples: int = 20000) -> Tokenizer:
    rng = random.Random(seed)

    def corpus() -> Iterator[str]:
        yield from SYSTEMS
        for _ in range(samples):
            p = problems.talk(rng) if rng.random() < 0.05 else problems.make(rng, held_out=False)
            yield p.question
            yield "".join(text for text, _ in p.thought)
            yield p.answer
            yield from CLOSING.split(THOUGHT)

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(SPLIT), "isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(corpus(), trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE, special_tokens=list(SPECIAL), show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet()))
    # The marks of a thought are to be seen in an answer's text.
    made = json.loads(tokenizer.to_str())
    for token in made["added_tokens"]:
        token["special"] = token["content"] not in (THINK, THOUGHT)
    return Tokenizer.from_str(json.dumps(made))


def load_tokenizer(path: str) -> Tokenizer:
    return Tokenizer.from_file(path)


def prompt(messages: List[Tuple[str, str]], thinking: bool = True) -> str:
    """What TEMPLATE makes of (role, content)."""
    text = BEGIN
    for role, content in messages:
        text += f"<|{role}|>" + content + (END if role == "assistant" else "")
    return text + f"{ASSISTANT}{THINK}\n" + ("" if thinking else f"\n{THOUGHT}\n\n")


class Examples:
    """An endless row of training conversations: (ids, learned) of equal length."""

    def __init__(self, tokenizer: Tokenizer, seed: int):
        self.rng = random.Random(seed)
        self.encode = lambda text: tokenizer.encode(text, add_special_tokens=False).ids
        self.closing = self.encode(CLOSING)

    def __next__(self) -> Tuple[List[int], List[int]]:
        rng = self.rng
        messages = [("system", rng.choice(SYSTEMS))] if rng.random() < 0.08 else []
        p = problems.talk(rng) if rng.random() < 0.03 else problems.make(rng, held_out=False)
        for _ in range(rng.choice((1, 1, 2, 3, 4,
                                   6)) if rng.random() < 0.1 else 0):  # earlier turns; their thoughts are dropped
            messages += [("user", problems.careless(rng, p.question)), ("assistant", p.answer)]
            if p.kind in ("add", "subtract", "multiply", "words",
                          "follow_up") and 0 <= p.result < 10**7 and rng.random() < 0.6:
                follow = problems.follow_up(rng, p.result)
                while problems.is_held_out(follow.key):
                    follow = problems.follow_up(rng, p.result)
                p = follow
            else:
                p = problems.make(rng, held_out=False)
        messages.append(("user", problems.careless(rng, p.question)))
        answer = self.encode(p.answer + END)
        way = rng.random()
        if way < 0.02:  # no thinking
            ids = self.encode(prompt(messages, thinking=False))
            return ids + answer, [0] * len(ids) + [1] * len(answer)
        ids = self.encode(prompt(messages))
        learned = [0] * len(ids)
        for text, weight in p.thought:
            piece = self.encode(text)
            ids += piece
            learned += [weight] * len(piece)
        if way < 0.09:  # out of budget somewhere
            begin = next(i for i, w in enumerate(learned) if w)
            at = rng.randint(begin, len(ids))
            ids = ids[:at] + self.closing
            return ids + answer, learned[:at] + [0] * len(self.closing) + [1] * len(answer)
        tail = self.encode(f"{THOUGHT}\n\n") + answer
        return ids + tail, learned + [1] * len(tail)

    def rows(self, n: int, length: int) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
        """n rows of conversations one after the other: ids, learned, and which conversation of its row a token is of
        (0: padding)."""
        ids = np.full((n, length), SPECIAL.index(PAD), np.int16)
        learned = np.zeros((n, length), np.int8)
        document = np.zeros((n, length), np.int16)
        used, count = [0] * n, [0] * n
        misses = 0
        while misses < 8:
            tokens, weights = next(self)
            size = len(tokens)
            # The fullest row that has room.
            row = max((r for r in range(n) if used[r] + size <= length), key=lambda r: used[r], default=-1)
            if row < 0:
                misses += 1
                continue
            span = slice(used[row], used[row] + size)
            count[row] += 1
            ids[row, span], learned[row, span], document[row, span] = tokens, weights, count[row]
            used[row] += size
        return ids, learned, document
