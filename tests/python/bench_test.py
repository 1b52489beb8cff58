"""The arithmetic of tests/bench, and the models that it makes, opened by the built library.

Environment: KETTE_LIBRARY.
"""

import json
import pathlib
import sys
import tempfile
import unittest

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "bench"))

import kette  # noqa: E402
from compare import mean_of, parse_case  # noqa: E402
from engines import WORKS, figures  # noqa: E402
from make_model import make, vocabulary  # noqa: E402
from model_file import Tensor, read_gguf, read_safetensors  # noqa: E402
from shapes import SHAPES, fp8_tensors, gguf_settings, gguf_tensors, hf_config  # noqa: E402
from table import dollars, merge_rows, own_rate, page, rates, ratios, share_in, share_out  # noqa: E402
from work import _of_config, _of_settings, cost, cost_of, peak_for  # noqa: E402

LIMITS = {"read": 20.0, "f32_avx2": 100.0, "int8_avx2": 200.0, "int8_avx2_4bit": 300.0}


def run(into, out, limits=LIMITS):
    return {"in": into, "out": out, "in_cpu": 2.0, "out_cpu": 20.0, "limits": limits}


def row(rounds, work="512", sessions=1, model="m"):
    return {
        "model": model,
        "format": "q4_k",
        "work": work,
        "sessions": sessions,
        "date": "2026-01-02",
        "cost": {"format": "q4_k", "prefill_ops": 1e9, "decode_bytes": 1e9},
        "engines": {"Kette": {"version": "1", "flags": "isa avx2"}},
        "missing": {"OpenVINO GenAI": "not given"},
        "rounds": rounds,
    }


THREE = row(
    [
        {"Kette": run(100, 10), "llama.cpp": run(50, 8)},
        {"Kette": run(90, 12), "llama.cpp": run(30, 8)},
        {"Kette": run(120, 9), "llama.cpp": run(30, 10)},
    ]
)
MACHINE = {
    "cpu": "a CPU",
    "flags": ["avx2"],
    "threads": 2,
    "cpus": "0,1",
    "memory_gib": 8,
    "kernel": "6",
    "usd_per_hour": 0.36,
}


class Table(unittest.TestCase):
    def test_ratios_are_of_pairs(self):
        self.assertEqual(ratios(THREE, "llama.cpp", "in"), (3.0, 2.0, 4.0, 3))
        self.assertEqual(ratios(THREE, "llama.cpp", "out"), (1.25, 0.9, 1.5, 3))
        self.assertIsNone(ratios(THREE, "OpenVINO GenAI", "in"))
        self.assertEqual(rates(THREE, "Kette", "in").median, 100)  # a ratio of medians would be 100 / 30

    def test_shares_of_the_limits_around_each_run(self):
        self.assertAlmostEqual(share_in(THREE).median, 100 * 1e9 / 300e9)
        self.assertAlmostEqual(share_out(THREE).median, 10 * 1e9 / 20e9)
        slow = dict(LIMITS, read=10.0)
        self.assertAlmostEqual(share_out(row([{"Kette": run(1, 5, slow)}])).median, 0.5)
        self.assertIsNone(share_out(row([{"Kette": run(0, 5)}], "x8", 8)))
        self.assertIsNone(share_in(row([{"Kette": run(0, 5)}])))
        self.assertEqual(mean_of({"read": 1.0}, {"read": 3.0}), {"read": 2.0})

    def test_peaks(self):
        self.assertEqual(peak_for("q4_k", LIMITS), ("int8_avx2_4bit", 300.0))
        self.assertEqual(peak_for("q8_0", LIMITS), ("int8_avx2", 200.0))
        self.assertEqual(peak_for("bf16", LIMITS), ("f32_avx2", 100.0))
        more = dict(LIMITS, int8_avx512_vnni=900.0, bf16_avx512=90.0)
        self.assertEqual(peak_for("q4_k", more), ("int8_avx512_vnni", 900.0))
        self.assertEqual(peak_for("fp8", more), ("f32_avx2", 100.0))
        self.assertEqual(peak_for("q4_k", dict(more, amx_bf16=5e3, amx_int8=1e4)), ("amx_bf16", 5e3))

    def test_merge_replaces_rows_of_the_same_work(self):
        long, again = row([], "8k"), row([{"Kette": run(1, 1)}])
        self.assertEqual(merge_rows([THREE, long], [again]), [again, long])

    def test_own_rate_and_price(self):
        many = row([{"Kette": run(0, 40)}], "x8", 8)
        self.assertEqual(own_rate(many, [THREE, many]), 4.0)
        self.assertIsNone(own_rate(THREE, [THREE, many]))
        self.assertAlmostEqual(dollars(100, 0.36), 1.0)

    def test_page(self):
        text = page(
            [
                {"name": "one", "machine": MACHINE, "rows": [THREE, row([{"Kette": run(0, 40)}], "x8", 8)]},
                {"name": "two", "machine": dict(MACHINE, usd_per_hour=None), "rows": [THREE]},
            ]
        )
        self.assertIn("## one: a CPU, 2 threads", text)
        self.assertIn(
            "| m q4_k | 512 | 100 / 10.0 | 30.0 / 8.00 | **3.00×** (2.00–4.00) / **1.25×** (0.90–1.50) | – | – "
            "| 0.33 / 0.50 | – | 2.00 / 20.0 | 2.00 / 20.0 | 1 / 10 | 3 |",
            text,
        )
        self.assertIn("| m q4_k | x8 | – / 40.0 | – | – | – | – | – | 4.00× |", text)
        self.assertIn("- OpenVINO GenAI: not given (m q4_k 512; m q4_k x8)", text)
        for line in text.splitlines():  # every row is as wide as its head
            if line.startswith("| m"):
                self.assertIn(line.count("|"), (13, 14))
        self.assertIn("No machine's results", page([]))

    def test_cases_and_figures(self):
        self.assertEqual(parse_case("qwen2.5-7b:q4_k:512,8k"), ("qwen2.5-7b", "q4_k", [WORKS["512"], WORKS["8k"]]))
        self.assertEqual(parse_case(__file__), (__file__, "", [WORKS["512"]]))
        for wrong in ("nothing", "a:q4_k:513"):
            with self.assertRaises(SystemExit):
                parse_case(wrong)
        said = {"pp": 5.0, "tg": 2.0, "context_tps": 7.0, "tg_cpu_s_per_1k": 3.0, "context_cpu_s_per_1k": 4.0}
        long = figures(said, WORKS["8k"])
        self.assertEqual((long["in"], long["out"], long["in_cpu"], long["out_cpu"]), (7.0, 2.0, 4.0, 3.0))
        self.assertEqual(figures(said, WORKS["x8"])["in"], 0.0)  # one session's prompt says nothing of many


class Cost(unittest.TestCase):
    def of(self, shape, recipe):
        return cost(gguf_tensors(SHAPES[shape], recipe), _of_settings(gguf_settings(SHAPES[shape], shape)))

    def test_published_sizes(self):  # billions of active weights without the head, and attention by hand
        dense = self.of("qwen2.5-7b", "q8_0")
        self.assertAlmostEqual(dense.ops / 2e9, 6.53, places=2)
        self.assertAlmostEqual(dense.head_ops / 2e9, 152064 * 3584 / 1e9)
        self.assertAlmostEqual(dense.bytes / 1e9, 7.51, places=2)
        self.assertEqual(dense.attention_ops, 28 * 4 * 28 * 128)
        self.assertEqual(dense.cache_bytes, 28 * 2 * 4 * 128 * 2)
        experts = self.of("deepseek-v2-lite", "q4_k")
        self.assertAlmostEqual(experts.ops / 2e9, 2.24, places=2)
        self.assertEqual(experts.attention_ops, 27 * 2 * 16 * (192 + 128))
        self.assertEqual(experts.cache_bytes, 27 * 576 * 2)
        self.assertAlmostEqual(self.of("qwen3-30b-a3b", "q4_k").ops / 2e9, 2.73, places=2)

    def test_prompt_needs_the_head_once(self):
        c = self.of("tiny-llama", "q8_0")
        self.assertAlmostEqual(c.prefill_ops(10), c.ops + c.head_ops / 10 + c.attention_ops * 5.5)
        self.assertAlmostEqual(c.decode_bytes(10), c.bytes + 10 * c.cache_bytes)

    def test_fp8_as_gguf_has_it(self):
        shape = SHAPES["tiny-deepseek"]
        fp8, gguf = cost(list(fp8_tensors(shape)), _of_config(hf_config(shape))), self.of("tiny-deepseek", "bf16")
        self.assertEqual((fp8.ops, fp8.head_ops, fp8.cache_bytes), (gguf.ops, gguf.head_ops, gguf.cache_bytes))
        self.assertEqual(fp8.format, "fp8")

    def test_prediction_layers_do_not_count(self):
        tensors = [
            Tensor("output.weight", (4, 2), "f32"),
            Tensor("blk.0.attn_q.weight", (2, 2), "f32"),
            Tensor("blk.1.attn_q.weight", (2, 2), "f32"),
        ]
        model = {"layers": 1, "used": 0.5, "attention_ops": 0.0, "cache_numbers": 0.0}
        self.assertEqual(cost(tensors, model).ops, 8)


class Models(unittest.TestCase):
    def test_open_and_stay_finite(self):
        with tempfile.TemporaryDirectory() as folder:
            for shape in (s for s in SHAPES if s.startswith("tiny-")):
                for recipe in ("f16", "bf16", "q8_0", "q4_0", "q4_k", "q4_k_m", "fp8"):
                    if recipe == "fp8" and not SHAPES[shape].sigmoid_router:
                        continue
                    with self.subTest(shape=shape, recipe=recipe):
                        path = pathlib.Path(folder) / f"{shape}-{recipe}"
                        size = make(shape, recipe, path)
                        self.assertAlmostEqual(self.deviation(path), 1.0, delta=0.25)
                        tensors = (
                            read_safetensors(path.glob("*.safetensors")) if recipe == "fp8" else read_gguf(path)[1]
                        )
                        self.assertEqual(sum(t.bytes for t in tensors), size)
                        self.assertGreater(cost_of(path).ops, 0)

    def deviation(self, path):
        with kette.Model(path, threads=1) as model, model.session() as session:
            logits = session.eval(range(1, 33), all_logits=True)
        self.assertTrue(np.isfinite(logits).all())
        return float(np.sqrt((logits**2).mean()))

    def test_vocabulary(self):
        source = {
            "model": {"vocab": {"a": 0, "b": 1, "ab": 2, "far": 9}, "merges": [["a", "b"]]},
            "added_tokens": [{"id": 3, "content": "<end>", "special": True}],
        }
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "tokenizer.json"
            path.write_text(json.dumps(source))
            got = vocabulary(path, 5, "qwen2")
        self.assertEqual(got["tokenizer.ggml.tokens"], ["a", "b", "ab", "<end>", "[unused4]"])
        self.assertEqual(got["tokenizer.ggml.token_type"], [1, 1, 1, 3, 5])
        self.assertEqual((got["tokenizer.ggml.merges"], got["tokenizer.ggml.eos_token_id"]), (["a b"], 3))


if __name__ == "__main__":
    unittest.main()
