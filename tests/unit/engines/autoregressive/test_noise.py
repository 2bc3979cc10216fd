"""Numbers by counting."""

from omnipipe.engines.autoregressive.noise import uniform, uniforms


def test_a_place_has_its_number() -> None:
    assert uniform(1, 2) == uniform(1, 2)
    assert len({uniform(seed, place) for seed in range(50) for place in range(50)}) == 2500


def test_numbers_lie_evenly() -> None:
    numbers = [uniform(seed, place) for seed in range(100) for place in range(100)]
    assert all(0 <= number < 1 for number in numbers)
    for tenth in range(10):
        assert 850 < sum(tenth <= number * 10 < tenth + 1 for number in numbers) < 1150


def test_any_seed_will_do() -> None:
    for seed in (-1, 0, 1 << 63, (1 << 64) - 1, 1 << 80):
        assert 0 <= uniform(seed, 0) < 1


def test_many_at_once_are_the_same() -> None:
    seeds, places = [0, 7, (1 << 64) - 1], [0, 1000, 12]
    expected = [[uniform(seed, place + at) for at in range(5)] for seed, place in zip(seeds, places, strict=True)]
    assert uniforms(seeds, places, 5).tolist() == expected
