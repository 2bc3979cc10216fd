"""What may be connected to: public addresses, and what the manifest names."""

from collections.abc import Sequence
from ipaddress import ip_address, ip_network

import pytest

from omnipipe.gateway.media.addresses import checked_addresses, is_public
from omnipipe.gateway.media.errors import Refused


@pytest.mark.parametrize(
    "address",
    [
        "8.8.8.8",
        "1.1.1.1",
        "172.15.255.255",
        "172.32.0.0",
        "100.63.255.255",
        "100.128.0.0",
        "2606:4700::1111",
        "2a00::1",
    ],
)
def test_public(address: str) -> None:
    assert is_public(ip_address(address))


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0", "0.1.2.3", "10.0.0.1", "100.64.0.1", "100.100.100.200", "127.0.0.1", "127.8.8.8", "168.63.129.16",
        "169.254.169.254", "172.16.0.1", "172.31.255.255", "192.0.0.192", "192.0.2.1", "192.88.99.1", "192.168.1.1",
        "198.18.0.1", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255",
        "::", "::1", "::7f00:1", "::ffff:0:7f00:1", "64:ff9b:1::1", "100::1", "2001::1", "2001:db8::1", "2002:7f00:1::",
        "3fff::1", "5f00::1", "fc00::1", "fd00:ec2::254", "fe80::1", "fec0::1", "ff02::1", "64:ff9b::7f00:1",
        "64:ff9b::a9fe:a9fe",
    ],
)  # fmt: skip
def test_not_public(address: str) -> None:
    assert not is_public(ip_address(address))


async def checked(addresses: Sequence[str], *networks: str) -> list[str]:
    async def lookup(host: str, port: int) -> Sequence[str]:
        assert (host, port) == ("media.example.com", 443)
        return addresses

    return await checked_addresses("media.example.com", 443, lookup, [ip_network(network) for network in networks])


async def test_what_was_found_in_order_and_once() -> None:
    assert await checked(["2a00::1", "8.8.8.8", "8.8.8.8"]) == ["2a00::1", "8.8.8.8"]


async def test_an_embedded_address_counts_as_what_it_is() -> None:
    assert await checked(["::ffff:8.8.8.8"]) == ["8.8.8.8"]
    assert await checked(["64:ff9b::808:808"]) == ["64:ff9b::808:808"]
    for inside in ("::ffff:127.0.0.1", "::ffff:169.254.169.254", "64:ff9b::10.0.0.1", "fe80::1%eth0"):
        with pytest.raises(Refused):
            await checked([inside])


@pytest.mark.parametrize("addresses", [[], ["10.0.0.1"], ["8.8.8.8", "10.0.0.1"], ["10.0.0.1", "8.8.8.8"]])
async def test_one_address_inside_closes_a_name(addresses: list[str]) -> None:
    with pytest.raises(Refused, match="has no public address"):
        await checked(addresses)


async def test_networks_of_ones_own() -> None:
    assert await checked(["10.1.2.3", "8.8.8.8"], "10.1.2.0/24") == ["10.1.2.3", "8.8.8.8"]
    with pytest.raises(Refused):
        await checked(["10.1.3.3"], "10.1.2.0/24")
    with pytest.raises(Refused):
        await checked(["::ffff:10.1.3.3"], "10.1.2.0/24", "fd00::/8")


async def test_a_name_that_is_not_there_reads_as_one_that_is_closed() -> None:
    async def lookup(host: str, port: int) -> Sequence[str]:
        raise OSError("Name or service not known")

    with pytest.raises(Refused, match=r"^could not be fetched: its host has no public address$"):
        await checked_addresses("nowhere.example.com", 80, lookup, ())
