"""Conversations and their answers."""
from __future__ import annotations

import ctypes as c
import difflib
import inspect
import json
import weakref
from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Dict,
    Iterable,
    Iterator,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    Union,
)

from . import _convert as convert
from ._errors import InvalidArgument, KetteError, OutOfMemory, error_of
from ._library import (
    DONE,
    EVENT_DONE,
    EVENT_FAILED,
    EVENT_KINDS,
    FINISH_REASONS,
    GENERATE_ALLOW_LOOPS,
    GENERATE_CONSTRAIN_REASONING,
    GENERATE_DROP_OLDEST,
    GENERATE_IGNORE_EOS,
    GENERATE_LOGPROBS,
    GENERATE_PROMPT_ONLY,
    GENERATE_SHOW_SPECIAL,
    OK,
    REASONING,
    REASONING_ENDS,
    SAMPLING_BITS,
    SPECULATION,
    TOOL_CHOICES,
    CEvent,
    GenParams,
    Handle,
    Metrics,
    Sampling,
    call,
    lib,
    make,
    opened,
    take_bytes,
)
from ._model import Grammar, Message, make_chat

if TYPE_CHECKING:
    import datetime

    import numpy

    from ._model import Adapter, Model
    from ._scheduler import Scheduler

SLICE_US = 50_000  # how long Ctrl-C waits at most, about


class Event:
    """A token of an answer, or a part of it.

    kind: "text", "reasoning", "tool_call" (text is the tool's name), "tool_arguments" (pieces of JSON), "tool_end",
    "done" for an end that belongs to no token, or, from a Scheduler, "failed": text says why the answer broke off. Kinds other than text come in answers to chats. text: what it adds, whole
    characters; empty while a character, a tag or a stop string is open. token: its id, -1 where it brings what was held
    back, or a further part of the token before. tool_index: which call of the answer, from 0; malformed: with "tool_end", its
    arguments are not JSON. logprob and top_logprobs
    [(id, logprob)]: where they were asked for, natural logarithms by the model's logits alone. finish_reason: None, and in
    the last event of the answer "stop" (the model ended its turn), "stop_string", "length", "context_full" or "cancelled".
    """

    __slots__ = ("kind", "text", "token", "tool_index", "malformed", "logprob", "top_logprobs", "finish_reason")

    def __init__(self, raw: CEvent):
        self.kind = EVENT_KINDS.get(raw.type, "unknown")
        self.text = c.string_at(raw.text, raw.text_len).decode("utf-8", "replace")
        self.token: int = raw.token
        self.tool_index: int = raw.tool_index
        self.malformed = bool(raw.is_malformed)
        self.logprob: float = raw.logprob
        self.top_logprobs = [(raw.top[i].token, raw.top[i].logprob) for i in range(raw.n_top)]
        self.finish_reason: Optional[str] = None

    def __repr__(self) -> str:
        end = f", finish_reason={self.finish_reason!r}" if self.finish_reason else ""
        return f"Event({self.kind}, {self.text!r}, token={self.token}{end})"


class Vote(NamedTuple):
    """The text that most answers give, how many did, and all of them."""

    text: str
    votes: int
    answers: "List[Answer]"


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
        reasoning: Optional[bool] = None,
        reasoning_max_tokens: Optional[int] = None,
        reasoning_min_tokens: int = 0,
        reasoning_close: Optional[str] = None,
        allow_loops: bool = False,
        tool_choice: str = "auto",
        grammar: Optional[Grammar] = None,
        constrain_reasoning: bool = False,
        logprobs: bool = False,
        top_logprobs: int = 0,
        drop_oldest: bool = False,
        prompt_only: bool = False,
    ):
        flags = {
            GENERATE_IGNORE_EOS: ignore_eos,
            GENERATE_SHOW_SPECIAL: show_special,
            GENERATE_LOGPROBS: logprobs or top_logprobs,
            GENERATE_PROMPT_ONLY: prompt_only,
            GENERATE_CONSTRAIN_REASONING: constrain_reasoning,
            GENERATE_ALLOW_LOOPS: allow_loops,
            GENERATE_DROP_OLDEST: drop_oldest,
        }
        self.params = GenParams(
            flags=sum(bit for bit, wanted in flags.items() if wanted),
            max_tokens=convert.integer("max_tokens", max_tokens or 0, 0, 2**32 - 1),
        )
        if reasoning not in REASONING:
            raise InvalidArgument(f"reasoning: {reasoning!r}, expected None, True or False")
        if reasoning_max_tokens == 0:
            if reasoning:
                raise InvalidArgument("reasoning_max_tokens is 0 and reasoning True")
            reasoning = False
        self.params.reasoning = REASONING[reasoning]
        limits = {"reasoning_max_tokens": reasoning_max_tokens or 0, "reasoning_min_tokens": reasoning_min_tokens}
        for name, value in {**limits, "top_logprobs": top_logprobs}.items():
            setattr(self.params, name, convert.integer(name, value, 0, 2**32 - 1))
        if reasoning_close is not None:
            self.params.reasoning_close = convert.c_string("reasoning_close", reasoning_close)
        # A name that is none of the words is the tool to be called.
        self.params.tool_choice = TOOL_CHOICES.get(tool_choice, TOOL_CHOICES["required"])
        if tool_choice not in TOOL_CHOICES:
            self.params.tool_name = convert.c_string("tool_choice", tool_choice)
        if grammar is not None:
            self._grammar = grammar  # lives until the answer has begun, which then keeps it
            self.params.grammar = grammar._handle.pointer
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
        self._ahead: Optional[Event] = None  # polled, not yet given out
        self._failed: Optional[Event] = None  # the same of the event that ends it with an error
        self._text: List[str] = []
        self._reasoning: List[str] = []
        self._answered = False
        self.open = True
        self.finish_reason: Optional[str] = None
        #: What it broke off with, in a scheduler.
        self.failure: Optional[KetteError] = None
        #: Who ended the thinking, once it is over: None (there was none), "model", "budget", "loop" or "cut".
        self.reasoning_end: Optional[str] = None
        #: Tool calls so far: {"name": …, "arguments": the JSON as the model wrote it, "malformed": it is not JSON}.
        self.tool_calls: List[Dict[str, Any]] = []
        #: The answer as a message of OpenAI's API, once it has ended: content, reasoning_content, tool_calls.
        self.message: Optional[Dict[str, Any]] = None

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        try:
            while self.open:
                event = self._fetch()
                if event is not None and event.kind == "failed":
                    assert self.failure is not None
                    raise self.failure
                if event is not None:
                    return event
                if self.open:
                    self._session._work(SLICE_US)
        except Exception:
            self._end(False)
            raise
        raise StopIteration

    def _fetch(self) -> Optional[Event]:
        """The next event, if it is there already. Notices the answer's end."""
        event = self._ahead or self._failed or self._poll()
        self._ahead = None
        if event is None:
            if self._failed is not None:
                return self._fetch()
            if self._status == DONE:
                self._end(self._answered)
            return None
        if event.kind == "failed":
            self._end(False)
            return event
        if not event.finish_reason:
            self._ahead = self._poll()
            if self._ahead is not None and self._ahead.finish_reason:
                event.finish_reason = self._ahead.finish_reason  # the end is known already: one event for both
        self._note(event)
        if event.finish_reason:
            self.finish_reason = event.finish_reason
            self._end(self._answered or event.finish_reason == "stop")
        return event

    def _note(self, event: Event) -> None:
        self._answered = self._answered or event.kind != "done"
        if event.kind == "text":
            self._text.append(event.text)
        elif event.kind == "reasoning":
            self._reasoning.append(event.text)
        elif event.kind == "tool_call":
            self.tool_calls.append({"name": event.text, "arguments": "", "malformed": False})
        elif event.kind == "tool_arguments":
            self.tool_calls[-1]["arguments"] += event.text
        elif event.kind == "tool_end":
            self.tool_calls[-1]["malformed"] = event.malformed

    def _poll(self) -> Optional[Event]:
        raw = self._raw
        self._status = call("session_poll", self._session._pointer, c.byref(raw))
        if self._status != OK:
            return None
        event = Event(raw)
        if raw.type == EVENT_FAILED:
            self._failed, self.failure = event, error_of(raw.status, event.text, 0)
            return None
        if raw.type == EVENT_DONE:
            event.finish_reason = FINISH_REASONS.get(raw.finish_reason, "unknown")
            self.reasoning_end = REASONING_ENDS.get(raw.reasoning_end, "unknown")
        return event

    def _end(self, came_to_something: bool) -> None:
        if self.open:
            self.open = False
            if self._session._handle is not None:
                self.message = json.loads(take_bytes("session_answer", self._session._handle))
            if self._ended is not None:
                self._ended(self, came_to_something)
            self._ended = None

    def text(self) -> str:
        """Work to the end; the whole text, with what has been iterated already, without thoughts and tool calls."""
        for _ in self:
            pass
        return "".join(self._text)

    def reasoning(self) -> str:
        """Work to the end; all that the model thought."""
        for _ in self:
            pass
        return "".join(self._reasoning)

    def close(self) -> None:
        """End the answer where it is. Harmless once it has ended."""
        if self.open:
            self.finish_reason = "cancelled"
            self._end(self._answered)
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
        self._scheduler: Optional["Scheduler"] = None  # that it is in
        #: What chat("…") goes on with; edit it, for instance to put a system message first.
        self.messages: List[Dict[str, Any]] = [dict(m) for m in messages]

    @property
    def _pointer(self) -> Handle:
        return opened(self._handle, "session")

    def _work(self, budget_us: int) -> None:
        if self._scheduler is not None:
            self._scheduler.step(budget_us)
        else:
            call("session_step", self._pointer, budget_us)

    def _stop_work(self) -> None:
        if self._answer is None:
            return
        self._answer = None
        lib.kette_cancel_trigger(self._cancel.pointer)
        scheduler = self._scheduler
        if scheduler is not None:  # there it is not stepped: it leaves for so long
            scheduler.remove(self)
        call("session_step", self._pointer, 0)
        if scheduler is not None:
            scheduler.add(self)

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
        who guesses tokens ahead (a guess changes no token): "mtp" (the model's multi-token prediction module),
        "prompt_lookup" (what followed earlier), "off", None ("mtp" where the model has it); max_draft: at a time.
        grammar: a Grammar that the text must match; in a chat after the thinking, unless constrain_reasoning. logprobs,
        top_logprobs: what events then have. prompt_only: evaluate the prompt and end, for forks and later answers.
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
        """Answer; yields events as generate does, with the same options and these:

        reasoning: True or False (not one token), None is as the model's template has it. reasoning_max_tokens: then
        thinking is closed, softly, with the sentence reasoning_close; 0 is the same as reasoning=False.
        reasoning_min_tokens: until then neither thinking nor the answer ends. Thinking that runs in circles is closed
        too, unless allow_loops. tool_choice: "auto", "none", "required", or the name of the tool to be called.
        drop_oldest: while the prompt with room for max_tokens (0: a quarter of the context) does not fit, leave out the
        oldest turn.

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
                asked.append(answer.message or {"role": "assistant", "content": "".join(answer._text)})

        answer = self._begin("session_begin_chat", prompt, options=chosen, ended=ended)
        self.messages = asked
        return answer

    def vote(
        self,
        question: str,
        n: int = 5,
        key: Optional[Callable[[Answer], Any]] = None,
        seed: int = 0,
        **options: Any,
    ) -> Vote:
        """Think n times, each time with a seed of its own, and take the text that most answers give (of equals the first).

        The prompt is evaluated once; each answer is that of a fork. key(answer): what is compared, else the text without
        white space at the ends. Options as in chat. Temperature 0 would give n equal answers. .messages stay as they are.
        """
        convert.integer("n", n, 1, 2**31 - 1)
        before = self.messages
        asked = before + [{"role": "user", "content": question}]
        try:
            self.chat(asked, prompt_only=True, **options).text()
        finally:
            self.messages = before
        answers, keys = [], []
        for i in range(n):
            with self.fork() as fork:
                answer = fork.chat(asked, seed=seed + i, **options)
                text = answer.text()
                answers.append(answer)
                keys.append(text.strip() if key is None else key(answer))
        winner = max(range(n), key=lambda i: (keys.count(keys[i]), -i))
        return Vote(answers[winner].text(), keys.count(keys[winner]), answers)

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

    def save(self, path: convert.Path) -> None:
        """Write what is held, tokens and all that was evaluated of them, to a file, whole or not at all.

        Ends an answer under way. .messages are not in the file; keep them beside it to go on with chat().
        """
        self._end_answer()
        call("session_save_file", self._pointer, convert.path(path))

    def load(self, path: convert.Path) -> None:
        """Hold what save() wrote instead, and go on as if it had never stopped. .messages stay.

        Fails without effect: InvalidArgument if it was saved from another model or kv_type, ContextFull if it has more
        tokens than this session can hold, CorruptError if it is damaged.
        """
        self._end_answer()
        call("session_load_file", self._pointer, convert.path(path))

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
            answer._end(answer._answered)
        self._answer = None
        self._scheduler = None
        self._handle = None

    def __enter__(self) -> "Session":
        return self

    def __exit__(self, *_exc: Any) -> None:
        self.close()
