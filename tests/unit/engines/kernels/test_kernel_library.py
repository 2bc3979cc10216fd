"""Which of the kernels that an image has is the one for a processor; nothing is built here."""

from pathlib import Path

import pytest
import torch

from omnipipe.engines.kernels import library
from omnipipe.engines.kernels.library import cpu_flags, find_prebuilt, levels, native_name

V4, V3 = levels("x86_64")
OLD = frozenset({"sse4_2", "avx"})


@pytest.fixture
def image(tmp_path: Path) -> Path:
    """Has a library for every level of every architecture."""
    for level in (*levels("x86_64"), *levels("aarch64")):
        (tmp_path / level.file).touch()
    return tmp_path


@pytest.mark.parametrize(
    ("flags", "march"),
    [
        (V4.needs | {"amx_tile"}, "x86-64-v4"),
        (V4.needs - {"avx512vl"}, "x86-64-v3"),
        (V3.needs, "x86-64-v3"),
    ],
)
def test_the_best_that_the_processor_runs(image: Path, flags: frozenset[str], march: str) -> None:
    found = find_prebuilt(flags, image, "x86_64")
    assert found is not None
    assert found[1] == march
    assert found[0].name.endswith(f"-{march}.so")


def test_none_for_a_processor_that_runs_none_of_them(image: Path) -> None:
    assert find_prebuilt(OLD, image, "x86_64") is None
    assert find_prebuilt(V4.needs, image, "riscv64") is None


def test_the_second_best_where_the_best_is_missing(image: Path) -> None:
    (image / V4.file).unlink()
    found = find_prebuilt(V4.needs, image, "x86_64")
    assert found is not None
    assert found[1] == "x86-64-v3"


def test_arm_needs_no_more_than_every_such_processor_has(image: Path) -> None:
    found = find_prebuilt({"fp", "asimd"}, image, "aarch64")
    assert found is not None
    assert found[1] == "armv8-a"


def test_nothing_where_there_is_no_such_folder(tmp_path: Path) -> None:
    assert find_prebuilt(V4.needs, tmp_path / "none", "x86_64") is None


def test_one_made_for_another_torch_is_not_found(image: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = native_name()
    monkeypatch.setattr(torch, "__version__", "1.0")
    assert find_prebuilt(V4.needs, image, "x86_64") is None
    assert native_name() != own


def test_one_made_of_other_sources_is_not_found(image: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    header = tmp_path / "changed.h"
    header.write_text("// another line\n")
    monkeypatch.setattr(library, "HEADERS", [*library.HEADERS, header])
    assert find_prebuilt(V4.needs, image, "x86_64") is None


def test_flags_as_the_system_tells_them(tmp_path: Path) -> None:
    file = tmp_path / "cpuinfo"
    file.write_text("processor\t: 0\nflags\t\t: fpu avx2 fma\n\nprocessor\t: 1\nflags\t\t: fpu\n")
    assert cpu_flags(file) == {"fpu", "avx2", "fma"}
    file.write_text("processor\t: 0\nFeatures\t: fp asimd\n")
    assert cpu_flags(file) == {"fp", "asimd"}
    assert cpu_flags(tmp_path / "none") == frozenset()
