"""The code predictor against transformers' own: what is likeliest, and how often the others are drawn."""

from pathlib import Path
from typing import Any

import torch
from tests.integration.families.qwen3_omni.tiny_model import CODEBOOK, GROUPS, load_reference
from transformers import Qwen3OmniMoeForConditionalGeneration, TopKLogitsWarper, TopPLogitsWarper

from omnipipe.families.omni_parts.tensors import from_torch, to_torch
from omnipipe.families.qwen3_omni.code_predictor import CodePredictor, Draw

ROWS = 5


def test_the_likeliest_codes_and_the_sum_of_their_embeddings(
    omni_folder: Path, omni_reference: Qwen3OmniMoeForConditionalGeneration
) -> None:
    torch.manual_seed(1)
    predictor: Any = omni_reference.talker.code_predictor  # its methods are not typed
    states, first = torch.randn(2, ROWS, predictor.config.hidden_size)
    with torch.no_grad():
        expected = predictor.generate(
            inputs_embeds=torch.stack((states, first), 1), max_new_tokens=GROUPS - 1, do_sample=False
        )
        embedded = [table(codes) for table, codes in zip(predictor.model.codec_embedding, expected.T, strict=True)]
        own = CodePredictor(load_reference(omni_folder).talker.code_predictor)
        codes, summed = own.predict(states, first, None)
        alone = [own.predict(states[row : row + 1], first[row : row + 1], None)[0] for row in range(ROWS)]
    assert codes.tolist() == expected.tolist() == torch.cat(alone).tolist()
    torch.testing.assert_close(summed, first + sum(embedded))


def test_codes_are_drawn_as_often_as_transformers_would() -> None:
    torch.manual_seed(2)
    logits = torch.randn(1, 200) * 2
    ids = torch.zeros((1, 0), dtype=torch.long)
    left = TopPLogitsWarper(0.8)(ids, TopKLogitsWarper(50)(ids, logits))
    expected = left.softmax(-1)[0]
    count = 20_000
    numbers = ((torch.arange(count, dtype=torch.float64) + 0.5) / count)[:, None]
    drawn = Draw(numbers, torch.ones(count, dtype=torch.bool)).choose(0, logits.expand(count, -1))
    found = torch.bincount(drawn, minlength=200) / count
    torch.testing.assert_close(found, expected, atol=2 / count, rtol=0)


def test_rows_that_are_not_drawn_get_the_likeliest() -> None:
    torch.manual_seed(3)
    logits = torch.randn(4, CODEBOOK)
    draw = Draw(torch.full((4, 1), 0.999, dtype=torch.float64), torch.tensor([True, False, True, False]))
    chosen, likeliest = draw.choose(0, logits), logits.argmax(-1)
    assert (chosen == likeliest).tolist() == [False, True, False, True]


def test_tensors_keep_what_they_hold() -> None:
    for made in (
        torch.randn(3, 4), torch.randn(2, 3).bfloat16(), torch.randn(4, 6)[:, ::2], torch.empty((0, 5)),
        torch.tensor([True, False]), torch.arange(6).int().reshape(2, 3), torch.tensor(1.5),
    ):  # fmt: skip
        back = to_torch(from_torch(made))
        assert back.dtype == made.dtype
        assert torch.equal(back, made)
