"""schemathesis over the whole OpenAPI document: whatever it makes up, the answer is one that the document names."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.fixture
async def port() -> AsyncIterator[int]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.integration.gateway.fake_gateway", stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        yield int(await process.stdout.readline())
    finally:
        process.kill()
        await process.communicate()


@pytest.mark.timeout(400)
async def test_every_answer_is_one_the_document_names(port: int, tmp_path: Path) -> None:
    arguments = ["--config-file", str(HERE / "schemathesis.toml"), "run", f"http://127.0.0.1:{port}/openapi.yaml"]
    options = ["--header", "Authorization: Bearer secret", "--checks", "all", "--max-examples", "10", "--no-color"]
    options += ["--suppress-health-check", "too_slow"]  # that would be the machine
    if os.environ.get("CI"):
        options += ["--seed", "1"]  # the same cases for the same code; people's runs go exploring
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "schemathesis.cli", *arguments, *options),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        cwd=tmp_path,  # it leaves a database of examples behind
        env={
            **os.environ,
            "SCHEMATHESIS_HOOKS": "tests.integration.gateway.schemathesis_hooks",
            "PYTHONPATH": str(Path.cwd()),
        },
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode(errors="replace")
