"""Pytest plugin: a test that leaves something behind fails, and says what.

Each test is compared with itself: what is held after its fixtures are gone and was not before. What a fixture of a
wider scope (class, module, package, session) takes while it is set up belongs to that fixture and is asked back after
its teardown. A fixture that takes more later (a connection pool, a server that starts threads on demand) says so:

    @pytest.fixture(scope="module")
    def client(long_lived):
        with long_lived("the client's pool"), httpx.Client() as client:
            yield client

What appears inside that block is not held against the tests that use the fixture, and is asked back at its end. Asyncio
tasks are compared inside the test's own loop, before it closes and would cancel them silently.
"""

import asyncio
import gc
import inspect
import os
import secrets
import shutil
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Literal

import pytest
import pytest_asyncio
from _pytest.fixtures import FixtureDef, SubRequest
from tests.leaks import MARK, Held, describe, held, unmapped

__all__ = ["LongLived"]

LongLived = Callable[[str], AbstractContextManager[None]]

GRACE_S = float(os.environ.get("OMNIPIPE_LEAK_GRACE_S", "20"))
"""What is about to end by itself (a thread past its last line, a child past its lifeline) gets this long."""

_POLL_S = 0.02


class LeakCheck:
    """What is held and by whom, from the start of the session to its end."""

    def __init__(self, temporary: Path) -> None:
        self.temporary = temporary
        self.owned: dict[object, Held] = {}
        """Fixture of a wider scope -> what it took during its setup."""
        self.setting_up: list[str] = []
        """Fixtures that are being set up now, the innermost last."""
        self.growing: list[str] = []
        """Fixtures inside a `long_lived` block."""
        self.loose: dict[str, Held] = {}
        """Test -> what appeared during it, while a `long_lived` fixture of its own was there to have taken it."""
        self.complaints: list[str] = []
        self.start = Held()
        self.descendants = False

    def now(self) -> Held:
        return held(self.temporary, descendants=self.descendants)

    def before_test(self, item: pytest.Item) -> None:
        self.descendants = "unit" not in item.nodeid.partition("::")[0].split("/")
        self.start = self.now()

    def after_test(self, item: pytest.Item) -> list[str]:
        """Lines about what the test left, and what wider fixtures that ended with it left."""
        lines, self.complaints = self.complaints, []
        if item.stash.get(_FAILED, False):
            return lines  # its traceback keeps whatever it had open: one complaint is enough
        if set(self.growing) & set(getattr(item, "fixturenames", ())):
            self.loose[item.nodeid] = self._left_by_test()
            return lines
        return lines + describe(self._settle(self._left_by_test))

    def after_setup(self, fixture: object, before: Held) -> None:
        self.owned[fixture] = self.now() - before

    def after_teardown(self, fixture: object, name: str) -> None:
        self._ask_back(self.owned.pop(fixture, Held()), f"fixture {name!r}")

    @contextmanager
    def long_lived(self, name: str) -> Iterator[None]:
        fixture = self.setting_up[-1]
        self.growing.append(fixture)
        try:
            yield
        finally:
            self.growing.remove(fixture)
            if not self.growing:
                loose, self.loose = self.loose, {}
                for test, took in loose.items():
                    self._ask_back(took, f"{name}, during {test}")

    def _ask_back(self, took: Held, by: str) -> None:
        if took:
            left = self._settle(lambda: self.now() & took)
            self.complaints += [f"{line} (taken by {by})" for line in describe(left)]

    def _left_by_test(self) -> Held:
        left = self.now() - self.start
        for taken in [*self.owned.values(), *self.loose.values()]:
            left -= taken
        if left.segments:
            left = Held(**{**vars(left), "segments": unmapped(left.segments)})
        return left

    def _settle(self, look: Callable[[], Held]) -> Held:
        left = look()
        if left:
            gc.collect()  # a cycle may hold it; what closes itself there warns, and a warning fails the test
            deadline = time.monotonic() + GRACE_S
            while (left := look()) and time.monotonic() < deadline:
                time.sleep(_POLL_S)
        return left


_CHECK = pytest.StashKey[LeakCheck]()
_FAILED = pytest.StashKey[bool]()


def pytest_configure(config: pytest.Config) -> None:
    """Marks our descendants and gives the session a temporary folder that nobody else writes to. pytest's own
    `tmp_path` stays where it is, so that what a failed test wrote can be looked at."""
    os.environ[MARK] = secrets.token_hex(8)
    os.environ.setdefault("PYTEST_DEBUG_TEMPROOT", tempfile.gettempdir())
    folder = Path(tempfile.mkdtemp(prefix="op-"))
    # torch makes this folder when it is imported, whether it compiles or not: a cache, and no test's.
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(Path(tempfile.gettempdir()) / "torchinductor-of-tests"))
    os.environ["TMPDIR"] = tempfile.tempdir = str(folder)
    os.environ.pop("XDG_RUNTIME_DIR", None)
    config.stash[_CHECK] = LeakCheck(folder)


def pytest_unconfigure(config: pytest.Config) -> None:
    check = config.stash.get(_CHECK, None)
    if check is not None:
        shutil.rmtree(check.temporary, ignore_errors=True)
        tempfile.tempdir = None


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None]:
    item.config.stash[_CHECK].before_test(item)
    return (yield)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None]:
    yield
    lines = item.config.stash[_CHECK].after_test(item)
    if lines:
        pytest.fail("the test left something behind:\n  " + "\n  ".join(lines), pytrace=False)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        item.stash[_FAILED] = True
    return report


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: FixtureDef[object], request: SubRequest) -> Generator[None, object, object]:
    if fixturedef.scope == "function":
        return (yield)
    check = request.config.stash[_CHECK]
    before = check.now()
    check.setting_up.append(fixturedef.argname)
    try:
        return (yield)
    finally:
        check.setting_up.pop()
        check.after_setup(fixturedef, before)


def pytest_fixture_post_finalizer(fixturedef: FixtureDef[object], request: SubRequest) -> None:
    if fixturedef.scope != "function":
        request.config.stash[_CHECK].after_teardown(fixturedef, fixturedef.argname)


@pytest.fixture(scope="session")
def long_lived(request: pytest.FixtureRequest) -> LongLived:
    """For fixtures of a wider scope that take more after their setup: see the module's docstring."""
    return request.config.stash[_CHECK].long_lived


@pytest.fixture(autouse=True)
def _tasks_end(request: pytest.FixtureRequest) -> None:
    """Set up first, so torn down last: the tasks of a test's own async fixtures are gone by then."""
    marker = request.node.get_closest_marker("asyncio")
    if marker is not None and inspect.iscoroutinefunction(getattr(request.node, "obj", None)):
        request.getfixturevalue(f"_{marker.kwargs.get('loop_scope') or 'function'}_loop_tasks_end")


async def _compare_tasks() -> AsyncIterator[None]:
    own = asyncio.current_task()
    before = asyncio.all_tasks()
    yield
    left = asyncio.all_tasks() - before - {own, asyncio.current_task()}
    if left:
        _, left = await asyncio.wait(left, timeout=GRACE_S)
    if left:
        names = "\n  ".join(f"task {task.get_name()!r} still runs: {task.get_coro()!r}" for task in left)
        pytest.fail(f"the test left something behind:\n  {names}", pytrace=False)


def _for_loop(scope: Literal["function", "class", "module", "session"]) -> Callable[..., AsyncIterator[None]]:
    async def compare_tasks() -> AsyncIterator[None]:  # one each: the scope is noted on the function itself
        async for _ in _compare_tasks():
            yield

    return pytest_asyncio.fixture(compare_tasks, loop_scope=scope, name=f"_{scope}_loop_tasks_end")


_of_function = _for_loop("function")
_of_class = _for_loop("class")
_of_module = _for_loop("module")
_of_session = _for_loop("session")
