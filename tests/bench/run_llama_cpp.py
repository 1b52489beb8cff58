#!/usr/bin/env python3
"""llama.cpp's speed on the same work as kette_bench, with the same token ids: one JSON object.

Needs llama-cpp-python, built for this CPU: CMAKE_ARGS=-DGGML_NATIVE=ON pip install --no-binary :all: llama-cpp-python
"""

from __future__ import annotations

import argparse
import ctypes
import json
import statistics
import time

import llama_cpp as ll


class Engine:
    def __init__(self, a: argparse.Namespace):
        self.quiet = ll.llama_log_callback(lambda level, text, data: None)
        ll.llama_log_set(self.quiet, ctypes.c_void_p(0))
        ll.llama_backend_init()
        self.model = ll.llama_model_load_from_file(a.model.encode(), ll.llama_model_default_params())
        if not self.model:
            raise SystemExit("llama.cpp cannot load the model")
        p = ll.llama_context_default_params()
        p.n_ctx = (a.context + a.prompt + a.decode + 8) * a.sessions
        p.n_seq_max = a.sessions
        p.kv_unified = False
        p.n_batch = max(a.context, a.prompt, a.ubatch)
        p.n_ubatch = a.ubatch
        p.n_threads = p.n_threads_batch = a.threads
        p.flash_attn_type = ll.LLAMA_FLASH_ATTN_TYPE_ENABLED if a.flash else ll.LLAMA_FLASH_ATTN_TYPE_DISABLED
        self.context = ll.llama_init_from_model(self.model, p)
        if not self.context:
            raise SystemExit("llama.cpp cannot make a context")
        self.ids = ll.llama_vocab_n_tokens(ll.llama_model_get_vocab(self.model)) - 1
        self.batch = ll.llama_batch_init(p.n_batch, 0, 1)

    def tokens(self, n: int, step: int) -> "list[int]":
        return [(1 + i * step) % self.ids for i in range(n)]

    def evaluate(self, rows: "list[tuple[int, int, int]]") -> None:
        """(token, position, session) each; logits of the last row of every session."""
        batch, last = self.batch, {session: i for i, (_, _, session) in enumerate(rows)}
        batch.n_tokens = len(rows)
        for i, (token, position, session) in enumerate(rows):
            batch.token[i], batch.pos[i], batch.n_seq_id[i] = token, position, 1
            batch.seq_id[i][0], batch.logits[i] = session, last[session] == i
        if ll.llama_decode(self.context, batch) != 0:
            raise SystemExit("llama.cpp cannot evaluate")
        ll.llama_synchronize(self.context)

    def rewind(self, length: int) -> None:
        ll.llama_memory_seq_rm(ll.llama_get_memory(self.context), -1, length, -1)


class Times:
    def __init__(self) -> None:
        self.rates: "list[float]" = []
        self.cpu: "list[float]" = []

    def measure(self, tokens: int, work) -> None:
        if tokens == 0:
            return
        start, cpu = time.perf_counter(), time.process_time()
        work()
        self.rates.append(tokens / (time.perf_counter() - start))
        self.cpu.append((time.process_time() - cpu) / tokens * 1000)

    def result(self, prefix: str, rate: str) -> "dict[str, float]":
        if not self.rates:
            return {rate: 0.0, f"{prefix}_cpu_s_per_1k": 0.0}
        return {
            rate: round(statistics.median(self.rates), 2),
            f"{prefix}_cpu_s_per_1k": round(statistics.median(self.cpu), 4),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    for name, default in (
        ("context", 0),
        ("prompt", 512),
        ("decode", 64),
        ("threads", 2),
        ("reps", 1),
        ("sessions", 1),
        ("ubatch", 512),
        ("flash", 1),
    ):
        parser.add_argument(f"--{name}", type=int, default=default)
    a = parser.parse_args()
    start = time.perf_counter()
    engine = Engine(a)
    load_s = time.perf_counter() - start
    every = range(a.sessions)
    before, prompt = engine.tokens(a.context, 6101), engine.tokens(a.prompt, 7919)
    answer = engine.tokens(a.decode, 104729)

    def one_by_one() -> None:
        for i, token in enumerate(answer):
            engine.evaluate([(token, a.context + a.prompt + i, s) for s in every])

    def each(ids: "list[int]", at: int) -> None:
        for s in every:
            engine.evaluate([(token, at + i, s) for i, token in enumerate(ids)])

    context, prefill, decode = Times(), Times(), Times()
    context.measure(a.context * a.sessions, lambda: each(before, 0))
    for rep in range(a.reps + 1):
        if rep == 1:
            prefill, decode = Times(), Times()  # the first warmed up
        engine.rewind(a.context)
        prefill.measure(a.prompt * a.sessions, lambda: each(prompt, a.context))
        decode.measure(a.decode * a.sessions, one_by_one)
    flags = f"flash attention {'on' if a.flash else 'off'}, ubatch {a.ubatch}"
    system = ll.llama_print_system_info().decode()
    print(
        json.dumps(
            {
                "engine": "llama.cpp",
                "version": f"llama-cpp-python {ll.__version__}",
                "flags": flags,
                "system": system,
                **context.result("context", "context_tps"),
                **prefill.result("pp", "pp"),
                **decode.result("tg", "tg"),
                "load_s": round(load_s, 2),
            }
        )
    )


if __name__ == "__main__":
    main()
