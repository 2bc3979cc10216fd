"""Which addresses may be connected to: those of the public internet, and networks that the manifest names.

Names are resolved once, and what was checked is what is connected to: an answer that changes in between (DNS rebinding)
changes nothing. A name is refused when any of its addresses is: no honest public name also points inside.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Final

from omnipipe.gateway.media.errors import Refused

__all__ = ["Lookup", "Network", "checked_addresses", "is_public", "look_up"]

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

Lookup = Callable[[str, int], Awaitable[Sequence[str]]]
"""Host and port -> addresses as text. Raises OSError."""

_CLOSED_V4: Final = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",  # this network; Linux connects 0.0.0.0 to itself
        "10.0.0.0/8",
        "100.64.0.0/10",  # carriers' NAT; some clouds keep their metadata here
        "127.0.0.0/8",
        "168.63.129.16/32",  # a cloud's platform service, in the middle of public space
        "169.254.0.0/16",  # link-local, where clouds keep their metadata
        "172.16.0.0/12",
        "192.0.0.0/24",
        "192.0.2.0/24",
        "192.88.99.0/24",  # relays of 6to4
        "192.168.0.0/16",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
)
_OPEN_V6: Final = IPv6Network("2000::/3")
"""What is given out as global unicast. All else is closed: loopback, link-local, ULA, multicast, unassigned."""
_CLOSED_V6: Final = tuple(
    IPv6Network(text)
    for text in (
        "2001::/23",  # Teredo, which embeds IPv4 addresses, ORCHID, benchmarks
        "2001:db8::/32",
        "2002::/16",  # 6to4, which embeds IPv4 addresses
        "3fff::/20",
    )
)
_NAT64: Final = IPv6Network("64:ff9b::/96")
"""On networks without IPv4, its addresses come as these."""

_NO_ADDRESS: Final = "could not be fetched: its host has no public address"


async def look_up(host: str, port: int) -> Sequence[str]:
    """The system's resolver, off the event loop."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [str(sockaddr[0]) for *_, sockaddr in found]


async def checked_addresses(host: str, port: int, lookup: Lookup, networks: Sequence[Network]) -> list[str]:
    """Those that may be connected to, in the resolver's order. Which of its rules a host breaks is not told, nor
    whether there is such a host: names inside the network are nobody's business."""
    try:
        texts = await lookup(host, port)
    except (OSError, UnicodeError) as error:
        raise Refused(_NO_ADDRESS) from error
    addresses = [_plain(text) for text in dict.fromkeys(texts)]
    if not addresses or not all(_is_open(address, networks) for address in addresses):
        raise Refused(_NO_ADDRESS)
    return [str(address) for address in addresses]


def is_public(address: Address) -> bool:
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _CLOSED_V4)
    if address in _NAT64:
        return is_public(IPv4Address(int(address) & 0xFFFF_FFFF))
    return address in _OPEN_V6 and not any(address in network for network in _CLOSED_V6)


def _is_open(address: Address, networks: Sequence[Network]) -> bool:
    return is_public(address) or any(address in network for network in networks)


def _plain(text: str) -> Address:
    """An IPv4 address in IPv6 clothes is that IPv4 address."""
    try:
        address = ip_address(text)
    except ValueError as error:  # with a zone: link-local
        raise Refused(_NO_ADDRESS) from error
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        return address.ipv4_mapped
    return address
