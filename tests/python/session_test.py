"""Sessions and schedulers through the Python package."""

import array
import gc
import json
import os
import pathlib
import tempfile
import threading
import time
import unittest

import kette
import numpy as np
from kette import _library
from support import PROMPT, TINY, golden


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
        self.assertEqual(
            [e.token for e in s.generate(PROMPT["ids"], 4, temperature=2.0, top_k=1)], PROMPT["greedy"][:4]
        )
        biased = s.generate(PROMPT["ids"], 3, temperature=0, logit_bias={7: 1000.0})
        self.assertEqual([e.token for e in biased], [7, 7, 7])

    def test_speculation(self):
        s = self.model.session()
        for speculation in ("off", "prompt_lookup", None):
            with self.subTest(speculation=speculation):
                answer = s.generate(
                    PROMPT["ids"], 32, temperature=0, ignore_eos=True, speculation=speculation, max_draft=3
                )
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


if __name__ == "__main__":
    unittest.main()
