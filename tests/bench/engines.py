"""How each engine is run on a piece of work: a process of its own, on the same processors."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Dict, List, Tuple

HERE = Path(__file__).resolve().parent
TIME_LIMIT = 3600


class CannotRun(Exception):
    """What keeps an engine from a piece of work, in one line."""


@dataclass(frozen=True)
class Work:
    name: str
    context: int = 0  # evaluated first, and timed as what goes in where there is no prompt
    prompt: int = 512
    decode: int = 64
    sessions: int = 1

    @property
    def tokens_in(self) -> int:
        return self.prompt or self.context


WORKS = {
    w.name: w
    for w in (
        Work("512"),
        Work("8k", context=8192, prompt=0),
        Work("16k", context=16384, prompt=0),
        Work("x8", sessions=8, prompt=128),
        Work("x16", sessions=16, prompt=128),
    )
}


def processors(n: int) -> List[int]:
    """n of those that this process may use, on cores of their own where there are so many."""
    allowed, cores = sorted(os.sched_getaffinity(0)), {}
    for cpu in allowed:
        siblings = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list")
        cores.setdefault(siblings.read_text() if siblings.exists() else str(cpu), cpu)
    chosen = sorted(cores.values())
    chosen += [cpu for cpu in allowed if cpu not in chosen]
    if len(chosen) < n:
        raise SystemExit(f"compare: {n} threads wanted, but only {len(chosen)} processors may be used")
    return sorted(chosen[:n])


def run_json(command: List[str], cpus: List[int], time_limit: int = TIME_LIMIT) -> Dict[str, Any]:
    """The last line that the command prints, which is JSON."""
    pinned = ["taskset", "-c", ",".join(map(str, cpus)), *command]
    try:
        done = subprocess.run(pinned, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=time_limit)
    except OSError as e:
        raise CannotRun(str(e)) from None
    except subprocess.TimeoutExpired:
        raise CannotRun(f"not through after {time_limit} s") from None
    lines = done.stdout.strip().splitlines()
    if done.returncode == 0 and lines:
        return json.loads(lines[-1])
    said = [line.strip() for line in done.stderr.strip().splitlines() if line.strip()]
    raise CannotRun((said[-1] if said else f"exit status {done.returncode}")[:200])


@dataclass
class Engine:
    name: str
    command: List[str]
    threads: int
    cpus: List[int]
    candidates: List[List[str]] = field(default_factory=lambda: [[]])  # flags to try, the fastest are kept
    sessions: bool = True

    def run(self, model: Path, work: Work, extra: List[str]) -> Dict[str, Any]:
        if work.sessions > 1 and not self.sessions:
            raise CannotRun("does not decode several sessions here")
        args = [
            str(model),
            "--threads",
            str(self.threads),
            "--reps",
            "1",
            "--prompt",
            str(work.prompt),
            "--decode",
            str(work.decode),
        ]
        args += ["--context", str(work.context)] if work.context else []
        args += ["--sessions", str(work.sessions)] if work.sessions > 1 else []
        return figures(run_json([*self.command, *args, *extra], self.cpus), work)

    def best_flags(self, model: Path, work: Work) -> Tuple[List[str], Dict[str, Any]]:
        """The flags that make it fastest (by the product of both rates), and what it then said. For a long context the first
        flags, tried on a short one."""
        tried = []
        short = replace(work, context=min(work.context, 512))
        for extra in self.candidates[:1] if work.context else self.candidates:
            said = self.run(model, short, extra)
            tried.append((max(said["in"], 1e-9) * max(said["out"], 1e-9), extra, said))
        _, extra, said = max(tried, key=lambda t: t[0])
        return extra, said


def figures(said: Dict[str, Any], work: Work) -> Dict[str, Any]:
    """Rates and CPU-seconds per 1,000 tokens, of what goes in and of what comes out, the same for all engines."""
    prefix, rate = ("pp", "pp") if work.prompt else ("context", "context_tps")
    return {
        "in": said[rate] if work.sessions == 1 else 0.0,
        "out": said["tg"],
        "in_cpu": said.get(f"{prefix}_cpu_s_per_1k", 0.0),
        "out_cpu": said.get("tg_cpu_s_per_1k", 0.0),
        "said": said,
    }


def engines(a: Any, cpus: List[int]) -> Tuple[List[Engine], Dict[str, str]]:
    """Those that were named, Kette first, and why the others are left out."""
    helped = subprocess.run([a.kette, "--help"], stdout=subprocess.PIPE, text=True).stdout
    found = [Engine("Kette", [a.kette, "--json"], a.threads, cpus, sessions="--sessions" in helped)]
    missing = {}
    if a.llama_python:
        flags = [
            ["--flash", "1", "--ubatch", "512"],
            ["--flash", "0", "--ubatch", "512"],
            ["--flash", "1", "--ubatch", "256"],
        ]
        found.append(Engine("llama.cpp", [a.llama_python, str(HERE / "run_llama_cpp.py")], a.threads, cpus, flags))
    else:
        missing["llama.cpp"] = "not given (--llama-python)"
    if a.openvino_python:
        found.append(
            Engine(
                "OpenVINO GenAI", [a.openvino_python, str(HERE / "run_openvino.py")], a.threads, cpus, sessions=False
            )
        )
    else:
        missing["OpenVINO GenAI"] = "not given (--openvino-python)"
    return found, missing
