"""Vectors out of a real stage equal those of a few plain lines of transformers, whatever else is in the batch."""

import asyncio
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.integration.families.llm.serving import START_S, answer, connected, running
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast, Qwen3Config, Qwen3Model
from transformers.utils.logging import disable_progress_bar

from omnipipe.coordinator.coordinator import Coordinator
from omnipipe.errors import RequestError
from omnipipe.families.embed.requests import EmbeddingRequests
from omnipipe.families.requests import EmbedRequest
from omnipipe.spec.plan import Plan

pytestmark = pytest.mark.timeout(180)  # torch and transformers are imported by a process of its own

SIZE, LONGEST = 48, 40
WORDS = ["quick", "brown", "fox", "lazy", "dog", "京", "naïve", "🙂", "one", "two"]


def make_tokenizer() -> PreTrainedTokenizerFast:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    special = ["[PAD]", "[CLS]", "[SEP]"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    tokenizer.train_from_iterator(
        [" ".join(WORDS)],
        trainers.BpeTrainer(vocab_size=300, special_tokens=special, initial_alphabet=alphabet, show_progress=False),
    )
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[("[CLS]", 1), ("[SEP]", 2)]
    )
    fast: PreTrainedTokenizerFast = PreTrainedTokenizerFast(  # type: ignore[no-untyped-call]
        tokenizer_object=tokenizer, pad_token="[PAD]", cls_token="[CLS]", sep_token="[SEP]"
    )
    return fast


def save(folder: Path, rule: str) -> tuple[Any, PreTrainedTokenizerFast]:
    """`rule`: of BERT with a pooling module and normalisation, of BERT without a word about it, or of a decoder."""
    disable_progress_bar()  # type: ignore[no-untyped-call]  # it would leave a thread and a semaphore behind
    torch.manual_seed(3)
    tokenizer = make_tokenizer()
    common: dict[str, Any] = {
        "hidden_size": SIZE, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64,
        "vocab_size": len(tokenizer), "initializer_range": 0.2,
    }  # fmt: skip
    model: Any
    if rule == "last":
        model = Qwen3Model(Qwen3Config(**common, num_key_value_heads=2, head_dim=12, max_position_embeddings=LONGEST))
    else:
        model = BertModel(BertConfig(**common, max_position_embeddings=64), add_pooling_layer=rule != "nothing")
    model.eval()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    if rule != "nothing":
        modes = {"cls": "pooling_mode_cls_token", "last": "pooling_mode_lasttoken"}
        names = ("pooling_mode_cls_token", "pooling_mode_mean_tokens", "pooling_mode_lasttoken")
        (folder / "1_Pooling").mkdir()
        (folder / "1_Pooling/config.json").write_text(json.dumps({name: name == modes[rule] for name in names}))
        kinds = (("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize"))
        modules = [{"path": path, "type": f"sentence_transformers.models.{kind}"} for path, kind in kinds]
        (folder / "modules.json").write_text(json.dumps(modules))
        (folder / "sentence_bert_config.json").write_text(json.dumps({"max_seq_length": LONGEST}))
    return model, tokenizer


class Case:
    def __init__(self, rule: str, model: Any, tokenizer: PreTrainedTokenizerFast, plan: Plan) -> None:
        self.rule = rule
        self.tokenizer = tokenizer
        self.plan = plan
        self._model = model
        self.longest = 64 if rule == "nothing" else LONGEST

    def expected(self, tokens: list[int]) -> Any:
        with torch.no_grad():
            states = self._model(input_ids=torch.tensor([tokens])).last_hidden_state[0]
        match self.rule:
            case "cls":
                pooled = states[0]
            case "last":
                pooled = states[-1]
            case _:
                return states.mean(dim=0).numpy()
        return (pooled / pooled.norm()).numpy()


@pytest.fixture(scope="module", params=["cls", "nothing", "last"])
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Case]:
    folder = tmp_path_factory.mktemp("embed")
    model, tokenizer = save(folder / "model", request.param)
    with running(folder, folder / "model", "embed", step_tokens=90) as plan:
        yield Case(request.param, model, tokenizer, plan)


async def embed(coordinator: Coordinator, *inputs: Any, dimensions: int | None = None) -> tuple[list[Any], int]:
    """Vectors, and the tokens counted."""
    entry = EmbeddingRequests().entry_embed(EmbedRequest(tuple(inputs), dimensions))
    async with asyncio.timeout(START_S):
        pieces = await answer(coordinator, entry, frozenset({"embedding"}))
    assert [piece.last for piece in pieces] == [False] * (len(inputs) - 1) + [True]
    assert pieces[-1].meta is not None
    return [piece.value.numpy() for piece in pieces], pieces[-1].meta["usage"]["prompt_tokens"]


async def test_vectors_are_those_of_transformers_in_any_batch(case: Case) -> None:
    chance = random.Random(4)
    texts = [" ".join(chance.choices(WORDS, k=chance.randint(1, 5))) for _ in range(90)]
    async with connected(case.plan) as coordinator:
        many, *few = await asyncio.gather(
            embed(coordinator, *texts), *(embed(coordinator, text) for text in texts[:12])
        )
    vectors, counted = many
    tokens = [case.tokenizer(text).input_ids for text in texts]
    assert counted == sum(map(len, tokens))
    for index, vector in enumerate(vectors):
        assert vector.dtype == np.float32
        np.testing.assert_allclose(vector, case.expected(tokens[index]), atol=1e-5)
    for index, ((vector,), _) in enumerate(few):
        np.testing.assert_allclose(vector, vectors[index], atol=1e-5)


async def test_tokens_in_and_fewer_dimensions_out(case: Case) -> None:
    tokens = case.tokenizer("quick brown fox").input_ids
    async with connected(case.plan) as coordinator:
        (whole, again), _ = await embed(coordinator, "quick brown fox", tuple(tokens))
        (short,), _ = await embed(coordinator, tuple(tokens), dimensions=8)
    np.testing.assert_allclose(whole, again, atol=1e-6)
    assert short.shape == (8,)
    np.testing.assert_allclose(short, whole[:8] / np.linalg.norm(whole[:8]), atol=1e-5)


async def test_what_cannot_be_embedded_is_refused_by_name(case: Case) -> None:
    async with connected(case.plan) as coordinator:
        for inputs, dimensions, param, code in (
            (("fine", "dog " * 200), None, "input", "context_length_exceeded"),
            (("fine",), SIZE + 1, "dimensions", "invalid_value"),
            (((1, 10**6),), None, "input", "invalid_value"),
        ):
            with pytest.raises(RequestError) as caught:
                await embed(coordinator, *inputs, dimensions=dimensions)
            assert (caught.value.param, caught.value.code) == (param, code)
            if code == "context_length_exceeded":
                assert f"maximum context length is {case.longest} tokens" in caught.value.message
        fits: tuple[int, ...] = (5,) * case.longest
        (vector,), counted = await embed(coordinator, fits)
    assert (vector.shape, counted) == ((SIZE,), case.longest)
