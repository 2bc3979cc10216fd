"""What a wire has done so far, in plain numbers. Others turn them into metrics; the wire does not know how."""

from dataclasses import dataclass

__all__ = ["Counters"]


@dataclass(slots=True)
class Counters:
    sent_packets: int = 0
    sent_messages: int = 0
    sent_bytes: int = 0
    """Bytes handed to the socket; tensors in shared memory count with their descriptor only."""
    received_packets: int = 0
    received_messages: int = 0
    received_bytes: int = 0
    rejected: int = 0
    """Packets dropped because they, or a message in them, were not what a peer of ours may send."""
    late: int = 0
    """Packets dropped because their sender had been given up before: nothing is wrong with them."""
    peers_up: int = 0
    peers_lost: int = 0
    """Connections that had come up and went down without our hanging up."""
    refused: int = 0
    """Diallers turned away at Hello, or by a listener that we dialled."""
    handshakes_failed: int = 0
    """Connections that failed below our own protocol: no key or a wrong one."""
    shm_bytes_lent: int = 0
    """Total bytes that went out through shared memory."""
    shm_bytes_in_use: int = 0
    """Lent and not yet released."""
    shm_full: int = 0
    """Tensors that travelled inline because the ring had no room."""
