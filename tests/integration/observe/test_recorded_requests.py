"""Request events of a real pipeline, from the processes that wrote them to the report a person reads."""

from pathlib import Path

import pytest
from tests.integration.local.served import ECHO, Served

from omnipipe.cli.entry import main
from omnipipe.observe.events import EventName
from omnipipe.observe.reading import hops, load_events, phases


def record(folder: Path, *options: str) -> Path:
    """One request that asks for events and one that does not; the folder they were written to."""
    manifest = folder / "echo.yaml"
    manifest.write_text(ECHO)
    events = folder / "events"
    with Served(folder, manifest, "--port", "0", "--events-dir", events, *options) as served:
        with served.client() as client:
            for name, body in (("asked", {"events": True}), ("silent", {})):
                client.chat.completions.create(
                    model="echo",
                    messages=[{"role": "user", "content": "one two three"}],
                    extra_headers={"x-request-id": name},
                    extra_body=body,
                )
        assert served.stop() == 0
    return events


def test_a_request_can_be_followed_through_every_process(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = record(tmp_path)
    recording = load_events(folder)
    assert recording.skipped == 0
    assert set(recording.request_ids()) == {"asked", "silent"}
    timeline = recording.timeline("asked")
    processes = {moment.process for moment in timeline}
    assert processes == {"gateway", "ingest-0", "words-0", "pitch-0", "compose-0"}, "text needs no synth"
    assert timeline[0].name is EventName.REQUEST_ADMITTED
    assert timeline[-1].name in (EventName.REQUEST_END, EventName.STAGE_DONE)
    found = {(phase.process, phase.name) for phase in phases(recording)}
    assert ("gateway", "whole request") in found
    assert ("compose-0", "inputs ready to first output") in found
    edges = {hop.edge: hop.seconds for hop in hops(recording)}
    assert set(edges) >= {"ingest>words", "ingest>pitch", "words>compose", "pitch>compose"}
    assert min(edges.values()) >= 0

    with pytest.raises(SystemExit) as ended:
        main(["profile", str(folder)])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert "2 requests" in shown
    assert "words>compose" in shown


def test_only_those_that_ask(tmp_path: Path) -> None:
    recording = load_events(record(tmp_path, "--events-of", "asked"))
    assert recording.request_ids() == ["asked"]
    assert {moment.process for moment in recording.moments} >= {"gateway", "compose-0"}


def test_profile_says_what_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for words in (["profile", str(tmp_path / "gone")], ["profile", str(tmp_path), "--request", "nobody"]):
        with pytest.raises(SystemExit) as ended:
            main(words)
        assert ended.value.code == 1
        assert len(capsys.readouterr().err.splitlines()) == 1
