"""Trains talker and code predictor to speak what the thinker says: `python -m tools.tiny_omni.train_talker --into DIR`.

The input is laid out as `generate` does it: the user's turn, the assistant's header, then frame by frame the codes of
the frame before plus the next character. What the thinker makes of media is noise here: the talker has to ignore it.
"""

import argparse
import math
import random
import string
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch
from tools.tiny_omni.batching import make_processor
from tools.tiny_omni.checkpoint import load, save
from tools.tiny_omni.muon import optimizers
from tools.tiny_omni.questions import questions
from tools.tiny_omni.shape import CODEC_EOS, HIDDEN, make_config
from tools.tiny_omni.tones import VOICES, codes_of, spoken
from tools.tiny_omni.train_thinker import make_thinker
from torch import Tensor, nn
from transformers.models.qwen3_omni_moe.modeling_qwen3_omni_moe import (
    Qwen3OmniMoeTalkerForConditionalGeneration as Talker,
)

__all__ = ["NAME", "make_talker"]

NAME: Final = "talker"
_WARMUP_STEPS: Final = 100
_FRAMES_OF_PREDICTOR: Final = 160
"""Frames of a batch that the code predictor learns from."""
_LONG_SHARE: Final = 0.2
_LONGEST: Final = 1000
"""Characters."""
_IGNORED: Final = -100


@dataclass(frozen=True, slots=True)
class Line:
    """Something to say, and what came before."""

    user: Tensor
    """`[m, hidden]`: thinker embeddings, or noise where media would be."""
    media: Tensor
    """`bool[m]`"""
    text: list[int]
    codes: list[tuple[int, int, int, int]]
    """With a frame of silence at the end: code2wav gives the last frame of all only in part."""
    voice: int
    jump: int
    """Positions that media took and that no token stands for."""


def make_talker() -> Any:
    config: Any = make_config(make_processor().tokenizer).talker_config
    for part in (config, config.text_config, config.code_predictor_config):
        part.initializer_range = 0.04
    talker: Any = Talker._from_config(config)  # type: ignore[no-untyped-call]
    with torch.no_grad():
        for name, parameter in talker.named_parameters():
            if ".experts." in name or name.endswith("mlp.gate.weight"):
                parameter.normal_(0.0, 0.04)  # which transformers leaves as the memory was
    return talker


class Lines:
    def __init__(self, seed: int) -> None:
        self._rng = random.Random(seed)
        self._noise = torch.Generator().manual_seed(seed)
        self._questions = questions(self._rng)
        self._tokenizer = make_processor().tokenizer
        self.embeddings: Tensor = make_thinker().get_input_embeddings().weight.detach()
        self.config: Any = make_config(self._tokenizer)

    def batch(self, rows: int) -> list[Line]:
        """Now and then a few long ones, to be read aloud."""
        if self._rng.random() < _LONG_SHARE:
            return [self.draw(self._rng.randint(100, _LONGEST)) for _ in range(max(1, rows // 8))]
        return [self.draw() for _ in range(rows)]

    def draw(self, size: int = 0) -> Line:
        rng = self._rng
        question = next(self._questions)
        text = question.answer if rng.random() < 0.35 else self._text()
        while len(text) < size:
            text += " " + self._text()
        voice = rng.choice(list(VOICES))
        user, media = self._user(question.text)
        codes = [*codes_of(spoken(text), voice), (0, 0, 0, 0)]
        ids = self._tokenizer.encode(text)
        assert len(ids) + 1 == len(codes), text
        speaker = int(self.config.talker_config.speaker_id[voice])
        return Line(user, media, ids, codes, speaker, rng.choice((0, 0, rng.randint(0, 60))))

    def _text(self) -> str:
        """Words, numbers, any signs; short mostly."""
        rng = self._rng
        most = rng.choice((8, 16, 24, 32, 64))
        text = ""
        while len(text) < most:
            kind = rng.random()
            letters = rng.choice((string.ascii_lowercase, string.ascii_letters, string.digits, string.printable[:-5]))
            piece = "".join(rng.choice(letters) for _ in range(rng.randint(1, 8)))
            piece = piece[0] * rng.randint(2, 4) if kind < 0.1 else "é你" if kind < 0.14 else piece
            text += piece + rng.choice((" ", " ", ", ", ". ", "! ", "\n", ""))
        text = text[: rng.randint(1, most)]
        for role in ("system", "user", "assistant"):  # these are one token each: not spelled
            text = text.replace(role, role[0])
        return text

    def _user(self, text: str) -> tuple[Tensor, Tensor]:
        """A turn of the user's as `generate` cuts it out, or none, as where text is only to be read aloud."""
        rng = self._rng
        if rng.random() < 0.1:
            return torch.empty(0, HIDDEN), torch.empty(0, dtype=torch.bool)
        text = text if rng.random() < 0.6 else self._text()
        ids = self._tokenizer.encode(f"<|im_start|>user\n{text}<|im_end|>\n")
        size = rng.choice((0, 0, 4, 6, 8, 12))
        noise = torch.randn(size, HIDDEN, generator=self._noise) * math.exp(rng.uniform(-3.0, 1.5))
        rows = self.embeddings[ids]
        rows = torch.cat((rows[:3], noise, rows[3:]))
        media = torch.zeros(len(rows), dtype=torch.bool)
        media[3 : 3 + size] = True
        return rows, media


def embedded(talker: Any, lines: Lines, batch: Sequence[Line]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Inputs, positions, mask, and the codes to say: `[rows, length, groups]`, ignored where there is nothing."""
    config = lines.config
    specials = [config.tts_bos_token_id, config.tts_eos_token_id, config.tts_pad_token_id]
    header = [config.im_start_token_id, config.assistant_token_id, lines._tokenizer.encode("\n")[0]]
    bos, eos, pad = talker.text_projection(lines.embeddings[specials])
    begin = talker.text_projection(lines.embeddings[header])
    rows, wanted, positions = [], [], []
    for line in batch:
        user = torch.where(line.media[:, None], talker.hidden_projection(line.user), talker.text_projection(line.user))
        said = talker.text_projection(lines.embeddings[line.text])
        speech = config.talker_config
        control = [speech.codec_nothink_id, speech.codec_think_bos_id, speech.codec_think_eos_id]
        control += [line.voice, speech.codec_pad_id, speech.codec_bos_id]
        opening = torch.cat((pad.expand(4, -1), bos[None], said[:1])) + talker.model.codec_embedding.weight[control]
        codes = torch.tensor(line.codes)
        spoken_before = talker.model.codec_embedding(codes[:, 0])
        for group, embedding in enumerate(talker.code_predictor.model.codec_embedding, 1):
            spoken_before = spoken_before + embedding(codes[:, group])
        steps = spoken_before + torch.cat((said[1:], eos[None], pad[None]))
        rows.append(torch.cat((user, begin, opening, steps)))
        before = len(user) + 8
        labels = torch.full((len(rows[-1]), codes.shape[1]), _IGNORED)
        labels[before:-1] = codes
        labels[-1, 0] = CODEC_EOS
        wanted.append(labels)
        place = torch.arange(len(rows[-1]))
        positions.append(torch.where(place < len(user), place, place + line.jump))
    inputs = nn.utils.rnn.pad_sequence(rows, batch_first=True)
    mask = nn.utils.rnn.pad_sequence([torch.ones(len(row), dtype=torch.long) for row in rows], batch_first=True)
    labels = nn.utils.rnn.pad_sequence(wanted, batch_first=True, padding_value=_IGNORED)
    return inputs, nn.utils.rnn.pad_sequence(positions, batch_first=True), mask, labels


def loss_of(talker: Any, lines: Lines, batch: Sequence[Line]) -> tuple[Tensor, float, float]:
    """The loss, and the shares of symbols and of residual codes that are wrong."""
    inputs, positions, mask, labels = embedded(talker, lines, batch)
    hidden = talker.model(
        inputs_embeds=inputs, attention_mask=mask, position_ids=positions.expand(3, -1, -1), use_cache=False
    ).last_hidden_state
    there = labels[..., 0] != _IGNORED
    logits, symbols = talker.codec_head(hidden[there]), labels[there][:, 0]
    loss = nn.functional.cross_entropy(logits, symbols)
    frames = (labels[..., -1] != _IGNORED).nonzero()
    frames = frames[torch.randperm(len(frames))[:_FRAMES_OF_PREDICTOR]]
    codes = labels[frames[:, 0], frames[:, 1]]
    predictor = talker.code_predictor
    steps = [hidden[frames[:, 0], frames[:, 1]], talker.model.codec_embedding(codes[:, 0])]
    steps += [predictor.model.codec_embedding[group - 1](codes[:, group]) for group in range(1, codes.shape[1] - 1)]
    states = predictor.model(inputs_embeds=torch.stack(steps, 1), use_cache=False).last_hidden_state
    wrong = 0.0
    for group, head in enumerate(predictor.lm_head, 1):
        residual = head(states[:, group])
        loss = loss + nn.functional.cross_entropy(residual, codes[:, group])
        wrong += (residual.argmax(-1) != codes[:, group]).float().mean().item() / len(predictor.lm_head)
    return loss, (logits.argmax(-1) != symbols).float().mean().item(), wrong


def train(into: Path, steps: int, rows: int, rate: float, seed: int) -> None:
    torch.manual_seed(seed)
    talker = make_talker().train()
    muon, adam = optimizers(talker, rate)
    first = load(into, NAME, talker, adam)
    load(into, f"{NAME}-muon", nn.Module(), muon)
    lines = Lines(seed + first)
    began = time.monotonic()
    total = torch.zeros(3)
    for step in range(first, steps):
        for optimizer in (muon, adam):
            for settings in optimizer.param_groups:
                share = min(1.0, (step + 1) / _WARMUP_STEPS, 3 * (steps - step) / steps)
                settings["lr"] = rate * share * (1.0 if optimizer is muon else 0.5)
        loss, symbols, residual = loss_of(talker, lines, lines.batch(rows))
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(talker.parameters(), 1.0)
        for optimizer in (muon, adam):
            optimizer.step()
            optimizer.zero_grad()
        total += torch.tensor([loss.item(), symbols, residual])
        if (step + 1) % 50 == 0:
            mean = (total / 50).tolist()
            spent = time.monotonic() - began
            print(
                f"{step + 1} loss {mean[0]:.4f} wrong symbols {mean[1]:.2%} residual {mean[2]:.2%} {spent:.0f} s",
                flush=True,
            )
            total.zero_()
        if (step + 1) % 200 == 0 or step + 1 == steps:
            save(into, NAME, talker, adam, step + 1)
            save(into, f"{NAME}-muon", nn.Module(), muon, step + 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--into", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=1300)
    parser.add_argument("--rows", type=int, default=16)
    parser.add_argument("--rate", type=float, default=0.005)
    parser.add_argument("--seed", type=int, default=7)
    args = parser.parse_args()
    torch.set_num_threads(1)
    train(args.into, args.steps, args.rows, args.rate, args.seed)


if __name__ == "__main__":
    main()
