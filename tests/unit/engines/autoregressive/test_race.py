"""Numbers for each candidate."""

import torch

from omnipipe.engines.autoregressive.race import numbers, uniforms


def test_each_token_of_a_place_has_its_own_number_wherever_it_stands() -> None:
    seeds, places = [0, 7, -3, 1 << 63, (1 << 64) - 2] * 4, [place for place in range(4) for _ in range(5)]
    tokens = torch.arange(-1, 1999).expand(len(seeds), -1)
    found = numbers(seeds, places, tokens)
    assert ((found > 0) & (found < 1)).all()
    assert len(set(found.flatten().tolist())) == found.numel()
    assert torch.equal(numbers(seeds[::-1], places[::-1], tokens.flip(1)).flip(0, 1), found)
    for row in found:
        assert all(130 < count < 270 for count in torch.histc(row, 10, 0.0, 1.0).tolist())
    assert abs(torch.corrcoef(found)).fill_diagonal_(0).max() < 0.12


def test_the_numbers_are_splitmix64s() -> None:
    """The first outputs of the generator for the seed 1234567, which its author gives."""
    found = uniforms(torch.tensor([1234567]), torch.arange(5)[None])[0]
    outputs = [6457827717110365317, 3203168211198807973, 9817491932198370423, 4593380528125082431, 16408922859458223821]
    for number, output in zip(found.tolist(), outputs, strict=True):
        assert abs(number - output / 2**64) < 2**-51
