"""The Python package against the built library.

Environment: KETTE_LIBRARY, KETTE_GOLDEN_DIR, KETTE_SHARED_DIR (optional, its goldens/ too), KETTE_DEMO_MODEL (optional).
"""
import array
import ctypes
import gc
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest

import kette
import numpy as np
from kette import _library

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


class Binding(unittest.TestCase):
    def test_versions_agree(self):
        self.assertEqual(".".join(map(str, kette.library_version())), kette.__version__)

    def test_structs_are_those_of_the_header(self):
        # The C compiler says the same of the header: capi/layout_test.
        layout = (HERE.parents[1] / "capi" / "layout.txt").read_text().splitlines()
        for struct in _library.STRUCTS:
            ours = [f"{struct.c_name} {ctypes.sizeof(struct)}"]
            for name, *_ in struct._fields_:
                field = getattr(struct, name)
                ours.append(f"{struct.c_name}.{name} {field.offset} {field.size}")
            told = [line for line in layout if line.split(" ")[0].split(".")[0] == struct.c_name]
            self.assertEqual(ours, told)

    def test_import_is_silent_and_needs_a_library(self):
        def run(library):
            return subprocess.run(
                [sys.executable, "-c", "import kette, sys; assert 'numpy' not in sys.modules"],
                env={**os.environ, "KETTE_LIBRARY": library},
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )

        good = run(_library.lib._name)
        self.assertEqual((good.returncode, good.stdout, good.stderr), (0, "", ""))
        bad = run("/no/such/libkette.so")
        self.assertEqual(bad.returncode, 1)
        self.assertIn("KETTE_LIBRARY", bad.stderr)

    def test_every_status_has_its_exception(self):
        for code in range(-21, 0):
            error = _library.error_of(code, "m", 3)
            self.assertIsNot(type(error), kette.KetteError)
            self.assertEqual((error.code, error.os_code, str(error)), (code, 3, "m"))
            self.assertTrue(_library.lib.kette_status_name(code).startswith(b"KETTE_E_"))
        self.assertEqual(_library.error_of(-99, "new").code, -99)


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


class Sessions(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.model = kette.Model(TINY, threads=1, exact=True)

    def greedy(self, session, n=16, **more):
        return [e.token for e in session.generate(PROMPT["ids"], max_tokens=n, temperature=0, ignore_eos=True, **more)]

    def test_logits_of_every_position(self):
        want = np.load(golden("models/llama") / PROMPT["logits"])
        s = self.model.session()
        got = s.eval(PROMPT["ids"], all_logits=True)
        self.assertEqual((got.shape, got.dtype), (want.shape, np.float32))
        self.assertLess(np.abs(got - want).max(), 2e-3)
        self.assertEqual(s.length, 17)
        for ids in (PROMPT["ids"], np.array(PROMPT["ids"]), array.array("i", PROMPT["ids"]), iter(PROMPT["ids"])):
            s.rewind(0)
            last = s.eval(ids)
            self.assertEqual(last.shape, (1, 288))
            self.assertLess(np.abs(last[0] - want[-1]).max(), 2e-3)

    def test_eval_refuses(self):
        s = self.model.session(max_context=4, kv_type="f32")
        self.assertEqual(s.capacity, 4)
        with self.assertRaises(kette.ContextFull):
            s.eval([1, 2, 3, 4, 5])
        for ids in ([], [288], [-1]):
            with self.subTest(ids=ids), self.assertRaises(kette.InvalidArgument):
                s.eval(ids)
        self.assertEqual(s.length, 0)
        with self.assertRaises(kette.InvalidArgument):
            s.rewind(1)

    def test_greedy_is_the_reference(self):
        s = self.model.session()
        self.assertEqual(self.greedy(s, 32), PROMPT["greedy"])
        self.assertEqual(self.greedy(s, 32), PROMPT["greedy"])
        self.assertEqual(s.metrics["cached_tokens"], 16)

    def test_events(self):
        s = self.model.session()
        answer = s.generate(PROMPT["ids"], max_tokens=3, temperature=0)
        events = list(answer)
        self.assertEqual(len(events), 3)
        self.assertEqual([e.finish_reason for e in events], [None, None, "length"])
        self.assertEqual(answer.finish_reason, "length")
        self.assertEqual(list(answer), [])
        self.assertEqual("".join(e.text for e in events), answer.text())

    def test_stop(self):
        s = self.model.session()
        stopped = s.generate(PROMPT["ids"], max_tokens=16, temperature=0, stop_tokens=[PROMPT["greedy"][2]])
        events = list(stopped)
        self.assertEqual([e.token for e in events if e.token >= 0], PROMPT["greedy"][:2])
        self.assertEqual(events[-1].finish_reason, "stop")
        whole = s.generate(PROMPT["ids"], max_tokens=32, temperature=0, ignore_eos=True).text()
        needle = next((whole[i : i + 2] for i in range(2, len(whole) - 2) if whole[i : i + 2].isascii()), None)
        if needle:
            cut = s.generate(PROMPT["ids"], max_tokens=32, temperature=0, ignore_eos=True, stop=[needle, "never"])
            self.assertEqual(cut.text(), whole[: whole.index(needle)])
            self.assertEqual(cut.finish_reason, "stop_string")

    def test_seed(self):
        s = self.model.session()

        def draw(seed):
            return [e.token for e in s.generate(PROMPT["ids"], max_tokens=20, temperature=2.0, seed=seed)]

        self.assertEqual(draw(1), draw(1))
        self.assertNotEqual(draw(1), draw(2))
        self.assertEqual([e.token for e in s.generate(PROMPT["ids"], 4, temperature=2.0, top_k=1)], PROMPT["greedy"][:4])
        biased = s.generate(PROMPT["ids"], 3, temperature=0, logit_bias={7: 1000.0})
        self.assertEqual([e.token for e in biased], [7, 7, 7])

    def test_speculation(self):
        s = self.model.session()
        for speculation in ("off", "prompt_lookup", None):
            with self.subTest(speculation=speculation):
                answer = s.generate(PROMPT["ids"], 32, temperature=0, ignore_eos=True, speculation=speculation, max_draft=3)
                self.assertEqual([e.token for e in answer], PROMPT["greedy"])
                self.assertLessEqual(s.metrics["accepted_tokens"], s.metrics["drafted_tokens"])
        with self.assertRaises(kette.Unsupported):
            s.generate(PROMPT["ids"], speculation="mtp")
        with self.assertRaises(kette.InvalidArgument):
            s.generate(PROMPT["ids"], speculation="lookup")

    def test_closing_during_a_call(self):
        def work(function, *args):
            started.wait()
            try:
                function(*args)
            except kette.Misuse:
                pass  # closed before it began

        for delay in (0, 0.001, 0.005):
            started = threading.Event()
            s = self.model.session()
            tokenizer = kette.Tokenizer(TINY)
            threads = [
                threading.Thread(target=work, args=(tokenizer.tokenize, "chain of thought " * 40000)),
                threading.Thread(target=work, args=(s.eval, PROMPT["ids"] * 10)),
            ]
            for thread in threads:
                thread.start()
            started.set()
            time.sleep(delay)
            tokenizer.close()  # freed inside their calls, they would crash
            s.close()
            for thread in threads:
                thread.join()

    def test_probe(self):
        told = kette.probe(TINY)
        self.assertEqual(told["architecture"], self.model.info["architecture"])
        self.assertGreater(told["parameters"], 0)
        self.assertIs(told["machine"]["architecture_supported"], True)
        with self.assertRaises(kette.NotFound):
            kette.probe("absent.gguf")

    def test_settings_that_change_numbers(self):
        checkpoint = golden("models/qwen3/hf")
        for change, opens in (
            ({"hidden_act": "gelu"}, False),
            ({"hidden_act": "swish"}, True),
            ({"partial_rotary_factor": 0.5}, False),
            ({"partial_rotary_factor": 1.0}, True),
        ):
            with self.subTest(**change), tempfile.TemporaryDirectory() as folder:
                for file in checkpoint.iterdir():
                    (pathlib.Path(folder) / file.name).write_bytes(file.read_bytes())
                config = json.loads((checkpoint / "config.json").read_text())
                (pathlib.Path(folder) / "config.json").write_text(json.dumps({**config, **change}))
                if opens:
                    kette.Model(folder).close()
                else:
                    with self.assertRaises(kette.CorruptError):
                        kette.Model(folder)

    def test_nul_characters_are_refused(self):
        for arguments in ({"path": f"{TINY}\0x"}, {"path": TINY, "weight_type": "q8_0\0x"}):
            with self.subTest(**arguments), self.assertRaises(kette.InvalidArgument):
                kette.Model(**arguments)
        stored = kette.Model(TINY, weight_type="as_stored")
        self.assertEqual(stored.info["weight_bytes"], self.model.info["weight_bytes"])

    def test_closed_answers_say_so(self):
        s = self.model.session()
        answer = s.generate(PROMPT["ids"], 20, temperature=0, ignore_eos=True)
        next(answer)
        answer.close()
        self.assertEqual(answer.finish_reason, "cancelled")

    def test_bad_options(self):
        s = self.model.session()
        for options in ({"seed": -1}, {"max_tokens": -1}, {"stop": "a\0b"}, {"top_p": 7.0}, {"temperature": -1.0}):
            with self.subTest(**options), self.assertRaises(kette.InvalidArgument):
                s.generate(PROMPT["ids"], **options)
        with self.assertRaises(TypeError):
            s.generate(PROMPT["ids"], temprature=1.0)
        self.assertEqual(self.greedy(s), PROMPT["greedy"][:16])

    def test_left_answers(self):
        s = self.model.session()
        for event in s.generate(PROMPT["ids"], temperature=0):
            break
        self.assertEqual(self.greedy(s), PROMPT["greedy"][:16])
        left = s.generate(PROMPT["ids"], temperature=0)
        next(left)
        self.assertEqual(self.greedy(s), PROMPT["greedy"][:16])
        self.assertEqual(list(left), [])
        left = s.generate(PROMPT["ids"], temperature=0)
        s.rewind(0)
        self.assertEqual(list(left), [])
        left = s.generate(PROMPT["ids"], temperature=0)
        s.close()
        self.assertEqual(list(left), [])

    def test_adapters(self):
        s = self.model.session()
        plain = s.eval(PROMPT["ids"])
        adapter = self.model.adapter(golden("adapters/llama"))
        s.set_adapter(adapter)
        self.assertEqual(s.length, 0)
        changed = s.eval(PROMPT["ids"])
        self.assertGreater(np.abs(changed - plain).max(), 1)
        with self.model.adapter(golden("adapters/llama_second.gguf")) as second:
            s.set_adapter(second, -0.5)
        self.assertFalse(np.array_equal(s.eval(PROMPT["ids"]), changed))
        with self.assertRaises(kette.Misuse):
            s.set_adapter(second)
        adapter.close()
        s.clear_adapters()
        self.assertTrue(np.array_equal(s.eval(PROMPT["ids"]), plain))
        with self.assertRaises(kette.InvalidArgument):
            s.set_adapter(self.model.adapter(golden("adapters/llama")), float("nan"))
        with self.assertRaises(kette.NotFound):
            self.model.adapter("/no/such")
        other = kette.Model(TINY, threads=1)
        with self.assertRaises(kette.InvalidArgument):
            s.set_adapter(other.adapter(golden("adapters/llama")))

    def test_embeddings(self):
        goldens = json.loads(golden("adapters/embeddings.json").read_text(encoding="utf-8"))
        for case in goldens:
            if case["model"] != "llama" or case["tokens"] > 512:
                continue
            for pooling in ("mean", "last", "cls"):
                want = np.array(case[pooling])
                got = self.model.embed(case["text"], pooling=pooling, normalize=False)
                self.assertLess(np.linalg.norm(got - want) / np.linalg.norm(want), 1e-4)
                unit = self.model.embed([case["text"].encode(), "more"], pooling=pooling)
                self.assertEqual(unit.shape, (2, 64))
                np.testing.assert_allclose(unit[0], want / np.linalg.norm(want), atol=1e-4)
        self.assertEqual(self.model.embed([]).shape, (0, 64))
        with self.assertRaises(kette.InvalidArgument):
            self.model.embed(["x"], pooling="max")
        with self.assertRaisesRegex(kette.ContextFull, "text 1"):
            self.model.embed(["x", "\0" * 4000])
        with self.assertRaises(TypeError):
            self.model.embed([1])

    def test_fork(self):
        s = self.model.session()
        s.eval(PROMPT["ids"][:10])
        copy = s.fork()
        s.rewind(0)
        self.assertEqual((s.length, copy.length), (0, 10))
        want = np.load(golden("models/llama") / PROMPT["logits"])[-1]
        self.assertLess(np.abs(copy.eval(PROMPT["ids"][10:])[0] - want).max(), 2e-3)

    def test_scheduler(self):
        want = PROMPT["greedy"]

        def begin(session, n, **options):
            return session.generate(PROMPT["ids"], n, temperature=0, ignore_eos=True, **options)

        with kette.Scheduler(self.model, max_batch=4) as scheduler:
            sessions = [self.model.session() for _ in range(6)]
            for session in sessions:
                scheduler.add(session)
            answers = [begin(session, 4 + 3 * i) for i, session in enumerate(sessions)]
            tokens = {session: [] for session in sessions}
            for session, event in scheduler:
                tokens[session] += [event.token] if event.token >= 0 else []
            for i, session in enumerate(sessions):
                self.assertEqual(tokens[session], want[: 4 + 3 * i])
                self.assertEqual(answers[i].finish_reason, "length")
            # An answer iterated alone brings the others on; one that is left ends, a session that goes is not missed.
            first, second, third = (begin(session, 12) for session in sessions[:3])
            next(first)
            first.close()
            sessions[2].close()
            self.assertEqual([e.token for e in second if e.token >= 0], want[:12])
            self.assertEqual(third.finish_reason, "cancelled")
            self.assertEqual([e.token for e in begin(sessions[0], 5) if e.token >= 0], want[:5])
            with self.assertRaises(kette.Misuse):
                scheduler.add(sessions[0])
            with self.assertRaises(kette.InvalidArgument):
                kette.Scheduler(self.model, max_batch=0)
            left = begin(sessions[4], 7)
            self.assertFalse(scheduler.step(0))
        # Without its scheduler a session goes on alone.
        self.assertEqual([e.token for e in left if e.token >= 0], want[:7])
        with self.assertRaises(kette.Misuse):
            scheduler.step()

    def test_save_and_load(self):
        s = self.model.session()
        s.eval(PROMPT["ids"][:10])
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "talk.kette"
            s.save(path)
            other = self.model.session()
            other.load(str(path))
            self.assertEqual(other.length, 10)
            self.assertEqual(self.greedy(other), PROMPT["greedy"][:16])
            self.assertEqual(other.metrics["cached_tokens"], 10)
            with self.assertRaises(kette.ContextFull):
                self.model.session(max_context=9).load(path)
            with self.assertRaises(kette.InvalidArgument):
                self.model.session(kv_type="bf16").load(path)
            small = self.model.session(kv_type="q8_0")
            small.eval(PROMPT["ids"])
            small.save(path)
            self.model.session(kv_type="q8_0").load(path)
            other.save(path)
            data = bytearray(path.read_bytes())
            data[-1] ^= 1
            path.write_bytes(data)
            with self.assertRaises(kette.CorruptError):
                other.load(path)
            self.assertEqual(other.length, 17 + 16 - 1)
            with self.assertRaises(kette.NotFound):
                other.load(path.with_name("none"))

    def test_sessions_share_what_they_begin_with(self):
        ids = PROMPT["ids"] * 4
        for size, expected in ((None, 64), (1 << 20, 64), (0, 0)):
            with kette.Model(TINY, threads=1, exact=True, prefix_cache_bytes=size) as model:
                first, second = model.session(), model.session()
                want = [e.token for e in first.generate(ids, max_tokens=4, temperature=0)]
                self.assertEqual([e.token for e in second.generate(ids, max_tokens=4, temperature=0)], want)
                self.assertEqual(second.metrics["cached_tokens"], expected)

    def test_sessions_are_freed_at_once(self):
        gc.collect()
        gc.disable()
        try:
            freed = []
            free = _library.lib.kette_session_free

            class Spy:
                def __call__(self, pointer):
                    freed.append(pointer)
                    free(pointer)

            s = self.model.session()
            s._handle._free = Spy()
            answer = s.generate(PROMPT["ids"], temperature=0)
            next(answer)
            del answer, s
            self.assertEqual(len(freed), 1)
        finally:
            gc.enable()

    @unittest.skipUnless(hasattr(os, "fork"), "no fork")
    def test_fork_of_the_process(self):
        s = self.model.session()
        s.eval([1])
        reader, writer = os.pipe()
        child = os.fork()
        if child == 0:
            told = b"?"
            try:
                s.eval([1])
            except kette.Forked:
                told = b"F"
            except BaseException:
                told = b"E"
            os.write(writer, told)
            s.close()
            os._exit(0)
        os.close(writer)
        self.assertEqual(os.read(reader, 1), b"F")
        os.close(reader)
        self.assertEqual(os.waitpid(child, 0)[1], 0)
        self.assertEqual(s.eval([1]).shape, (1, 288))


@needs_demo
class Chats(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.model = kette.Model(DEMO, threads=2)

    def test_render(self):
        want = "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nGrüße<|im_end|>\n"
        messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Grüße"}]
        opener = "<|im_start|>assistant\n"
        self.assertEqual(self.model.render_chat(messages), want + opener)
        self.assertEqual(self.model.render_chat(messages, add_generation_prompt=False), want)
        self.assertEqual(self.model.render_chat(messages, now="2026-01-02T03:04:05", unused=1), want + opener)
        for now in ("2026-01-02", "2026-01-02T03:04:05.25Z", "2026-01-02T03:04:05+02:00"):
            self.assertEqual(self.model.render_chat(messages, now=now), want + opener)
        with self.assertRaises(kette.InvalidArgument):
            self.model.render_chat(messages, now="yesterday")
        deep = 5
        for _ in range(200):
            deep = [deep]
        with self.assertRaisesRegex(kette.InvalidArgument, "nested"):
            self.model.render_chat([{"role": "user", "content": deep}])
        with self.assertRaises(TypeError):
            self.model.render_chat(messages[0])
        with kette.Tokenizer(DEMO) as t:
            self.assertEqual(t.render_chat(messages), want + opener)
        with self.assertRaises(kette.KetteError):
            self.model.render_chat([5])

    def test_conversation(self):
        exact = kette.Model(DEMO, threads=2, exact=True)
        s = exact.session(max_context=512)
        with self.assertRaisesRegex(TypeError, "temperature"):
            s.chat("Hi", temprature=0)
        first = s.chat("What is the capital of France?", max_tokens=30, temperature=0, enable_thinking=False)
        self.assertIn("Paris", first.text())
        self.assertEqual(first.finish_reason, "stop")
        self.assertEqual([m["role"] for m in s.messages], ["user", "assistant"])
        self.assertEqual(s.messages[-1]["content"], first.text())
        s.chat("And of Italy?", max_tokens=5, temperature=0).text()
        self.assertGreater(s.metrics["cached_tokens"], 20)
        self.assertEqual(len(s.messages), 4)
        s.chat("Dropped before its first token")
        with self.assertRaises(kette.InvalidArgument):
            s.chat("Refused", top_p=7.0)
        self.assertEqual(len(s.messages), 4)
        s.chat([{"role": "user", "content": "What is the capital of France?"}], max_tokens=30, temperature=0).text()
        self.assertEqual(len(s.messages), 2)
        s.reset()
        self.assertEqual((s.messages, s.length), ([], 0))

    def test_text_prompts_know_special_tokens(self):
        s = self.model.session(max_context=256)
        next(s.generate("<|im_start|>user\nHi<|im_end|>\n", max_tokens=1, temperature=0))
        want = self.model.tokenize("<|im_start|>user\nHi<|im_end|>\n", parse_special=True)
        self.assertEqual(s.metrics["prompt_tokens"], len(want))
        self.assertEqual(want[0], self.model.tokenize("<|im_start|>", parse_special=True)[0])
        self.assertGreater(len(self.model.tokenize("<|im_start|>")), 1)

    def test_ctrl_c(self):
        s = self.model.session()
        long = self.model.tokenize("The quick brown fox jumps over the lazy dog. " * 400)
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        timer = threading.Timer(0.3, os.kill, (os.getpid(), signal.SIGINT))
        try:
            timer.start()
            start = time.monotonic()
            with self.assertRaises(KeyboardInterrupt):
                for _ in s.generate(long[: s.capacity - 1], temperature=0, ignore_eos=True):
                    pass
            self.assertLess(time.monotonic() - start, 2)
        finally:
            timer.cancel()
            signal.signal(signal.SIGINT, before)
        self.assertEqual(len(list(s.generate([1, 2, 3], max_tokens=2, temperature=0, ignore_eos=True))), 2)


class Reasoning(unittest.TestCase):
    """What a model thinks and must match, by the model that the repository ships."""

    @classmethod
    def setUpClass(cls):
        cls.model = kette.Model(REASONER)

    def test_thoughts_are_apart_and_the_conversation_goes_on(self):
        with self.model.session() as session:
            answer = session.chat("What is 127 + 58?", temperature=0)
            kinds = [event.kind for event in answer]
            self.assertLess(kinds.index("reasoning"), kinds.index("text"))
            self.assertIn("185", answer.text())
            self.assertGreater(len(answer.reasoning()), len(answer.text()))
            self.assertEqual(answer.reasoning_end, "model")
            self.assertEqual(answer.finish_reason, "stop")
            self.assertEqual(answer.tool_calls, [])
            self.assertEqual(session.messages[-1]["content"], answer.text())
            self.assertEqual(session.messages[-1]["reasoning_content"], answer.reasoning())
            before = session.metrics
            self.assertIn("5", session.chat("What is 9 - 4?", temperature=0).text())
            self.assertGreaterEqual(session.metrics["cached_tokens"] + 4, before["prompt_tokens"])

    def test_off_and_a_budget(self):
        for options in ({"reasoning": False}, {"reasoning_max_tokens": 0}):
            with self.model.session() as session:
                answer = session.chat("What is 127 + 58?", temperature=0, **options)
                self.assertEqual(answer.reasoning(), "")
                self.assertEqual(session.metrics["reasoning_tokens"], 0)
        with self.model.session() as session:
            answer = session.chat("What is 127 + 58?", temperature=0, reasoning_max_tokens=10, reasoning_close=" Stop.")
            self.assertTrue(answer.reasoning().endswith(" Stop."))
            self.assertEqual(answer.reasoning_end, "budget")
            self.assertTrue(answer.text())
            for wrong in ({"reasoning": "yes"}, {"reasoning": True, "reasoning_max_tokens": 0}, {"tool_choice": "add"}):
                with self.assertRaises(kette.InvalidArgument):
                    session.chat("?", **wrong)

    def test_grammars_and_log_probabilities(self):
        grammar = self.model.grammar(regex=r"127 \+ 58 = [0-9]{1,4}\.")
        with self.model.session() as session:
            answer = session.chat("What is 127 + 58?", temperature=0, grammar=grammar, top_logprobs=3)
            for event in answer:
                if event.top_logprobs:
                    self.assertEqual(len(event.top_logprobs), 3)
                    self.assertLessEqual(event.logprob, 0)
            self.assertEqual(answer.text(), "127 + 58 = 185.")
        schema = {"type": "object", "properties": {"sum": {"type": "integer", "maximum": 999}}, "required": ["sum"]}
        with self.model.session() as session:
            grammar = self.model.grammar(json_schema={**schema, "additionalProperties": False})
            text = session.chat("What is 127 + 58?", grammar=grammar, reasoning=False, max_tokens=100).text()
            self.assertIsInstance(json.loads(text)["sum"], (int, float))
        with self.assertRaisesRegex(kette.Unsupported, "dependentSchemas"):
            self.model.grammar(json_schema={"dependentSchemas": {"a": {"type": "string"}}})
        with self.assertRaises(TypeError):
            self.model.grammar(regex="a", gbnf='root ::= "a"')

    def test_vote(self):
        with self.model.session() as session:
            vote = session.vote("What is 127 + 58?", n=3, temperature=0.7, max_tokens=600)
            self.assertIn("185", vote.text)
            self.assertEqual(len(vote.answers), 3)
            self.assertEqual(session.messages, [])
            self.assertEqual(session.vote("What is 1 + 1?", n=2, key=lambda answer: 0, temperature=1).votes, 2)


if __name__ == "__main__":
    unittest.main()
