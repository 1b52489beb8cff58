#!/usr/bin/env python3
"""seeds.py FOLDER: writes a start for each fuzz target, from tests/golden, to FOLDER/<target>/."""
import json
import pathlib
import sys

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "golden"


def main():
    out = pathlib.Path(sys.argv[1])

    def put(target, name, data):
        folder = out / target
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)

    for path in GOLDEN.glob("models/*/gguf/*-Q4_0.gguf"):
        put("gguf", path.name, path.read_bytes())
    # What session_fuzz.cpp makes of them: bytes as they are, or changes of a good session, place by place.
    put("session", "bytes", b"\0\x89KSESS\r\n" + bytes(200))
    put("session", "good", b"\2")
    for place in range(0, 200, 4):
        put("session", f"flip.{place}", bytes([1 + place // 4 % 2, place, 0, 0xFF]))
    for place, value in ((128, 4), (128, 64), (128, 0), (136, 0), (136, 6), (120, 8), (160, 7), (144, 255)):
        put("session", f"change.{place}.{value}", bytes([2, place, 0, value]))
    for path in GOLDEN.glob("models/*/hf/tokenizer.json"):
        config = path.with_name("tokenizer_config.json").read_bytes()
        put("tokenizer_json", path.parent.parent.name, path.read_bytes() + b"\0" + config)
    for path in GOLDEN.glob("chat/*.jinja"):
        cases = json.loads(path.with_suffix(".json").read_text())["cases"]
        put("chat_template", path.stem, path.read_bytes())
        put("chat_template", path.stem + ".messages", path.read_bytes() + b"\0" + json.dumps(cases[-1]["messages"]).encode())
    for path in GOLDEN.glob("tokenizer/*.golden.json"):
        for i, item in enumerate(json.loads(path.read_text())["encode"][::8]):
            put("tokenizer", f"{path.stem}.{i}", bytes([i % 8]) + item["text"].encode("utf-8", "surrogatepass"))


if __name__ == "__main__":
    main()
