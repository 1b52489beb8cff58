#!/usr/bin/env python3
"""seeds.py FOLDER: writes a start for each fuzz target, from tests/golden, to FOLDER/<target>/."""
import json
import pathlib
import sys

GOLDEN = pathlib.Path(__file__).resolve().parent.parent / "golden"


# Kinds by the first byte: GBNF, JSON schema, regular expression.
GRAMMARS = [
    (0, 'root ::= expr\nexpr ::= term ([-+] term)*\nterm ::= [0-9]{1,3} | "(" expr ")" # end', "(1+2)-3"),
    (0, 'root ::= "\\x41\\u00e9" [^a-c\\]\\n]* x?\nx ::= . | "" | x2{2,}\nx2 ::= "y"', "A\u00e9d"),
    (0, 'root ::= a | b\na ::= "a" root "b"\nb ::= "a" root "c" | "d"', "aadbc"),
    (1, '{"type":"object","properties":{"a":{"type":"integer","minimum":-3,"maximum":12.5},"b":{"$ref":"#/$defs/s"}},'
        '"required":["b"],"additionalProperties":{"type":["null","boolean"]},"$defs":{"s":{"type":"string","minLength":1,'
        '"maxLength":9,"pattern":"^[a-z]+$"}}}', '{"b": "x", "c":null}'),
    (1, '{"oneOf":[{"const":"a"},{"type":"array","prefixItems":[{"format":"date"}],"items":{"$ref":"#"},"maxItems":3}]}',
     '["2024-02-29", "a"]'),
    (1, '{"allOf":[{"properties":{"a":{"enum":[1,2,"x"]}}},{"properties":{"a":{"enum":[2]},"b":{"multipleOf":0.01}}}],'
        '"anyOf":[{"required":["a"]},{"required":["b"]}]}', '{"a":2}'),
    (2, "^(?:[a-z]+\\.)*[^\\s\\d]{2,6}?|(a|b)*\\u00e9{1,}$", "abc.de"),
    (2, "\\w+[\\]\\-x]?(?<name>\\cA|\\x41|\\u{1F600})+", "a]A"),
]


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
    for path in GOLDEN.glob("adapters/*.gguf"):
        put("adapter", path.name, path.read_bytes())
    for path in GOLDEN.glob("adapters/*/adapter_config.json"):
        weights = path.with_name("adapter_model.safetensors").read_bytes()
        put("adapter", path.parent.name, path.read_bytes() + b"\0" + weights)
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
    for i, (kind, source, text) in enumerate(GRAMMARS):
        put("grammar", str(i), bytes([kind]) + source.encode() + b"\0" + text.encode())


if __name__ == "__main__":
    main()
