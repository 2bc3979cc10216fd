"""Our decoder makes the samples that the codec's own package makes, whole or a stretch at a time."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.integration.families.orpheus.tiny import save_codec

from omnipipe.engines.errors import LoadingError
from omnipipe.engines.program import Job, StageContext
from omnipipe.families.orpheus.snac import SnacDecoder, load_decoder
from omnipipe.families.orpheus.vocoder import Vocoder
from omnipipe.wire.value import Tensor

CPU = torch.device("cpu")
FRAMES = 23


def codes_of(seed: int, frames: int = FRAMES) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(0, 4096, (frames, 7), generator=generator)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("codec") / "snac"
    save_codec(path)
    return path


def whole(decoder: SnacDecoder, codes: torch.Tensor, seed: int = 0) -> torch.Tensor:
    with torch.inference_mode():
        samples: torch.Tensor = decoder(codes[None], [0], [seed])
    return samples[0]


def test_it_decodes_as_the_codecs_own_package_does(tmp_path: Path) -> None:
    theirs = save_codec(tmp_path / "quiet", noise=False)
    ours = load_decoder(tmp_path / "quiet", CPU)
    codes = codes_of(1)
    levels = [codes[:, [0]], codes[:, [1, 4]], codes[:, [2, 3, 5, 6]]]
    with torch.inference_mode():
        expected = theirs.decode([level.reshape(1, -1) for level in levels])[0, 0]
    heard = whole(ours, codes)
    assert expected.abs().max() > 0.05
    assert heard.shape == expected.shape == (FRAMES * 2048,)
    torch.testing.assert_close(heard, expected, atol=1e-5, rtol=0)


def test_its_noise_is_as_loud_as_theirs_and_depends_on_the_seed_alone(folder: Path, tmp_path: Path) -> None:
    theirs = save_codec(tmp_path / "noisy")
    ours, codes = load_decoder(folder, CPU), codes_of(1, 60)
    levels = [codes[:, [0]], codes[:, [1, 4]], codes[:, [2, 3, 5, 6]]]

    def spread(samples: list[torch.Tensor]) -> float:
        return float(torch.stack(samples).std(dim=0).mean())

    with torch.inference_mode():
        expected = [theirs.decode([level.reshape(1, -1) for level in levels])[0, 0] for _ in range(12)]
    heard = [whole(ours, codes, seed) for seed in range(12)]
    assert spread(heard) == pytest.approx(spread(expected), rel=0.1)
    assert torch.equal(heard[3], whole(ours, codes, 3))


def job(rid: str) -> Job:
    return Job(rid, {}, {}, frozenset({"audio"}), frozenset({"codes"}), float("inf"), {"codes": []})


def chunk(codes: torch.Tensor, **more: Any) -> dict[str, Any]:
    return {"codes": Tensor.from_numpy(codes.to(torch.int32).numpy()), "seed": 4, **more}


class Listener:
    """Feeds a vocoder the codes of some speeches in pieces, and hears what comes out."""

    def __init__(self, vocoder: Vocoder, speeches: list[torch.Tensor], cuts: list[int]) -> None:
        self._vocoder = vocoder
        self.jobs = [job(str(index)) for index in range(len(speeches))]
        self._left = [list(torch.split(codes, cut)) for codes, cut in zip(speeches, cuts, strict=True)]
        self.heard: list[list[Any]] = [[] for _ in speeches]
        self.metas: list[Any] = [None] * len(speeches)
        self.first_after: list[int | None] = [None] * len(speeches)
        self._fed = [0] * len(speeches)

    def run(self) -> None:
        waiting = set(range(len(self.jobs)))
        while waiting:
            for index in waiting:
                self._feed(index)
            outcomes = self._vocoder.run([self.jobs[index] for index in sorted(waiting)])
            for index, outcome in zip(sorted(waiting), outcomes, strict=True):
                assert not isinstance(outcome, Exception), outcome
                self.jobs[index].chunks["codes"] = []
                for emit in outcome.emits:
                    assert emit.last == (emit.meta is not None)
                    self.metas[index] = emit.meta
                    self.heard[index].append(emit.value.numpy())
                    if self.first_after[index] is None:
                        self.first_after[index] = self._fed[index]
                if outcome.then == "done":
                    waiting.discard(index)

    def _feed(self, index: int) -> None:
        job, left = self.jobs[index], self._left[index]
        if left:
            self._fed[index] += len(left[0])
            job.chunks["codes"] = [chunk(left.pop(0))]
        elif "codes" not in job.ended:
            job.chunks["codes"] = [chunk(torch.empty(0, 7), usage={"prompt_tokens": 3}, finish_reason="stop")]
            job.ended.add("codes")


@pytest.fixture(scope="module")
def vocoder(folder: Path) -> Iterator[Vocoder]:
    params = {"codec": f"file://{folder}", "first_chunk_frames": 2, "chunk_frames": 6}
    yield Vocoder(StageContext("vocoder", None, params))


@pytest.mark.parametrize("cut", [1, 2, 5, 100])
def test_cut_anywhere_the_samples_are_those_of_the_whole(vocoder: Vocoder, folder: Path, cut: int) -> None:
    speeches = [codes_of(1), codes_of(2, 1), codes_of(3, 4), codes_of(4, 40)]
    listener = Listener(vocoder, speeches, [cut, 1, 3, cut])
    listener.run()
    decoder = load_decoder(folder, CPU)
    for index, codes in enumerate(speeches):
        heard = np.concatenate(listener.heard[index])
        expected = (whole(decoder, codes, 4) * 32767).numpy()
        assert heard.dtype == np.int16
        assert heard.shape == expected.shape
        assert np.abs(heard - expected).max() <= 1.0
        usage = {"prompt_tokens": 3}
        wanted = {"sample_rate_hz": 24000, "channels": 1, "usage": usage, "finish_reason": "stop"}
        assert listener.metas[index] == wanted
    if cut == 1:
        assert listener.first_after[0] == 2 + decoder.margins[1], "the first piece left as soon as it could"


def test_nothing_said_is_no_sound(vocoder: Vocoder) -> None:
    silent = Listener(vocoder, [torch.empty(0, 7)], [1])
    silent.run()
    assert np.concatenate(silent.heard[0]).shape == (0,)
    assert silent.metas[0]["finish_reason"] == "stop"


def test_wrong_codes_fail_alone(vocoder: Vocoder) -> None:
    good, bad, odd = job("good"), job("bad"), job("odd")
    good.chunks["codes"] = [chunk(codes_of(1, 12))]
    bad.chunks["codes"] = [chunk(codes_of(1, 12) + 4096)]
    odd.chunks["codes"] = [chunk(torch.zeros(3, 5))]
    heard, wrong, shape = vocoder.run([good, bad, odd])
    assert not isinstance(heard, Exception)
    assert isinstance(wrong, ValueError)
    assert isinstance(shape, ValueError)


def test_another_codec_is_refused_in_one_line(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text((folder / "config.json").read_text().replace("[4, 2, 1]", "[8, 4, 2, 1]"))
    with pytest.raises(LoadingError, match="only SNAC with levels"):
        load_decoder(tmp_path, CPU)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(LoadingError, match="no SNAC codec"):
        load_decoder(tmp_path, CPU)
