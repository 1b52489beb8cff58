"""The shared library: found, loaded, its structs mirrored and checked, its calls as functions that raise."""
from __future__ import annotations

import ctypes as c
import os
from pathlib import Path
from typing import Any, Optional

from ._errors import Forked, Misuse, error_of

OK, MORE, DONE = 0, 1, 2
RUNTIME_NO_THREADS = 1
MODEL_VOCAB_ONLY, MODEL_EXACT, MODEL_DETERMINISTIC, MODEL_NO_PREFIX_CACHE = 2, 4, 8, 16
TOKENIZE_ADD_SPECIAL, TOKENIZE_PARSE_SPECIAL = 1, 2
DETOKENIZE_SKIP_SPECIAL = 1
CHAT_NO_GENERATION_PROMPT = 1
GENERATE_IGNORE_EOS, GENERATE_SHOW_SPECIAL, GENERATE_LOGPROBS, GENERATE_PROMPT_ONLY = 2, 4, 8, 16
GENERATE_CONSTRAIN_REASONING, GENERATE_ALLOW_LOOPS, GENERATE_DROP_OLDEST = 32, 64, 128
KV_TYPES = {None: 0, "f32": 1, "f16": 2, "bf16": 3, "q8_0": 4}
EVENT_DONE, EVENT_FAILED = 4, 7
EVENT_KINDS = {1: "text", 2: "reasoning", 3: "tool_call", 5: "tool_arguments", 6: "tool_end"}
EVENT_KINDS.update({EVENT_DONE: "done", EVENT_FAILED: "failed"})
REASONING = {None: 0, True: 1, False: -1}
REASONING_ENDS = {0: None, 1: "model", 2: "budget", 3: "loop", 4: "cut"}
TOOL_CHOICES = {"auto": 0, "none": 1, "required": 2}
SPECULATION = {None: 0, "off": 1, "prompt_lookup": 2, "mtp": 3}
FINISH_REASONS = {1: "stop", 2: "stop_string", 3: "length", 4: "context_full", 5: "cancelled"}
POOLING = {"mean": 0, "last": 1, "cls": 2}
EMBED_NORMALIZE = 256
INVALID_ARGUMENT = -1

Progress = c.CFUNCTYPE(c.c_int32, c.c_void_p, c.c_uint64, c.c_uint64)
OnEvent = c.CFUNCTYPE(c.c_int32, c.c_void_p, c.c_void_p)


class Sized(c.Structure):
    """A struct of kette.h: struct_size set, everything else zero."""

    def __init__(self, **fields: Any):
        super().__init__(struct_size=c.sizeof(self), **fields)


class RuntimeParams(Sized):
    c_name = "kette_runtime_params"
    _fields_ = [
        ("struct_size", c.c_uint32),
        ("flags", c.c_uint32),
        ("n_threads", c.c_int32),
        ("thread_priority", c.c_int32),
        ("spin_us", c.c_uint32),
        ("quantum_us", c.c_uint32),
        ("cpu_mask_lo", c.c_uint64),
        ("cpu_mask_hi", c.c_uint64),
        ("max_isa", c.c_char_p),
        ("allocator", c.c_void_p),
        ("executor", c.c_void_p),
        ("logger", c.c_void_p),
    ]


class ModelParams(Sized):
    c_name = "kette_model_params"
    _fields_ = [
        ("struct_size", c.c_uint32),
        ("flags", c.c_uint32),
        ("weight_type", c.c_char_p),
        ("memory_budget", c.c_uint64),
        ("vfs", c.c_void_p),
        ("cancel", c.c_void_p),
        ("progress", Progress),
        ("progress_user", c.c_void_p),
        ("pack_dir", c.c_char_p),
        ("plan_context", c.c_uint32),
        ("reserved", c.c_uint32),
        ("prefix_cache_bytes", c.c_uint64),
    ]


class SessionParams(Sized):
    c_name = "kette_session_params"
    _fields_ = [
        ("struct_size", c.c_uint32),
        ("flags", c.c_uint32),
        ("max_context", c.c_uint32),
        ("kv_type", c.c_int32),
        ("user", c.c_void_p),
    ]


class Sampling(Sized):
    c_name = "kette_sampling"
    _fields_ = [
        ("struct_size", c.c_uint32),
        ("set", c.c_uint32),
        ("temperature", c.c_float),
        ("top_p", c.c_float),
        ("min_p", c.c_float),
        ("repetition_penalty", c.c_float),
        ("presence_penalty", c.c_float),
        ("frequency_penalty", c.c_float),
        ("top_k", c.c_int32),
        ("penalty_window", c.c_int32),
        ("seed", c.c_uint64),
        ("bias_ids", c.POINTER(c.c_int32)),
        ("bias", c.POINTER(c.c_float)),
        ("n_bias", c.c_size_t),
    ]


# The bits of kette_sampling.set.
SAMPLING_BITS = {
    "temperature": 1,
    "top_p": 2,
    "min_p": 4,
    "repetition_penalty": 8,
    "presence_penalty": 16,
    "frequency_penalty": 32,
    "top_k": 64,
    "penalty_window": 128,
    "seed": 256,
}


class GenParams(Sized):
    c_name = "kette_gen_params"
    _fields_ = [
        ("struct_size", c.c_uint32),
        ("flags", c.c_uint32),
        ("max_tokens", c.c_uint32),
        ("n_stop", c.c_uint32),
        ("sampling", c.POINTER(Sampling)),
        ("stop", c.POINTER(c.c_char_p)),
        ("stop_tokens", c.POINTER(c.c_int32)),
        ("n_stop_tokens", c.c_size_t),
        ("cancel", c.c_void_p),
        ("speculation", c.c_int32),
        ("max_draft", c.c_uint32),
        ("reasoning", c.c_int32),
        ("reasoning_max_tokens", c.c_uint32),
        ("reasoning_min_tokens", c.c_uint32),
        ("tool_choice", c.c_int32),
        ("reasoning_close", c.c_char_p),
        ("tool_name", c.c_char_p),
        ("grammar", c.c_void_p),
        ("top_logprobs", c.c_uint32),
        ("reserved", c.c_uint32),
    ]


class Logprob(c.Structure):
    c_name = "kette_logprob"
    _fields_ = [("token", c.c_int32), ("logprob", c.c_float)]


class CEvent(Sized):
    c_name = "kette_event"
    _fields_ = [
        ("struct_size", c.c_uint32),
        ("type", c.c_uint32),
        ("text", c.c_void_p),
        ("text_len", c.c_size_t),
        ("token", c.c_int32),
        ("finish_reason", c.c_int32),
        ("index", c.c_uint32),
        ("reasoning_end", c.c_int32),
        ("top", c.POINTER(Logprob)),
        ("n_top", c.c_uint32),
        ("logprob", c.c_float),
        ("tool_index", c.c_uint32),
        ("is_malformed", c.c_int32),
        ("session", c.c_void_p),
        ("user", c.c_void_p),
        ("status", c.c_int32),
        ("reserved", c.c_uint32),
    ]


class Metrics(Sized):
    c_name = "kette_metrics"
    _fields_ = [("struct_size", c.c_uint32), ("reserved", c.c_uint32)] + [
        (name, c.c_uint64)
        for name in (
            "prompt_tokens",
            "cached_tokens",
            "gen_tokens",
            "ttft_us",
            "prefill_us",
            "decode_us",
            "kv_bytes",
            "weight_bytes",
            "scratch_bytes",
            "steps",
            "step_overrun_max_us",
            "quantum_max_us",
            "drafted_tokens",
            "accepted_tokens",
            "reasoning_tokens",
        )
    ]
    _fields_ += [("reasoning_end", c.c_int32), ("dropped_messages", c.c_uint32)]


STRUCTS = (RuntimeParams, ModelParams, SessionParams, Sampling, GenParams, Logprob, CEvent, Metrics)

_P, _PP, _TEXT, _SIZE = c.c_void_p, c.POINTER(c.c_void_p), c.c_char_p, c.c_size_t
_U32, _SIZE_P, _TOKENS = c.c_uint32, c.POINTER(c.c_size_t), c.POINTER(c.c_int32)

# Arguments before the kette_error** that every fallible function ends with.
_FALLIBLE = {
    "runtime_new": (c.POINTER(RuntimeParams), _PP),
    "model_open": (_P, _TEXT, c.POINTER(ModelParams), _PP),
    "model_info": (_P, _PP),
    "model_probe": (_P, _TEXT, c.POINTER(ModelParams), _PP),
    "tokenize": (_P, _TEXT, _SIZE, _U32, _TOKENS, _SIZE, _SIZE_P),
    "detokenize": (_P, _TOKENS, _SIZE, _U32, _P, _SIZE, _SIZE_P),
    "chat_new": (_P, _PP),
    "chat_add_json": (_P, _TEXT, _SIZE),
    "chat_set_tools_json": (_P, _TEXT, _SIZE),
    "chat_set_variables_json": (_P, _TEXT, _SIZE),
    "chat_set_now": (_P, _TEXT, _SIZE),
    "chat_render": (_P, _U32, _PP),
    "grammar_new": (_P, _TEXT, _TEXT, _SIZE, _PP),
    "session_new": (_P, c.POINTER(SessionParams), _PP),
    "session_fork": (_P, _PP),
    "session_begin_chat": (_P, _P, c.POINTER(GenParams)),
    "session_begin_tokens": (_P, _TOKENS, _SIZE, c.POINTER(GenParams)),
    "session_step": (_P, _U32),
    "session_poll": (_P, c.POINTER(CEvent)),
    "session_answer": (_P, _PP),
    "session_eval": (_P, _TOKENS, _SIZE, _P, _SIZE),
    "session_rewind": (_P, _U32),
    "session_save_file": (_P, _TEXT),
    "session_load_file": (_P, _TEXT),
    "session_metrics": (_P, c.POINTER(Metrics)),
    "scheduler_new": (_P, _U32, _PP),
    "scheduler_add": (_P, _P),
    "scheduler_remove": (_P, _P),
    "scheduler_step": (_P, _U32),
    "adapter_open": (_P, _TEXT, c.POINTER(ModelParams), _PP),
    "session_set_adapter": (_P, _P, c.c_float),
    "session_clear_adapters": (_P,),
    "embed": (_P, c.POINTER(_TEXT), _SIZE_P, _SIZE, _U32, _P, _P, _SIZE, _SIZE_P),
}
_PLAIN = {
    "version": (c.c_uint32,),
    "struct_size": (c.c_uint32, _TEXT),
    "error_code": (c.c_int32, _P),
    "error_message": (_TEXT, _P),
    "error_os_code": (c.c_int64, _P),
    "error_free": (None, _P),
    "status_name": (_TEXT, c.c_int32),
    "runtime_unref": (None, _P),
    "model_unref": (None, _P),
    "adapter_unref": (None, _P),
    "model_get_i64": (c.c_int64, _P, _TEXT, c.c_int64),
    "chat_free": (None, _P),
    "grammar_unref": (None, _P),
    "cancel_new": (_P,),
    "cancel_trigger": (None, _P),
    "cancel_reset": (None, _P),
    "cancel_unref": (None, _P),
    "session_free": (None, _P),
    "scheduler_free": (None, _P),
    "session_length": (c.c_uint32, _P),
    "session_capacity": (c.c_uint32, _P),
    "buf_data": (_P, _P),
    "buf_size": (_SIZE, _P),
    "buf_free": (None, _P),
}


def _candidates() -> "list[str]":
    given = os.environ.get("KETTE_LIBRARY")
    if given:
        return [given]
    beside = sorted(Path(__file__).parent.glob("libkette.*"))
    return [str(p) for p in beside] + ["libkette.so", "libkette.so.0.1"]


def _load() -> c.CDLL:
    tried = []
    for name in _candidates():
        try:
            library = c.CDLL(name)
            break
        except OSError as e:
            tried.append(f"{name} ({e})")
    else:
        raise ImportError("Kette's shared library was not found; set KETTE_LIBRARY to it. Tried: " + ", ".join(tried))
    try:
        for table, fallible in ((_FALLIBLE, True), (_PLAIN, False)):
            for name, types in table.items():
                function = getattr(library, "kette_" + name)
                function.restype = c.c_int32 if fallible else types[0]
                function.argtypes = types + (_PP,) if fallible else types[1:]
    except AttributeError as e:
        raise ImportError(f"{library._name} is no library of Kette's, or an older one: {e}") from None
    for struct in STRUCTS:
        theirs = library.kette_struct_size(struct.c_name.encode())
        if theirs < c.sizeof(struct):
            raise ImportError(
                f"{library._name}: {struct.c_name} has {theirs} bytes, this package expects {c.sizeof(struct)}: "
                "the library is older than the package"
            )
    return library


lib = _load()


def library_version() -> "tuple[int, int, int]":
    """(major, minor, patch) of the shared library in use."""
    v = lib.kette_version()
    return v >> 16, v >> 8 & 255, v & 255


def call(name: str, *args: Any, accept: Optional[int] = None) -> int:
    """Call kette_<name>; a failure raises, unless it is `accept`. Returns the status."""
    error = c.c_void_p()
    status = getattr(lib, "kette_" + name)(*args, c.byref(error))
    if status >= 0:
        return status
    try:
        if status == accept:
            return status
        message = lib.kette_error_message(error) if error else lib.kette_status_name(status)
        raise error_of(status, message.decode("utf-8", "replace"), lib.kette_error_os_code(error))
    finally:
        lib.kette_error_free(error)


class Handle:
    """A C handle and how to free it. Freed with the last Python reference, in the process that made it."""

    __slots__ = ("_pointer", "_free", "_pid", "__weakref__")

    def __init__(self, pointer: Optional[int], free: Any):
        self._pointer, self._free, self._pid = pointer, free, os.getpid()

    @property
    def _as_parameter_(self) -> int:
        # Given to a C function as it is, so that it lives until the function returns, whoever closes it meanwhile.
        return self.pointer

    @property
    def pointer(self) -> int:
        # Kette's threads don't live on in a forked child, and their locks may be held for ever.
        if os.getpid() != self._pid:
            raise Forked("made before this process was forked; open the model again in the child")
        assert self._pointer is not None
        return self._pointer

    def __del__(self, getpid: Any = os.getpid) -> None:
        if self._pointer and getpid() == self._pid:
            self._free(self._pointer)


def make(name: str, free: Any, *args: Any) -> Handle:
    """A handle from a function whose last argument but one is where to store it."""
    out = c.c_void_p()
    call(name, *args, c.byref(out))
    return Handle(out.value, free)


def take_bytes(name: str, *args: Any) -> bytes:
    """The bytes of the kette_buf that kette_<name> makes."""
    buf = make(name, lib.kette_buf_free, *args)
    return c.string_at(lib.kette_buf_data(buf), lib.kette_buf_size(buf))


def opened(handle: Optional[Handle], what: str) -> Handle:
    """The handle of an object that may have been closed."""
    if handle is None:
        raise Misuse(f"the {what} is closed")
    handle.pointer  # Forked is raised here: out of an argument's conversion ctypes would make it an ArgumentError
    return handle
