"""What was measured, as figures and as Markdown. Everything here is arithmetic on results; nothing is measured.

A result is {"name", "machine": {...}, "rows": [...]}. A row is a model and a piece of work: "rounds" are sets of runs,
one of each engine by its name, each with "in" and "out" (tokens a second), their CPU-seconds per 1,000 tokens, and the
machine's "limits" around that very run; "cost" is what a token costs by the file.
"""

from __future__ import annotations

import statistics
from typing import Any, Dict, List, NamedTuple, Optional

from work import peak_for

OURS = "Kette"
PEERS = ("llama.cpp", "OpenVINO GenAI")
PICTURE = "![How many times as fast as its peers Kette is](performance.svg)\n"


class Spread(NamedTuple):
    median: float
    low: float
    high: float
    count: int


def spread(values: List[float]) -> Optional[Spread]:
    return Spread(statistics.median(values), min(values), max(values), len(values)) if values else None


def rates(row: Dict[str, Any], engine: str, key: str) -> Optional[Spread]:
    return spread([r[engine][key] for r in row["rounds"] if engine in r and r[engine][key] > 0])


def ratios(row: Dict[str, Any], peer: str, key: str) -> Optional[Spread]:
    """Kette over a peer, pair by pair: what slowed both of a pair does not count."""
    return spread(
        [
            r[OURS][key] / r[peer][key]
            for r in row["rounds"]
            if peer in r and OURS in r and r[peer][key] > 0 and r[OURS][key] > 0
        ]
    )


def share_in(row: Dict[str, Any]) -> Optional[Spread]:
    """Prefill's operations as a share of the multiply-adds that the machine could do around that run."""
    cost = row["cost"]
    return spread(
        [
            r[OURS]["in"] * cost["prefill_ops"] / (peak_for(cost["format"], r[OURS]["limits"])[1] * 1e9)
            for r in row["rounds"]
            if OURS in r and r[OURS]["in"] > 0
        ]
    )


def share_out(row: Dict[str, Any]) -> Optional[Spread]:
    """Bytes that decode reads as a share of the memory's bandwidth. Several sessions share a reading: no figure."""
    if row["sessions"] > 1:
        return None
    return spread(
        [
            r[OURS]["out"] * row["cost"]["decode_bytes"] / (r[OURS]["limits"]["read"] * 1e9)
            for r in row["rounds"]
            if OURS in r and r[OURS]["out"] > 0
        ]
    )


def dollars(rate: float, usd_per_hour: float) -> float:
    """Of a million tokens at this rate, on a machine that does nothing else."""
    return usd_per_hour / 3600 * 1e6 / rate


def key_of(row: Dict[str, Any]) -> "tuple[str, str, str]":
    return row["model"], row["format"], row["work"]


def merge_rows(old: List[Dict[str, Any]], new: List[Dict[str, Any]]) -> List[Dict[str, Any]]:
    """A row measured again takes the place of what there was of that model and work."""
    rows = {key_of(r): r for r in old}
    rows.update({key_of(r): r for r in new})
    return list(rows.values())


def own_rate(row: Dict[str, Any], rows: List[Dict[str, Any]]) -> Optional[float]:
    """Kette's decoding rate over that of one session after 512 tokens, of the same model."""
    base = next((r for r in rows if key_of(r) == (row["model"], row["format"], "512")), None)
    mine, plain = rates(row, OURS, "out"), rates(base, OURS, "out") if base else None
    return mine.median / plain.median if row["work"] != "512" and mine and plain else None


def number(x: Optional[float]) -> str:
    if x is None:
        return "–"
    return f"{x:.0f}" if x >= 100 else f"{x:.1f}" if x >= 10 else f"{x:.2f}"


def pair(a: Optional[Spread], b: Optional[Spread], unit: str = "") -> str:
    if a is None and b is None:
        return "–"
    return " / ".join((number(s.median) + unit) if s else "–" for s in (a, b))


def _ratio_cell(row: Dict[str, Any], peer: str) -> str:
    both = [ratios(row, peer, key) for key in ("in", "out")]
    if not any(both):
        return "–"
    return " / ".join(f"**{number(s.median)}×** ({number(s.low)}–{number(s.high)})" if s else "–" for s in both)


def _cells(row: Dict[str, Any], rows: List[Dict[str, Any]], usd: Optional[float]) -> List[str]:
    cells = [
        f"{row['model']} {row['format']}".strip(),
        row["work"],
        pair(rates(row, OURS, "in"), rates(row, OURS, "out")),
    ]
    for peer in PEERS:
        cells += [pair(rates(row, peer, "in"), rates(row, peer, "out")), _ratio_cell(row, peer)]
    own = own_rate(row, rows)
    cells += [pair(share_in(row), share_out(row)), f"{own:.2f}×" if own else "–"]
    cells += [pair(rates(row, name, "in_cpu"), rates(row, name, "out_cpu")) for name in (OURS, PEERS[0])]
    if usd:
        prices = [rates(row, OURS, key) for key in ("in", "out")]
        cells.append(" / ".join(f"{dollars(s.median, usd):.2g}" if s else "–" for s in prices))
    return cells + [str(len(row["rounds"]))]


def _limits_line(rows: List[Dict[str, Any]]) -> str:
    runs = [run["limits"] for row in rows for r in row["rounds"] for run in r.values()]
    names = sorted({name for run in runs for name in run})
    parts = []
    for name in names:
        s = spread([run[name] for run in runs if name in run])
        parts.append(
            f"{name} {number(s.median)} {'GB/s' if name == 'read' else 'Gop/s'} ({number(s.low)}–{number(s.high)})"
        )
    return "; ".join(parts)


def machine_section(result: Dict[str, Any]) -> str:
    m, rows = result["machine"], result["rows"]
    usd = m.get("usd_per_hour")
    head = [
        "model",
        "work",
        "Kette",
        "llama.cpp",
        "Kette / llama.cpp",
        "OpenVINO",
        "Kette / OpenVINO",
        "share of P / B",
        "of its own 512",
        "CPU-s per 1,000: Kette",
        "llama.cpp",
    ]
    head += (["USD per million"] if usd else []) + ["pairs"]
    lines = [
        f"## {result['name']}: {m['cpu']}, {m['threads']} threads",
        "",
        f"{m['memory_gib']} GiB, Linux {m['kernel']}, processors {m['cpus']}; {', '.join(m['flags'])}.",
        "",
        "| " + " | ".join(head) + " |",
        "|" + "---|" * len(head),
    ]
    lines += ["| " + " | ".join(_cells(row, rows, usd)) + " |" for row in rows]
    lines += ["", f"Limits around the runs, median (lowest to highest): {_limits_line(rows)}."]
    if usd:
        lines += ["", f"USD: at {usd:g} an hour for the machine, which does nothing else."]
    setups = sorted(
        {f"{e}: {s['version']}, {s['flags']}".rstrip(", ") for row in rows for e, s in row["engines"].items()}
    )
    lines += ["", "Engines:", ""] + [f"- {s}" for s in setups]
    absent: Dict[str, List[str]] = {}
    for row in rows:
        for engine, why in row["missing"].items():
            absent.setdefault(f"{engine}: {why}", []).append(f"{row['model']} {row['format']} {row['work']}")
    if absent:
        lines += ["", "Not measured:", ""] + [f"- {why} ({'; '.join(of)})" for why, of in sorted(absent.items())]
    dates = sorted({row["date"] for row in rows})
    return "\n".join(lines + ["", f"Measured {' to '.join(dict.fromkeys((dates[0], dates[-1])))}." if dates else ""])


INTRODUCTION = """\
# Performance

Kette beside its peers on the same machine, the same work, in the same minutes. `tests/bench/compare.py` measures and writes
this page; the runs behind each figure are in `tests/bench/results`.

- **Work** `512`: a prompt of 512 tokens, then 64 decoded one by one. `8k`, `16k`: so many tokens, then 64. `x8`, `x16`: so
  many sessions decode 64 tokens each after 128, and the rate is that of all together.
- **Figures** with a slash are of what goes in and of what comes out, tokens a second where nothing else is said. Engines take
  turns (**pairs**: so many), each a process of its own on the same processors; ratios are those of neighbouring runs, their
  median in bold and their range behind. Of three settings llama.cpp has the one that is quickest on a short run; long
  contexts have the first, flash attention with ubatch 512.
- **Share of P and B**: operations of the model's matrices and of attention, over the multiply-adds that the processor's
  fastest suitable unit does (`tests/bench/limits.cpp`); bytes of the weights that a token needs and of the context's keys and
  values, over the memory's read bandwidth. Both limits are measured before and after every run, and their best slices count.
- **Of its own 512**: the rate of what comes out over that of one session after 512 tokens.
- **CPU-seconds** of all processors together, per 1,000 tokens: what an answer costs, whatever the machine's price.
- Models have published shapes and random weights (`tests/bench/make_model.py`), but for those named by a file.
"""


def page(results: List[Dict[str, Any]]) -> str:
    if not results:
        return INTRODUCTION + "\nNo machine's results are here yet.\n"
    return "\n".join([INTRODUCTION, PICTURE, *(machine_section(r) + "\n" for r in results)])
