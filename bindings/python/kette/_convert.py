"""Python values as the C ABI takes them."""
from __future__ import annotations

import ctypes as c
import datetime
import json
import operator
import os
from array import array
from typing import Any, Iterable, Union

from ._errors import InvalidArgument

Path = Union[str, bytes, "os.PathLike[str]", "os.PathLike[bytes]"]


def numpy(by: str = "Session.eval") -> Any:
    """NumPy, imported when it is first needed."""
    try:
        import numpy as module
    except ImportError as e:
        raise ImportError(f"{by} returns NumPy arrays: pip install numpy") from e
    return module


def utf8(text: Union[str, bytes]) -> bytes:
    """Bytes as they are; a str as UTF-8, lone surrogates as the three bytes that stand for them."""
    if isinstance(text, str):
        return text.encode("utf-8", "surrogatepass")
    if isinstance(text, (bytes, bytearray, memoryview)):
        return bytes(text)
    raise TypeError(f"text must be str or bytes, not {type(text).__name__}")


def c_string(name: str, text: Union[str, bytes]) -> bytes:
    """As utf8(), for C functions that take NUL for the end."""
    data = utf8(text)
    if b"\0" in data:
        raise InvalidArgument(f"{name} has a NUL character")
    return data


def path(name: Any) -> bytes:
    return c_string("the path", os.fsencode(name))


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
    """YYYY-MM-DDTHH:MM:SS of the wall clock that is given, whatever its time zone."""
    if isinstance(now, str):
        text = now[:-1] + "+00:00" if now.endswith("Z") else now  # Python below 3.11 does not read Z
        try:
            now = datetime.datetime.fromisoformat(text)
        except ValueError:
            raise InvalidArgument(f"now is {now!r}, expected an ISO 8601 time") from None
    return utf8(now.replace(tzinfo=None).isoformat(timespec="seconds"))
