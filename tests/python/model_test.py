"""Models and tokenizers through the Python package."""

import pathlib
import tempfile
import threading
import unittest

import kette
import numpy as np
from support import PROMPT, TINY, golden


class Models(unittest.TestCase):
    def test_info(self):
        with kette.Model(TINY, threads=1) as m:
            self.assertEqual(m.info["vocab_size"], 288)
            self.assertEqual(m.info["parameters"], 123200)
            self.assertIn("architecture", m.info)
            self.assertGreater(m.info["context_length"], 0)

    def test_missing_and_broken_files(self):
        with self.assertRaises(kette.KetteError) as caught:
            kette.Model("/no/such/model.gguf")
        self.assertIn("model.gguf", str(caught.exception))
        self.assertIsInstance(caught.exception, (kette.NotFound, kette.IOFailure))
        with tempfile.TemporaryDirectory() as folder:
            broken = pathlib.Path(folder) / "broken.gguf"
            broken.write_bytes(TINY.read_bytes()[:5000])
            with self.assertRaises((kette.FormatError, kette.CorruptError)):
                kette.Model(broken)

    def test_bad_arguments(self):
        for arguments in ({"threads": -1}, {"threads": 10**12}, {"weight_type": "q99"}, {"max_isa": "abacus"}):
            with self.subTest(**arguments), self.assertRaises(kette.KetteError):
                kette.Model(TINY, **arguments)
        with self.assertRaises(TypeError):
            kette.Model(TINY, threads=1.5)
        m = kette.Model(TINY, threads=1)
        with self.assertRaises(kette.InvalidArgument):
            m.session(kv_type="f8")
        with self.assertRaises(ValueError):  # InvalidArgument is one
            m.session(max_context=-1)

    def test_progress(self):
        seen = []
        kette.Model(TINY, progress=lambda done, total: seen.append((done, total)))
        self.assertTrue(seen)
        self.assertEqual(*seen[-1])
        with self.assertRaises(kette.HostError):
            kette.Model(TINY, progress=lambda done, total: False)

        def fail(done, total):
            raise KeyError("mine")

        with self.assertRaises(KeyError):
            kette.Model(TINY, progress=fail)

    def test_pack_dir(self):
        def logits(**options):
            with kette.Model(TINY, threads=1, weight_type="q8_0", **options) as m, m.session() as s:
                return m.info.get("pack"), s.eval(PROMPT["ids"])

        _, expected = logits()
        with tempfile.TemporaryDirectory() as folder:
            for state in ("written", "found"):
                pack, found = logits(pack_dir=pathlib.Path(folder))
                self.assertEqual(pack["state"], state)
                self.assertEqual([pack["file"]], [str(p) for p in pathlib.Path(folder).iterdir()])
                np.testing.assert_array_equal(found, expected)
        pack, found = logits(pack_dir="/no/such/folder")
        self.assertEqual(pack["state"], "failed")
        self.assertIn("kette-", pack["problem"])
        np.testing.assert_array_equal(found, expected)

    def test_memory_budget(self):
        with kette.Model(TINY) as m:
            needed = m.info["memory"]["bytes"]
        kette.Model(TINY, memory_budget=needed).close()
        with self.assertRaises(kette.BudgetExceeded) as caught:
            kette.Model(TINY, memory_budget=needed, plan_context=1 << 20)
        self.assertIn(str(needed), str(caught.exception))
        self.assertIn(str(1 << 20), str(caught.exception))

    def test_close(self):
        m = kette.Model(TINY, threads=1)
        s = m.session()
        m.close()
        m.close()
        with self.assertRaises(kette.Misuse):
            m.tokenize("a")
        self.assertEqual(s.eval([1]).shape, (1, 288))
        s.close()
        s.close()
        with self.assertRaises(kette.Misuse):
            s.eval([1])

    def test_tokens(self):
        m = kette.Model(TINY, threads=1)
        for text in ("", "Hello world", "Grüße, 世界 👋", bytes(range(256)) * 9, "a\0b", "\ud800"):
            ids = m.tokenize(text)
            self.assertIsInstance(ids, list)
            data = text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass")
            self.assertEqual(m.detokenize_bytes(ids), data)
        self.assertEqual(m.detokenize(m.tokenize("Grüße")), "Grüße")
        self.assertIn("\ufffd", m.detokenize(m.tokenize(b"\xff")))
        self.assertEqual(m.detokenize(np.array(m.tokenize("array"))), "array")
        self.assertEqual(m.detokenize([]), "")
        for wrong in ("abc", [1.5], [[1]], None):
            with self.subTest(wrong=wrong), self.assertRaises(TypeError):
                m.detokenize(wrong)
        with self.assertRaises(kette.InvalidArgument):
            m.detokenize([2**40])
        with self.assertRaises(TypeError):
            m.tokenize(5)

    def test_threads_share_a_model(self):
        m = kette.Model(TINY, threads=1, exact=True)
        want = m.session().eval(PROMPT["ids"])
        got = []
        threads = [threading.Thread(target=lambda: got.append(m.session().eval(PROMPT["ids"]))) for _ in range(4)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        self.assertEqual(len(got), 4)
        for logits in got:
            np.testing.assert_array_equal(logits, want)

    def test_tokenizer_alone(self):
        m = kette.Model(TINY, threads=1)
        for path in (TINY, golden("models/llama/hf"), golden("models/llama/hf/tokenizer.json")):
            with self.subTest(path=path.name), kette.Tokenizer(path) as t:
                self.assertEqual(t.tokenize("Hello world"), m.tokenize("Hello world"))
                self.assertEqual(t.detokenize(t.tokenize("Grüße")), "Grüße")


if __name__ == "__main__":
    unittest.main()
