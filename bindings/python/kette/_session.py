"""Conversations and their answers."""
from __future__ import annotations

import ctypes as c
import difflib
import inspect
import weakref
from typing import TYPE_CHECKING, Any, Callable, Dict, Iterable, Iterator, List, Mapping, Optional, Sequence, Union

from . import _convert as convert
from ._errors import InvalidArgument, OutOfMemory
from ._library import (
    DONE,
    EVENT_DONE,
    FINISH_REASONS,
    GENERATE_IGNORE_EOS,
    GENERATE_SHOW_SPECIAL,
    OK,
    SAMPLING_BITS,
    SPECULATION,
    CEvent,
    GenParams,
    Handle,
    Metrics,
    Sampling,
    call,
    lib,
    make,
    opened,
)
from ._model import Message, make_chat

if TYPE_CHECKING:
    import datetime

    import numpy

    from ._model import Adapter, Model

SLICE_US = 50_000  # how long Ctrl-C waits at most, about


class Event:
    """A token of an answer.

    text: what it adds, whole characters; empty while a character or a stop string is open. token: its id, -1 in a last
    event that only brings text that was held back. finish_reason: None, and once the answer has ended, in its last
    event "stop" (the model ended its turn), "stop_string", "length", "context_full" or "cancelled".
    """

    __slots__ = ("text", "token", "finish_reason")

    def __init__(self, text: str, token: int):
        self.text = text
        self.token = token
        self.finish_reason: Optional[str] = None

    def __repr__(self) -> str:
        end = f", finish_reason={self.finish_reason!r}" if self.finish_reason else ""
        return f"Event({self.text!r}, token={self.token}{end})"


class Options:
    """Keywords of generate and chat as kette_gen_params, with the memory that it points to."""

    def __init__(
        self,
        *,
        max_tokens: int = 0,
        temperature: Optional[float] = None,
        top_p: Optional[float] = None,
        top_k: Optional[int] = None,
        min_p: Optional[float] = None,
        repetition_penalty: Optional[float] = None,
        presence_penalty: Optional[float] = None,
        frequency_penalty: Optional[float] = None,
        penalty_window: Optional[int] = None,
        seed: Optional[int] = None,
        logit_bias: Optional[Mapping[int, float]] = None,
        stop: Union[str, Sequence[str], None] = None,
        stop_tokens: Optional[Iterable[int]] = None,
        ignore_eos: bool = False,
        show_special: bool = False,
        speculation: Optional[str] = None,
        max_draft: int = 0,
    ):
        flags = (GENERATE_IGNORE_EOS if ignore_eos else 0) | (GENERATE_SHOW_SPECIAL if show_special else 0)
        self.params = GenParams(flags=flags, max_tokens=convert.integer("max_tokens", max_tokens or 0, 0, 2**32 - 1))
        if speculation not in SPECULATION:
            raise InvalidArgument(f"speculation: {speculation!r}, expected None, 'off', 'prompt_lookup' or 'mtp'")
        self.params.speculation = SPECULATION[speculation]
        self.params.max_draft = convert.integer("max_draft", max_draft, 0, 2**32 - 1)
        self.sampling = Sampling()
        floats = {
            "temperature": temperature,
            "top_p": top_p,
            "min_p": min_p,
            "repetition_penalty": repetition_penalty,
            "presence_penalty": presence_penalty,
            "frequency_penalty": frequency_penalty,
        }
        integers = {
            "top_k": (top_k, -(2**31), 2**31 - 1),
            "penalty_window": (penalty_window, -(2**31), 2**31 - 1),
            "seed": (seed, 0, 2**64 - 1),
        }
        given: Dict[str, Any] = {name: float(value) for name, value in floats.items() if value is not None}
        for name, (value, low, high) in integers.items():
            if value is not None:
                given[name] = convert.integer(name, value, low, high)
        for name, value in given.items():
            setattr(self.sampling, name, value)
            self.sampling.set |= SAMPLING_BITS[name]
        if logit_bias:
            self.sampling.bias_ids = convert.tokens(logit_bias.keys())
            self.sampling.bias = (c.c_float * len(logit_bias))(*logit_bias.values())
            self.sampling.n_bias = len(logit_bias)
        self.params.sampling = c.pointer(self.sampling)
        if stop:
            texts = [convert.utf8(s) for s in ([stop] if isinstance(stop, (str, bytes)) else stop)]
            if any(b"\0" in text for text in texts):
                raise InvalidArgument("a stop string has a NUL character")
            self.params.stop = (c.c_char_p * len(texts))(*texts)
            self.params.n_stop = len(texts)
        if stop_tokens is not None:
            ids = convert.tokens(stop_tokens)
            self.params.stop_tokens = ids
            self.params.n_stop_tokens = len(ids)


OPTION_NAMES = frozenset(inspect.signature(Options).parameters)


class Answer:
    """An answer under way: iterate it for its events, or take text(). Leaving it early, or close(), ends it."""

    def __init__(self, session: "Session", ended: Optional[Callable[["Answer", bool], None]]):
        self._session = session
        self._ended = ended  # told once whether the answer came to anything
        self._raw = CEvent()
        self._status = OK
        self._last: Optional[Event] = None
        self._ahead: Optional[Event] = None  # polled, not yet given out
        self._text: List[str] = []
        self.open = True
        self.finish_reason: Optional[str] = None

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        try:
            event = self._next()
        except Exception:
            self._end(False)
            raise
        if event is None:
            raise StopIteration
        return event

    def _next(self) -> Optional[Event]:
        while self.open:
            event = self._ahead or self._poll()
            self._ahead = None
            if event is None:
                if self._status == DONE:
                    break
                call("session_step", self._session._pointer, SLICE_US)
                continue
            if not event.finish_reason:
                self._ahead = self._poll()
                if self._ahead is not None and self._ahead.finish_reason:
                    # The end is known already: one event for both.
                    event.text += self._ahead.text
                    event.finish_reason = self._ahead.finish_reason
            elif self._last is not None and not event.text:
                self._last.finish_reason = self.finish_reason = event.finish_reason
                break
            self._last = event
            self._text.append(event.text)
            if event.finish_reason:
                self.finish_reason = event.finish_reason
                self._end(True)
            return event
        self._end(True)
        return None

    def _poll(self) -> Optional[Event]:
        raw = self._raw
        self._status = call("session_poll", self._session._pointer, c.byref(raw))
        if self._status != OK:
            return None
        event = Event(c.string_at(raw.text, raw.text_len).decode("utf-8", "replace"), raw.token)
        if raw.type == EVENT_DONE:
            event.finish_reason = FINISH_REASONS.get(raw.finish_reason, "unknown")
        return event

    def _end(self, came_to_something: bool) -> None:
        if self.open:
            self.open = False
            if self._ended is not None:
                self._ended(self, came_to_something)
            self._ended = None

    def text(self) -> str:
        """Work to the end; the whole answer, with what has been iterated already."""
        for _ in self:
            pass
        return "".join(self._text)

    def close(self) -> None:
        """End the answer where it is. Harmless once it has ended."""
        if self.open:
            self.finish_reason = "cancelled"
            self._end(bool(self._text))
            self._session._stop_work()

    def __del__(self) -> None:
        try:
            self.close()
        except Exception:
            pass  # the session is in use, closed, or the parent's: nothing is left to end here


class Session:
    """One conversation, made by Model.session(). One thread at a time."""

    def __init__(self, handle: Handle, model: "Model", messages: Iterable[Message] = ()):
        self._handle: Optional[Handle] = handle
        self._model = model
        flag = lib.kette_cancel_new()
        if not flag:
            raise OutOfMemory("out of memory")
        self._cancel = Handle(flag, lib.kette_cancel_unref)
        self._answer: Optional["weakref.ref[Answer]"] = None
        #: What chat("…") goes on with; edit it, for instance to put a system message first.
        self.messages: List[Dict[str, Any]] = [dict(m) for m in messages]

    @property
    def _pointer(self) -> Handle:
        return opened(self._handle, "session")

    def _stop_work(self) -> None:
        if self._answer is not None:
            self._answer = None
            lib.kette_cancel_trigger(self._cancel.pointer)
            call("session_step", self._pointer, 0)

    def _end_answer(self) -> None:
        answer = self._answer() if self._answer is not None else None
        if answer is not None:
            answer.close()
        self._stop_work()

    def _begin(
        self, name: str, *args: Any, options: Options, ended: Optional[Callable[[Answer, bool], None]] = None
    ) -> Answer:
        self._end_answer()
        lib.kette_cancel_reset(self._cancel.pointer)
        options.params.cancel = self._cancel.pointer  # the session keeps it
        call(name, self._pointer, *args, c.byref(options.params))
        answer = Answer(self, ended)
        self._answer = weakref.ref(answer)
        return answer

    def generate(self, prompt: Union[str, bytes, Iterable[int]], max_tokens: int = 0, **options: Any) -> Answer:
        """Go on from token ids or text; yields events with .text and .token.

        The prompt is the whole sequence: the longest prefix that the session holds already is not evaluated again. In
        text, spellings of special tokens count as such, and BOS is added where the model wants it.

        max_tokens: 0 is until the context is full. Sampling: temperature (0: greedy), top_p, top_k, min_p,
        repetition_penalty, presence_penalty, frequency_penalty, penalty_window, seed, logit_bias ({id: added}); what is
        not given is the model's default, without one temperature 1; the same seed (0 if not given) draws the same. stop: a string or several, stop_tokens: ids; the answer ends before them.
        ignore_eos: go on after the model ended its turn. show_special: control tokens appear in the text. speculation:
        who guesses tokens ahead, which changes no token: "mtp" (the model's multi-token prediction module),
        "prompt_lookup" (what followed earlier), "off", None ("mtp" where the model has it); max_draft: at a time.
        """
        chosen = Options(max_tokens=max_tokens, **options)
        if isinstance(prompt, (str, bytes)):
            prompt = self._model.tokenize(prompt, add_special=True, parse_special=True)
        ids = convert.tokens(prompt)
        return self._begin("session_begin_tokens", ids, len(ids), options=chosen)

    def chat(
        self,
        messages: Union[str, Sequence[Message]],
        max_tokens: int = 0,
        *,
        tools: Optional[Sequence[Any]] = None,
        now: Union[str, "datetime.datetime", None] = None,
        variables: Optional[Mapping[str, Any]] = None,
        **options: Any,
    ) -> Answer:
        """Answer; yields events as generate does, with the same options.

        messages: a str goes on with the conversation so far, a list of messages as in OpenAI's API takes its place.
        Question and answer are kept in .messages, unless it fails or is ended before its first token. tools, now,
        variables: what the chat template sees, as in Model.render_chat; a keyword that is no option, such as
        enable_thinking=False, is one of the variables too.
        """
        seen = dict(variables or {})
        for name in [n for n in options if n not in OPTION_NAMES]:
            close = difflib.get_close_matches(name, OPTION_NAMES, 1, 0.8)
            if close:
                raise TypeError(f"chat() has no option {name!r}; did you mean {close[0]!r}?")
            seen[name] = options.pop(name)
        chosen = Options(max_tokens=max_tokens, **options)
        self._end_answer()
        before = self.messages
        if isinstance(messages, str):
            asked = before + [{"role": "user", "content": messages}]
        elif isinstance(messages, Mapping) or not isinstance(messages, Iterable):
            raise TypeError(f"messages must be a str or a list of messages, not {type(messages).__name__}")
        else:
            asked = [dict(m) for m in messages]
        prompt = make_chat(self._model._pointer, asked, tools, now, seen)

        def ended(answer: Answer, came_to_something: bool) -> None:
            if self.messages is not asked:
                return
            if not came_to_something:
                self.messages = before
            else:
                asked.append({"role": "assistant", "content": "".join(answer._text)})

        answer = self._begin("session_begin_chat", prompt, options=chosen, ended=ended)
        self.messages = asked
        return answer

    def eval(self, ids: Iterable[int], all_logits: bool = False) -> "numpy.ndarray":
        """Append tokens and return logits, float32 [rows, vocab_size]: of every token, or only of the last."""
        np = convert.numpy()
        given = convert.tokens(ids)
        self._end_answer()
        rows = len(given) if all_logits else min(len(given), 1)
        out = np.empty((rows, self._model.vocab_size), dtype=np.float32)
        call("session_eval", self._pointer, given, len(given), out.ctypes.data, rows)
        return out

    def rewind(self, n_tokens: int = 0) -> None:
        """Keep only the first n_tokens of the tokens held. .messages stay."""
        number = convert.integer("n_tokens", n_tokens, 0, 2**32 - 1)
        self._end_answer()
        call("session_rewind", self._pointer, number)

    def set_adapter(self, adapter: "Adapter", scale: float = 1.0) -> None:
        """Attach an adapter of this session's model, change its scale, or with 0 take it away.

        Where that changes anything the tokens held are dropped, for they were evaluated with other weights; .messages
        stay, and the next prompt is evaluated anew.
        """
        self._end_answer()
        call("session_set_adapter", self._pointer, adapter._pointer, float(scale))

    def clear_adapters(self) -> None:
        """Take all adapters away: logits are again those of a session that never had one."""
        self._end_answer()
        call("session_clear_adapters", self._pointer)

    def reset(self) -> None:
        """Forget everything: tokens and messages."""
        self.rewind(0)
        self.messages = []

    def fork(self) -> "Session":
        """A second session that goes on from what this one holds, without evaluating it again."""
        self._end_answer()
        return Session(make("session_fork", lib.kette_session_free, self._pointer), self._model, self.messages)

    @property
    def length(self) -> int:
        """Tokens held."""
        return lib.kette_session_length(self._pointer)

    @property
    def capacity(self) -> int:
        """Tokens held at most."""
        return lib.kette_session_capacity(self._pointer)

    @property
    def metrics(self) -> Dict[str, int]:
        """Of the answer under way or last ended: prompt_tokens, cached_tokens, gen_tokens, times in us, bytes."""
        out = Metrics()
        call("session_metrics", self._pointer, c.byref(out))
        return {name: getattr(out, name) for name, _ in Metrics._fields_[2:]}

    def close(self) -> None:
        """Free the KV cache. Harmless a second time."""
        answer = self._answer() if self._answer is not None else None
        if answer is not None and answer.open:
            answer.finish_reason = "cancelled"
            answer._end(bool(answer._text))
        self._answer = None
        self._handle = None

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *_exc: Any) -> None:
        self.close()
