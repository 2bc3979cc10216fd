"""Packed linear layers compute what the stock ones do."""

import copy

import pytest
import torch
from tests.integration.engines.autoregressive.serving import TokenProgram, engine_for, model_of, reference
from torch import nn

from omnipipe.engines.autoregressive.linears import pack_linears

PROMPT = list(range(10, 40))


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("rows", [0, 1, 7, 32, 300])
def test_a_packed_layer_is_the_layer(bias: bool, rows: int) -> None:
    torch.manual_seed(1)
    stock = nn.Sequential(nn.Linear(48, 80, bias=bias))
    packed = copy.deepcopy(stock)
    assert pack_linears(packed, gain=0.0)
    assert type(packed[0]) is not nn.Linear
    x = torch.randn(1, rows, 48)
    with torch.inference_mode():
        torch.testing.assert_close(packed(x), stock(x), atol=1e-4, rtol=1e-4)


def test_what_does_not_pay_is_left_alone() -> None:
    layers = nn.Sequential(nn.Linear(8, 8))
    assert not pack_linears(layers, gain=1e9)
    assert type(layers[0]) is nn.Linear


def test_other_types_are_left_alone() -> None:
    layers = nn.Sequential(nn.Linear(16, 16).to(torch.bfloat16), nn.ReLU())
    assert not pack_linears(layers, gain=0.0)


@pytest.mark.parametrize("name", ["llama", "qwen2", "qwen3_moe", "gemma3", "gpt2"])
def test_a_packed_model_says_the_same(name: str) -> None:
    expected = reference(model_of(name), PROMPT, 20)
    model = model_of(name)
    pack_linears(model, gain=0.0)
    with engine_for(TokenProgram(model)) as driver:
        answer = driver.ask("a", PROMPT, 20)
        driver.ask("b", PROMPT[3:], 20)
        driver.run()
        assert answer.tokens == expected
