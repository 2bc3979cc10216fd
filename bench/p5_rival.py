"""The other side of `p5_vllm`: vLLM on a CPU, in a Python of its own, timing the loads that it is sent.

Run by `p5_vllm` with the interpreter of an environment that has vLLM; imports nothing of ours. A line of JSON in, one
out: {"prompts": [[...], ...], "new": [...], "arrive_each_s": 0.02} -> {"seconds": 1.23}.
"""

import json
import os
import sys
import time
from typing import Any

os.environ.setdefault("VLLM_CPU_KVCACHE_SPACE", "1")
os.environ.setdefault("VLLM_ENABLE_V1_MULTIPROCESSING", "0")  # the engine's steps are taken here
os.environ.setdefault("VLLM_LOGGING_LEVEL", "ERROR")


def main(folder: str) -> None:
    from vllm import EngineArgs, LLMEngine, SamplingParams  # type: ignore[import-not-found]

    arguments = EngineArgs(
        model=folder, dtype="float32", skip_tokenizer_init=True, max_model_len=1024, max_num_seqs=32, seed=0,
        enable_prefix_caching=False, disable_log_stats=True,
    )  # fmt: skip
    engine: Any = LLMEngine.from_engine_args(arguments)
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        load = json.loads(line)
        waiting = list(enumerate(zip(load["prompts"], load["new"], strict=True)))
        started, left = time.perf_counter(), len(waiting)
        while left:
            now = time.perf_counter()
            while waiting and now - started >= waiting[0][0] * load["arrive_each_s"]:
                number, (prompt, new) = waiting.pop(0)
                params = SamplingParams(temperature=0.0, max_tokens=new, ignore_eos=True, detokenize=False)
                engine.add_request(f"{started}-{number}", {"prompt_token_ids": prompt}, params)
            if engine.has_unfinished_requests():
                left -= sum(output.finished for output in engine.step())
        print(json.dumps({"seconds": time.perf_counter() - started}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
