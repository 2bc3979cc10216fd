"""The memory file itself: made by its owner, opened by borrowers. Layout, in this order:

page 0    magic, size of the data part, nonce
ledger    ENTRY_BYTES for each BLOCK_BYTES of data: generation, then a word (pid) for each holder
data
"""

import fcntl
import mmap
import os
import struct
import weakref
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from omnipipe.wire.errors import WireError

__all__ = ["BLOCK_BYTES", "ENTRY_WORDS", "Segment", "SegmentError", "is_supported"]

BLOCK_BYTES: Final = 32 << 10
"""The unit in which memory is lent."""
ENTRY_WORDS: Final = 64
"""u32 words in a ledger entry, so 63 holders at most."""
_ENTRY_BYTES: Final = ENTRY_WORDS * 4
_PAGE: Final = 4096
_HEAD: Final = struct.Struct("<8sQ16s")
_MAGIC: Final = b"omnipip1"
_NAME: Final = "omnipipe"


class SegmentError(WireError):
    """A peer's segment cannot be mapped, or is not one of ours."""


def is_supported() -> bool:
    return all(hasattr(os, name) for name in ("memfd_create", "pidfd_open"))


class Segment:
    """A mapped segment. `data` is writable only for its owner. The descriptor stays open as long as the object lives,
    so that peers can map it through /proc; the memory itself lives as long as any view of it does."""

    __slots__ = ("__weakref__", "_finalizer", "_mapping", "data", "fd", "nonce", "owned", "words")

    def __init__(self, fd: int, nonce: bytes, data_bytes: int, *, owned: bool) -> None:
        ledger = _ledger_bytes(data_bytes)
        self.fd = fd
        self.nonce = nonce
        self.owned = owned
        prot = mmap.PROT_READ | mmap.PROT_WRITE
        self.words = memoryview(mmap.mmap(fd, ledger, mmap.MAP_SHARED, prot, offset=_PAGE)).cast("I")
        data_prot = prot if owned else mmap.PROT_READ
        self._mapping = mmap.mmap(fd, data_bytes, mmap.MAP_SHARED, data_prot, offset=_PAGE + ledger)
        self.data = memoryview(self._mapping)
        self._finalizer = weakref.finalize(self, os.close, fd)  # last: until here the caller closes it

    @classmethod
    def create(cls, data_bytes: int) -> "Segment":
        """Costs address space only: pages come when they are used."""
        data_bytes -= data_bytes % BLOCK_BYTES
        nonce = os.urandom(16)
        fd = os.memfd_create(_NAME, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        with ExitStack() as undo:
            undo.callback(os.close, fd)
            os.ftruncate(fd, _PAGE + _ledger_bytes(data_bytes) + data_bytes)
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL)
            os.pwrite(fd, _HEAD.pack(_MAGIC, data_bytes, nonce), 0)
            made = cls(fd, nonce, data_bytes, owned=True)
            undo.pop_all()
        return made

    @classmethod
    def open(cls, pid: int, peer_fd: int, nonce: bytes) -> "Segment":
        """Maps the segment that process `pid` has open as `peer_fd`, its own or a borrowed one."""
        path = f"/proc/{pid}/fd/{peer_fd}"
        try:
            if not str(Path(path).readlink()).startswith(f"/memfd:{_NAME}"):
                raise SegmentError(f"{path} is not a segment")
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC | os.O_NONBLOCK)
        except OSError as error:
            raise SegmentError(f"cannot open {path}: {error.strerror}") from error
        try:
            data_bytes = _checked_head(fd, nonce)
            return cls(fd, nonce, data_bytes, owned=False)
        except OSError as error:
            os.close(fd)
            raise SegmentError(f"cannot map {path}: {error.strerror}") from error
        except SegmentError:
            os.close(fd)
            raise

    def advise(self, advice: int, start: int, length: int) -> None:
        """madvise on a part of the data."""
        self._mapping.madvise(advice, start, length)

    def is_held_by(self, pid: int, peer_fd: int) -> bool:
        """Whether process `pid` still has this segment open as `peer_fd`."""
        try:
            theirs, mine = Path(f"/proc/{pid}/fd/{peer_fd}").stat(), os.fstat(self.fd)
        except OSError:
            return False
        return (theirs.st_dev, theirs.st_ino) == (mine.st_dev, mine.st_ino)

    def close_file(self) -> None:
        """Nobody new can map it; mappings and views stay."""
        self._finalizer()


def _ledger_bytes(data_bytes: int) -> int:
    used = data_bytes // BLOCK_BYTES * _ENTRY_BYTES
    return -(-used // _PAGE) * _PAGE


def _checked_head(fd: int, nonce: bytes) -> int:
    """The size of the data part, after everything that could hurt us later was checked."""
    head = os.pread(fd, _HEAD.size, 0)
    if len(head) != _HEAD.size:
        raise SegmentError("a segment without a head")
    magic, data_bytes, found = _HEAD.unpack(head)
    if magic != _MAGIC or found != nonce:
        raise SegmentError("another segment than the one that was announced")
    if not fcntl.fcntl(fd, fcntl.F_GET_SEALS) & fcntl.F_SEAL_SHRINK:
        raise SegmentError("a segment that may shrink")
    size: int = data_bytes
    if size <= 0 or size % BLOCK_BYTES or os.fstat(fd).st_size != _PAGE + _ledger_bytes(size) + size:
        raise SegmentError("a segment of another size than it says")
    return size
