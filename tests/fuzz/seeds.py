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
    for path in GOLDEN.glob("models/*/hf/tokenizer.json"):
        config = path.with_name("tokenizer_config.json").read_bytes()
        put("tokenizer_json", path.parent.parent.name, path.read_bytes() + b"\0" + config)
    for path in GOLDEN.glob("chat/*.jinja"):
        cases = json.loads(path.with_suffix(".json").read_text())["cases"]
        put("chat_template", path.stem, path.read_bytes())
        put("chat_template", path.stem + ".messages", path.read_bytes() + b"\0" + json.dumps(cases[-1]["messages"]).encode())
        tools = {"qwen": 1, "llama": 2, "deepseek_v3_1": 4, "deepseek": 3}
        dialect = next(number for prefix, number in tools.items() if path.stem.startswith(prefix))
        for i, case in enumerate(case for case in cases if "rendered" in case and "tools" in case["kwargs"]):
            for start in (0, 10) if i % 4 == 0 else ():
                put("answer_parser", f"{path.stem}.{i}.{start}", bytes([dialect + start]) + case["rendered"][-900:].encode())
    for path in GOLDEN.glob("tokenizer/*.golden.json"):
        for i, item in enumerate(json.loads(path.read_text())["encode"][::8]):
            put("tokenizer", f"{path.stem}.{i}", bytes([i % 8]) + item["text"].encode("utf-8", "surrogatepass"))


if __name__ == "__main__":
    main()
