"""What holds for every test: a time limit for its layer, no sockets in unit tests, nothing left behind, and in CI no
skips. Warnings are errors already (pyproject)."""

import os
import sys
import time
from collections.abc import Generator

import hypothesis
import pytest
from hypothesis import strategies as st

pytest_plugins = ("tests.leak_check",)

UNIT_CPU_S = 2.0
"""What a unit test may compute. In processor time: a busy machine says nothing about a test."""
UNIT_HANG_S = 30.0
"""A unit test that is still there hangs."""
HANG_S = 400.0
"""So does any other: most take seconds, where nobody else uses the machine."""

_BUDGETED = pytest.StashKey[bool]()
"""Held to UNIT_CPU_S: a unit test without a `timeout` mark of its own."""

_in_unit_test = False


@pytest.hookimpl(trylast=True)  # after the folders that set another limit
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("timeout") is not None:
            continue
        item.add_marker(pytest.mark.timeout(UNIT_HANG_S if _is_unit(item) else HANG_S))
        item.stash[_BUDGETED] = _is_unit(item)


def pytest_configure() -> None:
    sys.addaudithook(_refuse_sockets)
    hypothesis.settings.register_profile(
        "omnipipe",
        deadline=None,  # the test's own limit holds; one slow example on a busy machine means nothing
        derandomize=bool(os.environ.get("CI")),  # the same examples for the same code; people's runs go exploring
        suppress_health_check=[hypothesis.HealthCheck.too_slow],
    )
    hypothesis.settings.load_profile("omnipipe")


def pytest_collection_finish(session: pytest.Session) -> None:
    """Lets hypothesis build its table of characters (seconds, once for a checkout) outside any test's limit."""
    if any(hypothesis.is_hypothesis_test(getattr(item, "obj", None)) for item in session.items):
        st.text().validate()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, object, object]:
    global _in_unit_test
    _in_unit_test = _is_unit(item)
    try:
        return (yield)
    finally:
        _in_unit_test = False


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    began = time.process_time()
    result = yield
    spent = time.process_time() - began
    if item.stash.get(_BUDGETED, False) and spent > UNIT_CPU_S:
        pytest.fail(f"a unit test computes for at most {UNIT_CPU_S:g} s, this one took {spent:.1f} s", pytrace=False)
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.skipped and not hasattr(report, "wasxfail"):
        _fail_in_ci(report)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report() -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
    report = yield
    if report.skipped:
        _fail_in_ci(report)
    return report


def _fail_in_ci(report: pytest.TestReport | pytest.CollectReport) -> None:
    """A machine that cannot run a test is found out there, not by a reader of the log."""
    if os.environ.get("CI"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"skipped, which CI does not allow: {reason}"


def _is_unit(item: pytest.Item) -> bool:
    return "unit" in item.nodeid.partition("::")[0].split("/")


def _refuse_sockets(event: str, _: tuple[object, ...]) -> None:
    """An audit hook, because it sees every library and cannot be undone by one."""
    if _in_unit_test and event in ("socket.bind", "socket.connect", "socket.getaddrinfo"):
        raise RuntimeError(f"{event}: a unit test opens no sockets; this one belongs in tests/integration")
