"""results.json -> budget.svg: right answers over the thinking budget. Needs matplotlib."""
from __future__ import annotations

import json
from pathlib import Path

import matplotlib

matplotlib.use("svg")
import matplotlib.pyplot as plt  # noqa: E402

NAMES = {"compare": "which is larger", "add": "add", "subtract": "subtract", "words": "word problems",
         "chain": "several signs",
         "compare_sums": "which sum is larger"}


def main() -> None:
    here = Path(__file__).parent
    results = json.loads((here / "results.json").read_text(encoding="utf-8"))
    plt.rcParams.update({"svg.fonttype": "none", "svg.hashsalt": "kette", "font.size": 10, "font.family": "sans-serif"})
    figure, axes = plt.subplots(figsize=(6.4, 3.4))
    budgets = [int(b) for b in results["budgets"]]
    for kind, name in NAMES.items():
        axes.plot(budgets, [100 * r[kind] for r in results["budgets"].values()], linewidth=1, alpha=0.75, label=name)
    axes.plot(budgets, [100 * r["all"] for r in results["budgets"].values()], "k-o", linewidth=2, markersize=4,
              label="all")
    axes.axhline(100 * results["thinking"]["all"], color="grey", linewidth=0.8, linestyle=":")
    axes.set(xlabel="tokens of thought at most", ylabel="right answers, %", ylim=(0, 103), xlim=(0, max(budgets)))
    axes.set_xticks(budgets[::1], [str(b) if b not in (8, 16, 48) else "" for b in budgets])
    axes.grid(alpha=0.25)
    axes.legend(fontsize=8, loc="lower right")
    figure.tight_layout()
    figure.savefig(here / "budget.svg", metadata={"Date": None, "Creator": None})


if __name__ == "__main__":
    main()
