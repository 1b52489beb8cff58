"""Python values as the C ABI takes them."""
from __future__ import annotations

import ctypes as c
import datetime
import json
import operator
from array import array
from typing import Any, Iterable, Union

from ._errors import InvalidArgument


def numpy() -> Any:
    """NumPy, imported when it is first needed."""
    try:
        import numpy as module
    except ImportError as e:
        raise ImportError("Session.eval returns NumPy arrays: pip install numpy") from e
    return module


def utf8(text: Union[str, bytes]) -> bytes:
    """Bytes as they are; a str as UTF-8, lone surrogates as the three bytes that stand for them."""
    if isinstance(text, str):
        return text.encode("utf-8", "surrogatepass")
    if isinstance(text, (bytes, bytearray, memoryview)):
        return bytes(text)
    raise TypeError(f"text must be str or bytes, not {type(text).__name__}")


def to_json(value: Any) -> bytes:
    return utf8(json.dumps(value, ensure_ascii=False))


def tokens(ids: Iterable[int]) -> "c.Array[c.c_int32]":
    """A C array of token ids, from a list, a NumPy array or any other iterable of integers."""
    if isinstance(ids, (str, bytes)):
        raise TypeError(f"token ids expected, not {type(ids).__name__}")
    try:
        packed = array("i", ids.tolist() if hasattr(ids, "tolist") else list(ids))
    except OverflowError:
        raise InvalidArgument("a token id does not fit into 32 bits") from None
    return (c.c_int32 * len(packed)).from_buffer(packed)


def integer(name: str, value: Any, low: int, high: int) -> int:
    """`value` as an int from low to high: ctypes would wrap it silently."""
    number = operator.index(value)
    if not low <= number <= high:
        raise InvalidArgument(f"{name} is {number}, expected {low} to {high}")
    return number


def iso_time(now: Union[str, datetime.datetime]) -> bytes:
    return utf8(now.isoformat(timespec="seconds") if isinstance(now, datetime.datetime) else now)
