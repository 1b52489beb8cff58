"""Model files and their vocabularies."""
from __future__ import annotations

import copy
import ctypes as c
import json
import os
from typing import TYPE_CHECKING, Any, Callable, Dict, Iterable, List, Mapping, Optional, Sequence, Union

from . import _convert as convert
from ._library import (
    CHAT_NO_GENERATION_PROMPT,
    DETOKENIZE_SKIP_SPECIAL,
    EMBED_NORMALIZE,
    INVALID_ARGUMENT,
    KV_TYPES,
    MODEL_DETERMINISTIC,
    MODEL_EXACT,
    MODEL_NO_PREFIX_CACHE,
    MODEL_VOCAB_ONLY,
    POOLING,
    RUNTIME_NO_THREADS,
    TOKENIZE_ADD_SPECIAL,
    TOKENIZE_PARSE_SPECIAL,
    Handle,
    ModelParams,
    Progress,
    RuntimeParams,
    SessionParams,
    call,
    lib,
    make,
    opened,
    take_bytes,
)
from ._errors import InvalidArgument

if TYPE_CHECKING:
    import datetime

    import numpy

    from ._session import Session

Path = convert.Path
Message = Mapping[str, Any]


def make_chat(
    model: Handle,
    messages: Sequence[Message],
    tools: Optional[Sequence[Any]] = None,
    now: Union[str, "datetime.datetime", None] = None,
    variables: Optional[Mapping[str, Any]] = None,
) -> Handle:
    """A kette_chat with everything that a prompt is rendered from."""
    chat = make("chat_new", lib.kette_chat_free, model)

    def give(name: str, text: bytes) -> None:
        call(name, chat, text, len(text))

    if isinstance(messages, Mapping) or not isinstance(messages, Iterable):
        raise TypeError(f"messages must be a list of messages, not {type(messages).__name__}")
    give("chat_add_json", convert.to_json(list(messages)))
    if tools is not None:
        give("chat_set_tools_json", convert.to_json(list(tools)))
    if variables:
        give("chat_set_variables_json", convert.to_json(dict(variables)))
    if now is not None:
        give("chat_set_now", convert.iso_time(now))
    return chat


class _Opened:
    """What Model and Tokenizer share: an open file with a vocabulary and a chat template."""

    _handle: Optional[Handle] = None
    _what = "model"

    def _open(
        self,
        path: Path,
        runtime: RuntimeParams,
        params: ModelParams,
        progress: Optional[Callable[[int, int], Any]] = None,
    ) -> None:
        raised: List[BaseException] = []

        # Also without a function of the caller's: Ctrl-C is served while it runs.
        def on_progress(_user: Any, done: int, total: int) -> int:
            try:
                return int(progress is not None and progress(done, total) is False)
            except BaseException as e:  # carried over the C frames, raised below
                raised.append(e)
                return 1

        params.progress = Progress(on_progress)
        run = make("runtime_new", lib.kette_runtime_unref, c.byref(runtime))
        try:
            self._handle = make("model_open", lib.kette_model_unref, run, convert.path(path), c.byref(params))
        finally:
            params.progress = Progress()
            if raised:
                raise raised[0]

    @property
    def _pointer(self) -> Handle:
        return opened(self._handle, self._what)

    def close(self) -> None:
        """Let go of the file. Sessions that were made from it go on. Harmless a second time."""
        self._handle = None

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_exc: Any) -> None:
        self.close()

    @property
    def info(self) -> Dict[str, Any]:
        """What the file says: architecture, name, parameters, vocab_size, context_length, sizes in bytes …"""
        return json.loads(take_bytes("model_info", self._pointer))

    def tokenize(self, text: Union[str, bytes], add_special: bool = False, parse_special: bool = False) -> List[int]:
        """Token ids of a text of any bytes.

        add_special: put BOS where the model's tokenizer is set to. parse_special: spellings of special tokens become
        those tokens, else they stay text.
        """
        data = convert.utf8(text)
        flags = (TOKENIZE_ADD_SPECIAL if add_special else 0) | (TOKENIZE_PARSE_SPECIAL if parse_special else 0)
        needed = c.c_size_t(len(data) // 3 + 16)  # a guess; the first call says how many there are
        for accept in (INVALID_ARGUMENT, None):
            out = (c.c_int32 * needed.value)()
            given = (self._pointer, data, len(data), flags, out, len(out), c.byref(needed))
            if call("tokenize", *given, accept=accept) >= 0:
                break
        return out[: needed.value]

    def detokenize_bytes(self, ids: Iterable[int], skip_special: bool = False) -> bytes:
        """The bytes of some tokens; they may begin or end inside a UTF-8 character."""
        given = convert.tokens(ids)
        flags = DETOKENIZE_SKIP_SPECIAL if skip_special else 0
        needed = c.c_size_t(0)
        call("detokenize", self._pointer, given, len(given), flags, None, 0, c.byref(needed))
        out = (c.c_char * max(needed.value, 1))()
        call("detokenize", self._pointer, given, len(given), flags, out, len(out), c.byref(needed))
        return out.raw[: needed.value]

    def detokenize(self, ids: Iterable[int], skip_special: bool = False) -> str:
        """The text of some tokens, U+FFFD where they are no UTF-8."""
        return self.detokenize_bytes(ids, skip_special).decode("utf-8", "replace")

    def render_chat(
        self,
        messages: Union[str, Sequence[Message]],
        tools: Optional[Sequence[Any]] = None,
        add_generation_prompt: bool = True,
        now: Union[str, "datetime.datetime", None] = None,
        **variables: Any,
    ) -> str:
        """The prompt that the model's chat template makes of messages as in OpenAI's API (a str: one of the user's).

        now: the time that the template may see, a datetime or ISO 8601. Further keywords become template variables, such as
        enable_thinking=False.
        """
        if isinstance(messages, str):
            messages = [{"role": "user", "content": messages}]
        chat = make_chat(self._pointer, messages, tools, now, variables)
        flags = 0 if add_generation_prompt else CHAT_NO_GENERATION_PROMPT
        return take_bytes("chat_render", chat, flags).decode("utf-8", "replace")


class Grammar:
    """What an answer's text must match; made by Model.grammar, for any number of answers of that model."""

    def __init__(self, handle: Handle):
        self._handle = handle


class Tokenizer(_Opened):
    """The vocabulary and chat template of a tokenizer.json, of a Hugging Face directory, or of a GGUF; no weights.

    Beside a tokenizer.json, tokenizer_config.json and chat_template.jinja are read where they are there.
    """

    _what = "tokenizer"

    def __init__(self, path: Path):
        self._open(path, RuntimeParams(flags=RUNTIME_NO_THREADS), ModelParams(flags=MODEL_VOCAB_ONLY))


class Model(_Opened):
    """A model file, opened. Several threads and any number of sessions may use it at once.

    threads: 0 is the physical cores that this process may use. weight_type: None (or "as_stored") keeps weights; "q8_0",
    "q4_0" or "q4_k" encodes them while opening, "experts=q4_k,attention=q8_0" part by part.
    exact: float32 activations and KV cache, slowly. deterministic: one order of accumulation however many tokens go
    in at once. progress: called with bytes done and in total while loading; False stops, as does an exception.
    max_isa: "ref", "avx2", "avx512", "avx512_bf16" or "amx" instead of the CPU's best.
    pack_dir: an existing folder that keeps weights encoded for weight_type, so that the next opening maps them at once;
    info["pack"] says what became of it. memory_budget: bytes that the weights and a session of plan_context tokens (0:
    a session's default) may take; more is refused before anything is loaded.
    prefix_cache_bytes: kept of ended sessions for those that begin with the same tokens; None is at most 64 MiB, 0 that
    sessions take nothing from each other.
    """

    def __init__(
        self,
        path: Path,
        threads: int = 0,
        weight_type: Optional[str] = None,
        exact: bool = False,
        deterministic: bool = False,
        *,
        memory_budget: int = 0,
        plan_context: int = 0,
        pack_dir: Optional[Path] = None,
        prefix_cache_bytes: Optional[int] = None,
        max_isa: Optional[str] = None,
        progress: Optional[Callable[[int, int], Any]] = None,
    ):
        runtime = RuntimeParams(n_threads=convert.integer("threads", threads, 0, 1024))
        runtime.max_isa = convert.c_string("max_isa", max_isa) if max_isa else None
        # Exact mode is deterministic, and excludes the flag of the faster one.
        params = ModelParams(flags=MODEL_EXACT if exact else MODEL_DETERMINISTIC if deterministic else 0)
        params.weight_type = convert.c_string("weight_type", weight_type) if weight_type else None
        params.memory_budget = convert.integer("memory_budget", memory_budget, 0, 2**64 - 1)
        params.plan_context = convert.integer("plan_context", plan_context, 0, 2**32 - 1)
        params.pack_dir = convert.path(pack_dir) if pack_dir else None
        if prefix_cache_bytes is not None:
            params.prefix_cache_bytes = convert.integer("prefix_cache_bytes", prefix_cache_bytes, 0, 2**64 - 1)
            params.flags |= 0 if prefix_cache_bytes else MODEL_NO_PREFIX_CACHE
        self._open(path, runtime, params, progress)

    @property
    def vocab_size(self) -> int:
        return lib.kette_model_get_i64(self._pointer, b"vocab_size", 0)

    def grammar(
        self,
        *,
        json_schema: Union[str, Mapping[str, Any], bool, None] = None,
        regex: Optional[str] = None,
        gbnf: Optional[str] = None,
    ) -> Grammar:
        """A constraint for answers, of one of: a JSON schema (an object or its text; {} is any JSON), a regular expression
        that the whole text matches, a grammar in llama.cpp's notation."""
        if json_schema is not None and not isinstance(json_schema, str):
            json_schema = json.dumps(json_schema)
        given = {"json_schema": json_schema, "regex": regex, "gbnf": gbnf}
        sources = [(kind, convert.utf8(source)) for kind, source in given.items() if source is not None]
        if len(sources) != 1:
            raise TypeError("grammar() takes one of json_schema, regex and gbnf")
        kind, source = sources[0]
        args = (self._pointer, kind.encode(), source, len(source))
        return Grammar(make("grammar_new", lib.kette_grammar_unref, *args))

    def session(self, max_context: int = 0, kv_type: Optional[str] = None) -> "Session":
        """A conversation. max_context: tokens held, 0 is the model's context length, at most 4096.

        kv_type: "f32", "f16", "bf16" or "q8_0" (half of f16's memory); None is f16, in exact mode f32.
        """
        from ._session import Session

        if kv_type not in KV_TYPES:
            raise InvalidArgument(f"kv_type is {kv_type!r}, expected one of {list(KV_TYPES)}")
        params = SessionParams(
            max_context=convert.integer("max_context", max_context, 0, 2**32 - 1), kv_type=KV_TYPES[kv_type]
        )
        handle = make("session_new", lib.kette_session_free, self._pointer, c.byref(params))
        return Session(handle, copy.copy(self))  # a copy of its own: closing this model leaves the session as it is

    def adapter(self, path: Path) -> "Adapter":
        """Open a LoRA adapter for this model: a PEFT directory, its adapter_model.safetensors, or a GGUF adapter.

        Session.set_adapter attaches it.
        """
        params = ModelParams()
        given = (self._pointer, convert.path(path), c.byref(params))
        return Adapter(make("adapter_open", lib.kette_adapter_unref, *given))

    def embed(
        self, texts: Union[str, bytes, Sequence[Union[str, bytes]]], pooling: str = "mean", normalize: bool = True
    ) -> "numpy.ndarray":
        """Embeddings, float32 [texts, hidden_size] (of one str: [hidden_size]): hidden states after the last norm.

        pooling: over a text's tokens, "mean", "last" or "cls" (the first). normalize: to a length of 1.
        """
        np = convert.numpy("Model.embed")
        one = isinstance(texts, (str, bytes))
        data = [convert.utf8(text) for text in ([texts] if one else texts)]
        if pooling not in POOLING:
            raise InvalidArgument(f"pooling is {pooling!r}, expected 'mean', 'last' or 'cls'")
        how = POOLING[pooling] | (EMBED_NORMALIZE if normalize else 0)
        n = len(data)
        out = np.empty((n, lib.kette_model_get_i64(self._pointer, b"hidden_size", 0)), dtype=np.float32)
        needed = c.c_size_t()
        pointers, sizes = (c.c_char_p * n)(*data), (c.c_size_t * n)(*map(len, data))
        call("embed", self._pointer, pointers, sizes, n, how, None, out.ctypes.data, out.size, c.byref(needed))
        return out[0] if one else out


class Adapter:
    """A LoRA adapter, made by Model.adapter(). Any number of the model's sessions may have it attached."""

    def __init__(self, handle: Handle):
        self._handle: Optional[Handle] = handle

    @property
    def _pointer(self) -> Handle:
        return opened(self._handle, "adapter")

    def close(self) -> None:
        """Let go of it. Sessions that have it attached keep it. Harmless a second time."""
        self._handle = None

    def __enter__(self) -> "Adapter":
        return self

    def __exit__(self, *_exc: Any) -> None:
        self.close()


def probe(path: Path, weight_type: Optional[str] = None, context: int = 0) -> Dict[str, Any]:
    """What the headers of a model's files say, without loading it: architecture, parameters, active_parameters, what it
    takes in memory for each weight_type with a context of so many tokens (0: a session's default), and whether this
    machine can run it."""
    params = ModelParams(plan_context=convert.integer("context", context, 0, 2**32 - 1))
    params.weight_type = convert.c_string("weight_type", weight_type) if weight_type else None
    runtime = RuntimeParams(flags=RUNTIME_NO_THREADS)
    run = make("runtime_new", lib.kette_runtime_unref, c.byref(runtime))
    return json.loads(take_bytes("model_probe", run, convert.path(path), c.byref(params)))
