from pathlib import Path

import pytest

from omnipipe import __version__
from omnipipe.cli.arguments import GatewayArgs, GraphArgs, ServeArgs, StageArgs, ValidateArgs
from omnipipe.cli.exits import HELP, Exit
from omnipipe.cli.parser import parse

COMMANDS = ("serve", "validate", "plan", "graph", "families", "stage", "gateway")
DOCS = Path(__file__).parents[3] / "docs" / "cli.md"


def test_serve_with_what_it_needs_and_no_more() -> None:
    args = parse(["serve", "a.yaml", "b.yaml"])
    assert isinstance(args, ServeArgs)
    assert args.files == (Path("a.yaml"), Path("b.yaml"))
    assert (args.gateway.host, args.gateway.port, args.gateway.grace_s) == ("127.0.0.1", 8000, 30.0)
    assert args.process.log_format == "text"


def test_every_option_of_serve_arrives() -> None:
    line = (
        "serve a.yaml --host ::1 --port 0 --api-keys-file k --cors-origin https://a --cors-origin https://b "
        "--max-body-bytes 5 --grace-s 1.5 --no-access-log --own-request-ids --events-dir e --log-format json "
        "--log-level debug --run-dir r"
    )
    args = parse(line.split())
    assert isinstance(args, ServeArgs)
    assert args.run_dir == Path("r")
    assert (args.gateway.host, args.gateway.port, args.gateway.api_keys_file) == ("::1", 0, Path("k"))
    assert args.gateway.cors_origins == ("https://a", "https://b")
    assert (args.gateway.max_body_bytes, args.gateway.grace_s) == (5, 1.5)
    assert not args.gateway.access_log
    assert not args.gateway.trust_request_id
    assert (args.process.events_dir, args.process.log_format, args.process.log_level) == (Path("e"), "json", "debug")


def test_what_containers_run() -> None:
    stage = parse(["stage", "--plan", "p", "--stage", "synth", "--replica", "2", "--admin", "unix:/a"])
    assert isinstance(stage, StageArgs)
    assert (stage.plan, stage.stage, stage.replica, stage.admin) == (Path("p"), "synth", 2, "unix:/a")
    gateway = parse(["gateway", "--plan", "p", "q", "--listen-fd", "5"])
    assert isinstance(gateway, GatewayArgs)
    assert (gateway.plans, gateway.listen_fd) == ((Path("p"), Path("q")), 5)


def test_looking_at_manifests() -> None:
    assert parse(["validate", "a", "b"]) == ValidateArgs(paths=(Path("a"), Path("b")))
    assert parse(["graph", "a", "--format", "mermaid"]) == GraphArgs(file=Path("a"), format="mermaid")


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("", "required: COMMAND"),
        ("serve", "required: FILE"),
        ("serv a", "invalid choice: 'serv'"),
        ("serve a --port 70000", "--port: must be from 0 to 65535"),
        ("serve a --port x", "--port: must be a whole number"),
        ("serve a --grace-s -1", "--grace-s: must be from 0 to 86400 seconds"),
        ("serve a --grace-s nan", "--grace-s: must be from 0 to 86400 seconds"),
        ("serve a --prot 1", "unrecognized arguments: --prot"),
        ("graph a --format svg", "invalid choice: 'svg'"),
        ("stage --plan p", "required: --stage"),
    ],
)
def test_a_wrong_command_line_exits_with_2(line: str, complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(line.split())
    assert ended.value.code == Exit.USAGE
    assert complaint in capsys.readouterr().err


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse([command, "--help"])
    assert ended.value.code == 0
    assert f"usage: omnipipe {command}" in capsys.readouterr().out


def test_help_lists_commands_and_exit_codes(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["--help"])
    out = capsys.readouterr().out
    assert all(f"    {command} " in out for command in COMMANDS)
    assert HELP in out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        parse(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"omnipipe {__version__}\n"


def test_the_docs_name_every_exit_code_and_option_of_serve(capsys: pytest.CaptureFixture[str]) -> None:
    text = DOCS.read_text()
    assert all(f"| {code.value} |" in text for code in Exit)
    with pytest.raises(SystemExit):
        parse(["serve", "--help"])
    options = {word.strip("[],") for word in capsys.readouterr().out.split() if word.startswith(("--", "[--"))}
    assert {option for option in options if f"`{option}" not in text} == {"--help"}
