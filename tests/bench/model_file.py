"""GGUF and safetensors as the benchmark needs them: written tensor by tensor, and read back as far as the headers go.

Both are a header and bytes, so this is shorter than a dependency, and nothing has to be installed to make a model.
"""

from __future__ import annotations

import json
import math
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Callable, Dict, Iterable, List, Tuple

# GGUF's number of a format, weights in a block, bytes of a block.
FORMATS: Dict[str, Tuple[int, int, int]] = {
    "f32": (0, 1, 4),
    "f16": (1, 1, 2),
    "q4_0": (2, 32, 18),
    "q4_1": (3, 32, 20),
    "q5_0": (6, 32, 22),
    "q5_1": (7, 32, 24),
    "q8_0": (8, 32, 34),
    "q2_k": (10, 256, 84),
    "q3_k": (11, 256, 110),
    "q4_k": (12, 256, 144),
    "q5_k": (13, 256, 176),
    "q6_k": (14, 256, 210),
    "iq4_nl": (20, 32, 18),
    "iq4_xs": (23, 256, 136),
    "bf16": (30, 1, 2),
    "fp8": (-1, 1, 1),
}  # fp8: in safetensors alone
SAFETENSORS = {"F32": "f32", "F16": "f16", "BF16": "bf16", "F8_E4M3": "fp8"}
ALIGNMENT = 32
SCALARS = {0: "<B", 1: "<b", 2: "<H", 3: "<h", 4: "<I", 5: "<i", 6: "<f", 7: "<?", 10: "<Q", 11: "<q", 12: "<d"}
STRING, ARRAY = 8, 9


@dataclass(frozen=True)
class Tensor:
    name: str
    shape: Tuple[int, ...]  # outermost first
    format: str

    @property
    def weights(self) -> int:
        return math.prod(self.shape)

    @property
    def bytes(self) -> int:
        _, block, size = FORMATS[self.format]
        return self.weights // block * size


Fill = Callable[[BinaryIO, Tensor], None]  # writes a tensor's bytes


def _string(text: str) -> bytes:
    data = text.encode()
    return struct.pack("<Q", len(data)) + data


def _value(value: Any) -> bytes:
    """Type and value: a list is of texts or of int32, an int is uint32, a float is float32."""
    if isinstance(value, list):
        if isinstance(value[0], str):
            return struct.pack("<IIQ", ARRAY, STRING, len(value)) + b"".join(map(_string, value))
        return struct.pack("<IIQ", ARRAY, 5, len(value)) + struct.pack(f"<{len(value)}i", *value)
    if isinstance(value, str):
        return struct.pack("<I", STRING) + _string(value)
    kind = 7 if isinstance(value, bool) else 4 if isinstance(value, int) else 6
    return struct.pack("<I", kind) + struct.pack(SCALARS[kind], value)


def write_gguf(path: Path, settings: Dict[str, Any], tensors: List[Tensor], fill: Fill) -> None:
    def padding(n: int) -> bytes:
        return b"\0" * (-n % ALIGNMENT)

    header = b"GGUF" + struct.pack("<IQQ", 3, len(tensors), len(settings))
    header += b"".join(_string(key) + _value(value) for key, value in settings.items())
    at = 0
    for t in tensors:
        header += _string(t.name) + struct.pack(f"<I{len(t.shape)}Q", len(t.shape), *reversed(t.shape))
        header += struct.pack("<IQ", FORMATS[t.format][0], at)
        at += t.bytes + len(padding(t.bytes))
    with open(path, "wb") as out:
        out.write(header + padding(len(header)))
        for t in tensors:
            fill(out, t)
            out.write(padding(t.bytes))


def write_safetensors(path: Path, tensors: List[Tensor], fill: Fill) -> None:
    dtypes = {ours: theirs for theirs, ours in SAFETENSORS.items()}
    entries, at = {}, 0
    for t in tensors:
        entries[t.name] = {"dtype": dtypes[t.format], "shape": t.shape, "data_offsets": [at, at + t.bytes]}
        at += t.bytes
    header = json.dumps(entries).encode()
    header += b" " * (-len(header) % 8)
    with open(path, "wb") as out:
        out.write(struct.pack("<Q", len(header)) + header)
        for t in tensors:
            fill(out, t)


class _Reader:
    def __init__(self, file: BinaryIO):
        self.file = file

    def scalar(self, layout: str) -> Any:
        return struct.unpack(layout, self.file.read(struct.calcsize(layout)))[0]

    def string(self) -> str:
        return self.file.read(self.scalar("<Q")).decode("utf-8", "replace")

    def value(self, kind: int) -> Any:
        if kind == STRING:
            return self.string()
        if kind != ARRAY:
            return self.scalar(SCALARS[kind])
        kind, n = self.scalar("<I"), self.scalar("<Q")
        return [self.value(kind) for _ in range(n)]


def read_gguf(path: Path) -> Tuple[Dict[str, Any], List[Tensor]]:
    names = {number: name for name, (number, _, _) in FORMATS.items()}
    with open(path, "rb") as file:
        read = _Reader(file)
        if file.read(4) != b"GGUF":
            raise ValueError(f"{path}: not a GGUF file")
        read.scalar("<I")
        count, pairs = read.scalar("<Q"), read.scalar("<Q")
        settings = {}
        for _ in range(pairs):
            key = read.string()
            settings[key] = read.value(read.scalar("<I"))
        tensors = []
        for _ in range(count):
            name, rank = read.string(), read.scalar("<I")
            shape = tuple(reversed([read.scalar("<Q") for _ in range(rank)]))
            number = read.scalar("<I")
            read.scalar("<Q")
            if number not in names:
                raise ValueError(f"{path}: {name}: format {number} is not one the benchmark knows")
            tensors.append(Tensor(name, shape, names[number]))
    return settings, tensors


def read_safetensors(files: Iterable[Path]) -> List[Tensor]:
    tensors = []
    for path in files:
        with open(path, "rb") as file:
            header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
        header.pop("__metadata__", None)
        tensors += [Tensor(name, tuple(t["shape"]), SAFETENSORS[t["dtype"]]) for name, t in header.items()]
    return tensors
