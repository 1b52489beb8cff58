#!/usr/bin/env python3
"""OpenVINO GenAI's speed on the same work as kette_bench: one JSON object. Needs openvino-genai.

It reads GGUF files of Llama, Qwen2 and Qwen3 that have a vocabulary. Every prompt is another, so that no cache of
beginnings answers for it. The rates are its own: tokens of the prompt over the time to the first token, and the time of
each later one. Processor time of a prompt is that of asking for one token.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time

import numpy as np
import openvino as ov
import openvino_genai as genai


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    for name, default in (("context", 0), ("prompt", 512), ("decode", 64), ("threads", 2), ("reps", 1)):
        parser.add_argument(f"--{name}", type=int, default=default)
    a = parser.parse_args()
    start = time.perf_counter()
    pipe = genai.LLMPipeline(a.model, "CPU", INFERENCE_NUM_THREADS=a.threads, NUM_STREAMS=1)
    load_s = time.perf_counter() - start
    prompts = 0

    def generate(length: int, tokens: int):
        """Metrics and CPU-seconds of an answer of so many tokens to a new prompt."""
        nonlocal prompts
        prompts += 1
        ids = np.array([[(1 + (i + 1) * (7919 + 2 * prompts)) % 40000 for i in range(length)]], dtype=np.int64)
        config = genai.GenerationConfig()
        config.max_new_tokens = config.min_new_tokens = tokens
        config.ignore_eos, config.do_sample = True, False
        cpu = time.process_time()
        metrics = pipe.generate(
            genai.TokenizedInputs(ov.Tensor(ids), ov.Tensor(np.ones_like(ids))), config
        ).perf_metrics
        return metrics, time.process_time() - cpu

    length = a.context + a.prompt
    generate(min(length, 512), 4)  # warms up
    rates_in, rates_out, cpu_in, cpu_out = [], [], [], []
    for _ in range(a.reps):
        _, cpu_prompt = generate(length, 1)
        metrics, cpu = generate(length, a.decode + 1)
        rates_in.append(length / (metrics.get_ttft().mean / 1e3))
        rates_out.append(1e3 / metrics.get_tpot().mean)
        cpu_in.append(cpu_prompt / length * 1000)
        cpu_out.append((cpu - cpu_prompt) / a.decode * 1000)
    rate_in, cpu_of_in = round(statistics.median(rates_in), 2), round(statistics.median(cpu_in), 4)
    print(
        json.dumps(
            {
                "engine": "OpenVINO GenAI",
                "version": f"openvino-genai {genai.__version__}",
                "flags": f"INFERENCE_NUM_THREADS={a.threads}, NUM_STREAMS=1",
                "context_tps": rate_in,
                "pp": rate_in,
                "context_cpu_s_per_1k": cpu_of_in,
                "pp_cpu_s_per_1k": cpu_of_in,
                "tg": round(statistics.median(rates_out), 2),
                "tg_cpu_s_per_1k": round(statistics.median(cpu_out), 4),
                "load_s": round(load_s, 2),
            }
        )
    )


if __name__ == "__main__":
    main()
