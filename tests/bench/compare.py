#!/usr/bin/env python3
"""Measure Kette beside llama.cpp and OpenVINO GenAI, and write docs/performance.md, its picture and the raw results.

    cmake --preset release && cmake --build --preset release
    pip install -r tests/bench/requirements.txt     # the peers into interpreters of their own
    tests/bench/compare.py --name desktop --cases qwen2.5-1.5b:q4_k qwen2.5-0.5b:q8_0:512,8k model.gguf \\
        --llama-python ~/llama/bin/python --openvino-python ~/openvino/bin/python
    tests/bench/compare.py --merge                           # the page again, from all results there are

A case is a shape of make_model.py and a format, or a file; behind it the work (512, 8k, 16k, x8, x16), 512 where
nothing is said. Engines take turns for --pairs rounds, with the machine's limits measured between all runs. A model that
is made, or lay in --models from before, is deleted after its last run unless --keep. Rows measured again replace those of results/NAME.json, others stay.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Dict, List, Tuple

from engines import HERE, WORKS, CannotRun, Engine, Work, engines, processors, run_json
from table import OURS, merge_rows, page, ratios
from work import Cost, cost_of

ROOT = HERE.parents[1]
RESULTS = HERE / "results"
PRE_TOKENIZERS = {"qwen3": "qwen2", "llama3_1": "llama-bpe", "deepseek_v3": "deepseek-v3"}
FLAGS = (
    "avx2",
    "fma",
    "f16c",
    "avx_vnni",
    "avx512f",
    "avx512bw",
    "avx512vl",
    "avx512_vnni",
    "avx512_bf16",
    "avx512_fp16",
    "amx_tile",
    "amx_int8",
    "amx_bf16",
)


def machine(a: argparse.Namespace, cpus: List[int]) -> Dict[str, Any]:
    info = dict(
        line.split(":", 1) for line in Path("/proc/cpuinfo").read_text().split("\n\n")[0].splitlines() if ":" in line
    )
    info = {key.strip(): value.strip() for key, value in info.items()}
    present = set(info.get("flags", "").split())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    out = {
        "cpu": info.get("model name", "unknown"),
        "flags": [f for f in FLAGS if f in present],
        "threads": a.threads,
        "cpus": ",".join(map(str, cpus)),
        "memory_gib": round(memory / 2**30),
        "kernel": platform.release(),
    }
    return {**out, "usd_per_hour": a.price} if a.price else out


def build_limits(folder: Path) -> str:
    program = folder / "limits"
    compiler = os.environ.get("CXX", "c++")
    subprocess.run(
        [compiler, "-std=c++17", "-O2", "-pthread", str(HERE / "limits.cpp"), "-o", str(program)], check=True
    )
    return str(program)


def limits(program: str, threads: int, cpus: List[int]) -> Dict[str, float]:
    """The best slice of each figure; reading is the better of its two ways."""
    said = run_json([program, str(threads), "1024", "5"], cpus)
    out = {name: figure["best"] for name, figure in said.items() if isinstance(figure, dict)}
    out["read"] = max(out["read"], out.pop("read_prefetched"))
    return out


def mean_of(a: Dict[str, float], b: Dict[str, float]) -> Dict[str, float]:
    return {name: (a[name] + b[name]) / 2 for name in a}


def parse_case(text: str) -> Tuple[str, str, List[Work]]:
    """(shape or file, format or nothing, work)"""
    is_file = Path(text.split(":")[0]).exists()
    parts = text.split(":")
    names = parts[1 if is_file else 2 :]
    if not is_file and len(parts) < 2:
        raise SystemExit(f"compare: {text} is neither a file nor SHAPE:FORMAT")
    try:
        return parts[0], "" if is_file else parts[1], [WORKS[w] for w in (names[0].split(",") if names else ["512"])]
    except KeyError as e:
        raise SystemExit(f"compare: {text}: work {e} is none of {', '.join(WORKS)}") from None


def made_model(a: argparse.Namespace, shape: str, format: str) -> Path:
    from make_model import make
    from shapes import SHAPES

    if shape not in SHAPES:
        raise SystemExit(f"compare: {shape} is neither a file nor a shape of make_model.py")
    out = Path(a.models) / (f"{shape}-{format}" + ("" if format == "fp8" else ".gguf"))
    if out.exists():
        return out
    out.parent.mkdir(parents=True, exist_ok=True)
    golden = ROOT / "tests" / "golden" / "tokenizer" / f"{SHAPES[shape].tokenizer}.tokenizer.json.xz"
    wanted = a.openvino_python and golden.exists()
    make(
        shape, format, out, tokenizer=str(golden) if wanted else "", pre=PRE_TOKENIZERS.get(SHAPES[shape].tokenizer, "")
    )
    return out


def measure(a: argparse.Namespace, found: List[Engine], model: Path, work: Work, probe: str) -> Tuple[List[Any], ...]:
    """(rounds, what the engines are and were given, which could not)"""
    flags: Dict[str, List[str]] = {}
    setup: Dict[str, Dict[str, str]] = {}
    missing: Dict[str, str] = {}
    for engine in found:
        try:
            flags[engine.name], said = engine.best_flags(model, work)
            version = said["said"].get("version") or kette_version()
            setup[engine.name] = {
                "version": version,
                "flags": said["said"].get("flags", f"isa {said['said'].get('isa')}"),
            }
        except CannotRun as e:
            missing[engine.name] = str(e)
            print(f"  {engine.name}: {e}", flush=True)
    takers = [e for e in found if e.name in flags]
    rounds = []
    before = limits(probe, a.threads, takers[0].cpus) if takers else {}
    for i in range(a.pairs if takers else 0):
        runs = {}
        for engine in takers if i % 2 == 0 else takers[::-1]:
            run = engine.run(model, work, flags[engine.name])
            after = limits(probe, a.threads, engine.cpus)
            run.pop("said")
            runs[engine.name] = {**run, "limits": mean_of(before, after)}
            before = after
        rounds.append(runs)
        print("  " + "; ".join(f"{n} {r['in']:.1f} / {r['out']:.2f}" for n, r in runs.items()), flush=True)
    return rounds, setup, missing


def kette_version() -> str:
    done = subprocess.run(
        ["git", "describe", "--always", "--dirty"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    return done.stdout.strip() or "of unknown commit"


def costs(cost: Cost, work: Work) -> Dict[str, Any]:
    middle = work.context + work.prompt + work.decode // 2
    return {
        "format": cost.format,
        "prefill_ops": cost.prefill_ops(work.tokens_in),
        "decode_bytes": cost.decode_bytes(middle),
    }


def measure_all(a: argparse.Namespace) -> None:
    cpus = processors(a.threads)
    found, absent = engines(a, cpus)
    path = RESULTS / f"{a.name}.json"
    result = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"name": a.name, "rows": []}
    here = machine(a, cpus)
    if "machine" in result and any(result["machine"].get(k) != here[k] for k in ("cpu", "flags", "threads")):
        raise SystemExit(f"compare: {path} is of another machine or number of threads; take another --name")
    result["machine"] = here
    with tempfile.TemporaryDirectory() as folder:
        probe = a.limits or build_limits(Path(folder))
        for case in a.cases:
            shape, format, works = parse_case(case)
            model = made_model(a, shape, format) if format else Path(shape)
            cost = cost_of(model)
            for work in works:
                print(f"{shape} {format} {work.name}", flush=True)
                rounds, setup, missing = measure(a, found, model, work, probe)
                if rounds and OURS in rounds[0]:
                    row = {
                        "model": shape if format else model.stem,
                        "format": format,
                        "work": work.name,
                        "sessions": work.sessions,
                        "date": datetime.date.today().isoformat(),
                        "cost": costs(cost, work),
                        "engines": setup,
                        "missing": {**absent, **missing},
                        "rounds": rounds,
                    }
                    result["rows"] = merge_rows(result["rows"], [row])
                    RESULTS.mkdir(exist_ok=True)
                    path.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
            if format and not a.keep:
                shutil.rmtree(model) if model.is_dir() else model.unlink()


def write_page(a: argparse.Namespace) -> None:
    results = [json.loads(p.read_text(encoding="utf-8")) for p in sorted(RESULTS.glob("*.json"))]
    docs = Path(a.docs)
    (docs / "performance.md").write_text(page(results), encoding="utf-8")
    if not results:
        return
    from plot import plot

    plot(results, docs / "performance.svg")
    for result in results:
        for row in result["rows"]:
            s = [ratios(row, "llama.cpp", key) for key in ("in", "out")]
            said = " / ".join(f"{x.median:.2f}" if x else "-" for x in s)
            print(f"{result['name']}: {row['model']} {row['format']} {row['work']}: {said} of llama.cpp")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--name", help="of this machine, in results/NAME.json")
    parser.add_argument("--cases", nargs="*", default=[])
    parser.add_argument("--pairs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--kette", default=str(ROOT / "build" / "release" / "kette_bench"))
    parser.add_argument("--llama-python", default="", help="interpreter that has llama-cpp-python")
    parser.add_argument("--openvino-python", default="", help="interpreter that has openvino-genai")
    parser.add_argument("--limits", default="", help="limits.cpp, compiled; otherwise it is compiled here")
    parser.add_argument("--models", default=tempfile.gettempdir(), help="folder for the models that are made")
    parser.add_argument("--keep", action="store_true", help="keep them")
    parser.add_argument("--price", type=float, default=0, help="dollars an hour of this machine")
    parser.add_argument("--docs", default=str(ROOT / "docs"))
    parser.add_argument("--merge", action="store_true", help="only write the page")
    a = parser.parse_args()
    if not a.merge:
        if not a.name or not a.cases or a.pairs < 1:
            parser.error("--name, --cases and at least one of --pairs, or --merge")
        measure_all(a)
    write_page(a)


if __name__ == "__main__":
    sys.exit(main())
