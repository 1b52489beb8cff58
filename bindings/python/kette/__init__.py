"""Kette: open language models on CPUs, in this process.

    import kette

    with kette.Model("model.gguf") as model, model.session() as session:
        for event in session.chat("Hi", max_tokens=200):
            print(event.text, end="", flush=True)
"""
from ._errors import (
    BudgetExceeded,
    Busy,
    Cancelled,
    ContextFull,
    CorruptError,
    CpuError,
    Forked,
    FormatError,
    GrammarDeadEnd,
    HostError,
    InternalError,
    InvalidArgument,
    IOFailure,
    JitRefused,
    KetteError,
    Misuse,
    NotFound,
    NumericError,
    OutOfMemory,
    Reentrant,
    StructTooNew,
    Unsupported,
)
from ._library import library_version
from ._model import Adapter, Grammar, Model, Tokenizer, probe
from ._scheduler import Scheduler
from ._session import Answer, Event, Session, Vote

__version__ = "0.1.0"
__all__ = [
    "Adapter",
    "Answer",
    "BudgetExceeded",
    "Busy",
    "Cancelled",
    "ContextFull",
    "CorruptError",
    "CpuError",
    "Event",
    "Forked",
    "FormatError",
    "Grammar",
    "GrammarDeadEnd",
    "HostError",
    "IOFailure",
    "InternalError",
    "InvalidArgument",
    "JitRefused",
    "KetteError",
    "Misuse",
    "Model",
    "NotFound",
    "NumericError",
    "OutOfMemory",
    "Reentrant",
    "Scheduler",
    "Session",
    "StructTooNew",
    "Tokenizer",
    "Unsupported",
    "Vote",
    "library_version",
    "probe",
]
