from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from tests.integration.stage.rig import Gateway, Replica, make_plan

from omnipipe.spec.plan import Plan


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    return make_plan(tmp_path)


@pytest.fixture
def owned() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


@pytest.fixture
def start(tmp_path: Path, plan: Plan, owned: ExitStack) -> Callable[..., Replica]:
    def start_one(stage: str = "speak", *, of: Plan | None = None, **settings: Any) -> Replica:
        return owned.enter_context(Replica(tmp_path, of or plan, stage, **settings))

    return start_one


@pytest.fixture
def connect(plan: Plan, owned: ExitStack) -> Callable[..., Gateway]:
    def connect_one(*stages: str, of: Plan | None = None, name: str = "gateway") -> Gateway:
        return owned.enter_context(Gateway(of or plan, name, stages or ("speak",)))

    return connect_one
