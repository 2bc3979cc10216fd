"""A process that has the kernel of one level, which is all that a process can have: `FOLDER` holds it."""

import sys
from pathlib import Path

import torch
from tests.integration.engines.autoregressive.serving import TokenProgram, engine_for, model_of, reference

from omnipipe.engines.kernels.native import NativeKernels

NEW = 12
LENGTHS = (1, 17, 40, 63, 5)
NAMES = ("llama", "gemma2", "gemma3", "qwen3_moe")
"""Groups of heads, a cap on the scores, a window, a model of experts."""


def main(folder: Path) -> None:
    kernel = NativeKernels(cache_dir=folder / "none", prebuilt=folder)
    kernel.start()
    assert kernel.ready, "it is not the image's own"
    maps = Path("/proc/self/maps").read_text()
    assert any(str(file) in maps for file in folder.glob("*.so"))
    generator = torch.Generator().manual_seed(1)
    prompts = [torch.randint(2, 300, (size,), generator=generator).tolist() for size in LENGTHS]
    for name in NAMES:
        model = model_of(name)
        wanted = [reference(model, prompt, NEW) for prompt in prompts]
        with engine_for(TokenProgram(model), kernel, None, step_tokens=24) as driver:
            answers = [driver.ask(str(index), prompt, NEW) for index, prompt in enumerate(prompts)]
            driver.run()
        assert [answer.tokens for answer in answers] == wanted, name


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]))
