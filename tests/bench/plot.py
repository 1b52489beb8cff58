"""Results -> docs/performance.svg: how many times as fast as each peer Kette is, in and out. Needs matplotlib."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Dict, List

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt  # noqa: E402

from table import PEERS, ratios  # noqa: E402

KINDS = {
    ("llama.cpp", "in"): "#1f5fa8",
    ("llama.cpp", "out"): "#8db8e8",
    ("OpenVINO GenAI", "in"): "#a8571f",
    ("OpenVINO GenAI", "out"): "#e8b98d",
}


def plot(results: List[Dict[str, Any]], path: Path) -> None:
    plt.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "kette", "font.size": 9, "font.family": "sans-serif"})
    bars, labels, places, at = [], [], [], 0.0
    for result in results:
        for row in result["rows"]:
            found = [(peer, key, ratios(row, peer, key)) for peer in PEERS for key in ("in", "out")]
            found = [f for f in found if f[2]]
            if not found:
                continue
            places.append(at + (len(found) - 1) / 2)
            labels.append(f"{row['model']} {row['format']} {row['work']}\n{result['name']}")
            for peer, key, s in found:
                bars.append((at, peer, key, s))
                at += 1
            at += 1
    figure, axes = plt.subplots(figsize=(7.2, 0.9 + 0.2 * max(at, 1)))
    for kind, colour in KINDS.items():
        of_kind = [(y, s) for y, peer, key, s in bars if (peer, key) == kind]
        if of_kind:
            axes.barh(
                [y for y, _ in of_kind],
                [s.median for _, s in of_kind],
                height=0.85,
                color=colour,
                xerr=[[s.median - s.low for _, s in of_kind], [s.high - s.median for _, s in of_kind]],
                error_kw={"linewidth": 0.8},
                label=f"{kind[0]}, {'prefill' if kind[1] == 'in' else 'decode'}",
            )
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_yticks(places, labels)
    axes.invert_yaxis()
    axes.set_xlim(left=0)
    axes.set_xlabel("times as fast as the peer, median and range of pairs")
    axes.grid(alpha=0.25, axis="x")
    if bars:
        axes.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None, "Creator": None})
