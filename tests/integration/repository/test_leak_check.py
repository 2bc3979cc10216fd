"""The leak check itself: every kind of leak fails the test that made it and no other test."""

import os
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).parents[3]

LEAKY = """
import asyncio, os, socket, subprocess, sys, tempfile, threading, time, mmap
from pathlib import Path
import pytest

kept = []
stop = threading.Event()

async def _forever():
    await asyncio.Event().wait()

async def test_leaks_task():
    kept.append(asyncio.create_task(_forever(), name="forgotten"))

@pytest.mark.asyncio(loop_scope="module")
async def test_leaks_task_in_module_loop():
    kept.append(asyncio.create_task(_forever(), name="forgotten in module"))

def test_leaks_thread():
    threading.Thread(target=stop.wait, name="forgotten thread").start()

def test_stops_thread():
    stop.set()

def test_leaks_socket():
    kept.append(socket.socketpair())

def test_leaks_file():
    kept.append(os.open(__file__, os.O_RDONLY))

def test_leaks_memfd():
    fd = os.memfd_create("forgotten-memory")
    os.ftruncate(fd, 4096)
    kept.append(mmap.mmap(fd, 4096))
    os.close(fd)

def test_leaks_segment():
    path = Path(f"/dev/shm/forgotten-{os.getpid()}")
    path.write_bytes(b"x")

def test_removes_segment():
    Path(f"/dev/shm/forgotten-{os.getpid()}").unlink()

def test_leaks_child():
    kept.append(subprocess.Popen([sys.executable, "-c", "import time; time.sleep(120)"]))

def test_leaks_zombie():
    child = subprocess.Popen([sys.executable, "-c", ""])
    kept.append(child)
    deadline = time.monotonic() + 60
    while Path(f"/proc/{child.pid}/stat").read_text().split()[2] != "Z" and time.monotonic() < deadline:
        time.sleep(0.01)

def test_leaks_orphan():
    sleeper = [sys.executable, "-c", "import time; time.sleep(120)"]
    code = f"import subprocess; print(subprocess.Popen({sleeper!r}, stdout=2).pid)"
    parent = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    kept.append(int(parent.stdout))

def test_ends_processes():
    os.kill(kept.pop(), 9)
    kept.pop().wait()
    child = kept.pop()
    child.kill()
    child.wait()

def test_leaks_folder():
    tempfile.mkdtemp(prefix="forgotten-")

def test_is_skipped():
    pytest.skip("no such hardware")

def test_clean_thread_that_is_about_to_end():
    threading.Thread(target=time.sleep, args=(0.1,)).start()

async def test_clean_task_that_is_about_to_end():
    asyncio.create_task(asyncio.sleep(0.05))

@pytest.fixture(scope="module")
def wide():
    pair = socket.socketpair()
    yield pair
    for one in pair:
        one.close()

@pytest.fixture(scope="module")
def pool(long_lived):
    with long_lived("the pool"):
        opened = []
        yield opened
        for one in opened:
            one.close()

def test_clean_with_wide_fixture(wide):
    pass

def test_clean_with_growing_pool(pool, wide):
    pool += socket.socketpair()

def test_clean_beside_growing_pool(pool):
    pass
"""

LEAKY_FIXTURE = """
import socket
import pytest

kept = []

@pytest.fixture(scope="module")
def wide():
    kept.append(socket.socketpair())

def test_first(wide):
    pass

def test_leaks_by_fixture(wide):
    pass
"""

UNIT = """
import socket
import time
import pytest

def test_opens_a_socket():
    with socket.socket() as one, pytest.raises(RuntimeError, match="opens no sockets"):
        one.bind(("127.0.0.1", 0))

def test_cannot_hang(request):
    assert request.node.get_closest_marker("timeout").args == (30.0,)

def test_computes_too_long():
    end = time.process_time() + 2.05
    while time.process_time() < end:
        pass
"""


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Test name -> what was said of it, empty when it passed."""
    folder = tmp_path_factory.mktemp("leaky")
    (folder / "test_leaky.py").write_text(LEAKY)
    (folder / "test_leaky_fixture.py").write_text(LEAKY_FIXTURE)
    (folder / "unit").mkdir()
    (folder / "unit" / "test_unit.py").write_text(UNIT)
    report = folder / "report.xml"
    command = [
        *(sys.executable, "-m", "pytest", "-p", "tests.conftest", "-p", "no:cacheprovider", "-q"),
        *("-c", str(ROOT / "pyproject.toml"), "--rootdir", str(folder), "--junitxml", str(report), str(folder)),
    ]
    environ = os.environ | {"PYTHONPATH": str(ROOT), "CI": "1", "OMNIPIPE_LEAK_GRACE_S": "1"}
    ran = subprocess.run(command, cwd=ROOT, env=environ, capture_output=True, text=True, timeout=240, check=False)
    assert report.exists(), ran.stdout + ran.stderr
    said: dict[str, str] = {}
    for case in ElementTree.parse(report).iter("testcase"):
        messages = [found.get("message", "") + (found.text or "") for found in case]
        said[case.get("name", "")] = said.get(case.get("name", ""), "") + "".join(messages)
    return said


@pytest.mark.parametrize(
    ("test", "words"),
    [
        ("test_leaks_task", "task 'forgotten' still runs"),
        ("test_leaks_task_in_module_loop", "task 'forgotten in module' still runs"),
        ("test_leaks_thread", "thread 'forgotten thread' still runs"),
        ("test_leaks_socket", "is open: socket:["),
        ("test_leaks_file", "test_leaky.py"),
        ("test_leaks_memfd", "forgotten-memory"),
        ("test_leaks_segment", "/dev/shm/forgotten-"),
        ("test_leaks_child", "still runs"),
        ("test_leaks_zombie", "was never waited for"),
        ("test_leaks_orphan", "time.sleep(120)"),
        ("test_leaks_folder", "forgotten-"),
        ("test_leaks_by_fixture", "taken by fixture 'wide'"),
        ("test_is_skipped", "skipped, which CI does not allow"),
        ("test_computes_too_long", "a unit test computes for at most 2 s"),
    ],
)
def test_a_leak_fails_its_test(outcomes: dict[str, str], test: str, words: str) -> None:
    assert words in outcomes[test]


GUILTY = ("test_is_skipped", "test_computes_too_long")


def test_nothing_else_fails(outcomes: dict[str, str]) -> None:
    innocent = {name: said for name, said in outcomes.items() if "leaks" not in name and name not in GUILTY}
    assert len(innocent) == 11
    assert {name: said for name, said in innocent.items() if said} == {}
