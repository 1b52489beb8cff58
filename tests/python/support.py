"""What the tests of the Python package share: where goldens and models are.

Environment: KETTE_LIBRARY, KETTE_GOLDEN_DIR, KETTE_SHARED_DIR (optional, its goldens/ too), KETTE_DEMO_MODEL (optional).
"""

import json
import os
import pathlib
import unittest

HERE = pathlib.Path(__file__).resolve()
ROOTS = [pathlib.Path(os.environ.get("KETTE_GOLDEN_DIR") or HERE.parents[1] / "golden")]
if os.environ.get("KETTE_SHARED_DIR"):
    ROOTS.append(pathlib.Path(os.environ["KETTE_SHARED_DIR"]) / "goldens")
DEMO = os.environ.get("KETTE_DEMO_MODEL") or ""
REASONER = HERE.parents[2] / "examples" / "tiny" / "model"
needs_demo = unittest.skipUnless(os.path.isfile(DEMO), "no demo model")


def golden(name):
    for root in ROOTS:
        if (root / name).exists():
            return root / name
    raise FileNotFoundError(f"no golden {name} in {ROOTS}")


TINY = golden("models/llama/gguf/llama-F32.gguf")
PROMPT = next(p for p in json.loads(golden("models/llama/golden.json").read_text())["prompts"] if p["length"] == 17)
