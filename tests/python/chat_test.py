"""Conversations, reasoning and grammars through the Python package."""

import json
import os
import signal
import threading
import time
import unittest

import kette
from support import DEMO, REASONER, needs_demo


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
