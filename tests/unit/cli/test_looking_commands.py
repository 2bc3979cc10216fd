"""validate, plan, graph and families, as typed."""

import json
from pathlib import Path

import pytest

from omnipipe.cli import main
from omnipipe.spec.plan import Plan
from omnipipe.wire.keys import load_keys

ROOT = Path(__file__).parents[3]
BROKEN = ROOT / "tests" / "unit" / "spec" / "broken"
ECHO = ROOT / "examples" / "echo.yaml"


def run(capsys: pytest.CaptureFixture[str], *words: str | Path) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(list(map(str, words)))
    captured = capsys.readouterr()
    assert isinstance(ended.value.code, int)
    return ended.value.code, captured.out, captured.err


def test_validate_prints_every_finding_of_a_folder(capsys: pytest.CaptureFixture[str]) -> None:
    files = sorted(BROKEN.rglob("*.yaml"))
    expected = [f"{file.parent}/{line}" for file in files for line in file.with_suffix(".txt").read_text().splitlines()]
    code, out, err = run(capsys, "validate", BROKEN)
    assert (code, err) == (1, "")
    *lines, summary = out.splitlines()
    assert lines == expected
    assert summary == f"{len(expected)} findings in {len(files)} of {len(files)} files"


def test_validate_is_content_with_the_examples(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "validate", ROOT / "examples")
    assert code == 0
    assert out == f"{len(list((ROOT / 'examples').rglob('*.yaml')))} files valid\n"


def test_validate_goes_on_after_a_file_that_is_not_there(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, out, _ = run(capsys, "validate", tmp_path / "missing.yaml", ECHO)
    assert code == 1
    assert out.splitlines() == [
        f"{tmp_path}/missing.yaml: cannot read it: no such file or directory",
        "1 finding in 1 of 2 files",
    ]


def test_validate_of_a_folder_without_manifests(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    code, _, err = run(capsys, "validate", tmp_path)
    assert (code, err) == (1, f"omnipipe: no *.yaml or *.yml file in {tmp_path}\n")


def test_a_file_too_large_to_be_a_manifest_is_not_read_whole(
    capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    file = tmp_path / "weights.yaml"
    with file.open("wb") as stream:
        stream.truncate(1 << 30)
    code, _, err = run(capsys, "plan", file)
    assert code == 1
    assert err == f"omnipipe: cannot read {file}: more than 4 MiB is no manifest\n"


def test_plan_is_what_a_process_reads(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "plan", ECHO)
    assert code == 0
    plan = Plan.from_json(out)
    assert plan.pipeline == "assistant"
    assert plan.stage("synth").addresses == ("ipc:///run/omnipipe/synth-0.sock",)
    assert json.loads(out)["version"] == 1


def test_graph_for_a_terminal_and_for_markdown(capsys: pytest.CaptureFixture[str]) -> None:
    _, text, _ = run(capsys, "graph", ECHO)
    assert "compose  ~>  synth" in text
    _, mermaid, _ = run(capsys, "graph", ECHO, "--format", "mermaid")
    assert mermaid.startswith("flowchart LR\n")


def test_families_shows_stages_and_outputs(capsys: pytest.CaptureFixture[str]) -> None:
    code, out, _ = run(capsys, "families")
    assert code == 0
    assert out.startswith("echo: ")
    assert "  outputs: text, audio\n" in out
    assert "  compose  Waits for both branches" in out


def test_findings_are_printed_as_they_are(capsys: pytest.CaptureFixture[str]) -> None:
    file = BROKEN / "model-unknown-family.yaml"
    code, out, err = run(capsys, "graph", file)
    assert (code, out) == (1, "")
    assert err == f"{BROKEN}/{file.with_suffix('.txt').read_text()}"


def test_a_bug_is_one_line(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("omnipipe.cli.show.family_names", lambda: 1 / 0)
    code, _, err = run(capsys, "families")
    assert code == 70
    assert err == "omnipipe: this is a bug: ZeroDivisionError: division by zero (OMNIPIPE_DEBUG=1 shows where)\n"


def test_debug_shows_where(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMNIPIPE_DEBUG", "1")
    code, _, err = run(capsys, "plan", "missing.yaml")
    assert code == 1
    assert err.startswith("Traceback ")
    assert err.endswith("omnipipe: cannot read missing.yaml: no such file or directory\n")


def test_keys_are_private_loadable_and_never_overwritten(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    folder = tmp_path / "keys"
    assert run(capsys, "keys", folder)[0] == 0
    made = load_keys(folder)
    assert made.server_secret and {file.stat().st_mode & 0o777 for file in folder.iterdir()} == {0o600}
    code, _, err = run(capsys, "keys", folder)
    assert (code, err) == (1, f"omnipipe: {folder}/server.pub exists: keys are never overwritten\n")
    assert load_keys(folder) == made
