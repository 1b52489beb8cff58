"""Failures as exceptions: one class per status of kette.h."""
from __future__ import annotations

from typing import Dict, Type


class KetteError(Exception):
    """A failure in Kette; str() says what, where, expected and found.

    code: the status, negative. os_code: errno where the system refused, else 0.
    """

    code: int = 0

    def __init__(self, message: str, os_code: int = 0, code: int = 0):
        super().__init__(message)
        self.os_code = os_code
        if code:
            self.code = code


class InvalidArgument(KetteError, ValueError):
    code = -1


class StructTooNew(KetteError):
    code = -2


class Unsupported(KetteError):
    code = -3


class NotFound(KetteError):
    code = -4


class IOFailure(KetteError):
    code = -5


class FormatError(KetteError):
    code = -6


class CorruptError(KetteError):
    code = -7


class OutOfMemory(KetteError, MemoryError):
    code = -8


class BudgetExceeded(KetteError):
    code = -9


class ContextFull(KetteError):
    code = -10


class Cancelled(KetteError):
    code = -11


class Busy(KetteError):
    code = -12


class Reentrant(KetteError):
    code = -13


class Forked(KetteError):
    code = -14


class JitRefused(KetteError):
    code = -15


class CpuError(KetteError):
    code = -16


class GrammarDeadEnd(KetteError):
    code = -17


class InternalError(KetteError):
    code = -18


class HostError(KetteError):
    code = -19


class NumericError(KetteError):
    code = -20


class Misuse(KetteError):
    code = -21


_by_code: Dict[int, Type[KetteError]] = {c.code: c for c in KetteError.__subclasses__()}


def error_of(code: int, message: str, os_code: int = 0) -> KetteError:
    """The exception for a status; a newer library's unknown status is a plain KetteError."""
    return _by_code.get(code, KetteError)(message, os_code, code)
