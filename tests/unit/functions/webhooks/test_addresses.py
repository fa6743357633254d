"""Which addresses a webhook may reach."""

import pytest

from vexa_functions.webhooks.addresses import is_loopback, is_public, parse_address

REFUSED = {
    "0.0.0.0": "this network",
    "0.1.2.3": "this network",
    "10.0.0.1": "private",
    "10.255.255.255": "private",
    "100.64.0.1": "carrier-grade NAT",
    "100.100.100.200": "carrier-grade NAT, a cloud's metadata",
    "100.127.255.254": "carrier-grade NAT",
    "127.0.0.1": "loopback",
    "127.8.8.8": "loopback",
    "168.63.129.16": "a cloud's host agent",
    "169.254.0.1": "link-local",
    "169.254.169.254": "link-local, metadata of most clouds",
    "169.254.170.2": "link-local, credentials of container tasks",
    "172.16.0.1": "private",
    "172.31.255.255": "private",
    "192.0.0.1": "protocol assignments",
    "192.0.0.192": "protocol assignments, a cloud's metadata",
    "192.0.2.1": "documentation",
    "192.88.99.1": "6to4 relay",
    "192.168.0.1": "private",
    "192.168.255.255": "private",
    "198.18.0.1": "benchmarks",
    "198.19.255.255": "benchmarks",
    "198.51.100.1": "documentation",
    "203.0.113.1": "documentation",
    "224.0.0.1": "multicast",
    "239.255.255.255": "multicast",
    "240.0.0.1": "reserved",
    "255.255.255.255": "broadcast",
    "::": "unspecified",
    "::1": "loopback",
    "::127.0.0.1": "IPv4-compatible",
    "::8.8.8.8": "IPv4-compatible",
    "::ffff:0.0.0.0": "IPv4-mapped",
    "::ffff:10.0.0.1": "IPv4-mapped",
    "::ffff:127.0.0.1": "IPv4-mapped",
    "::ffff:7f00:1": "IPv4-mapped, in hexadecimal",
    "::ffff:169.254.169.254": "IPv4-mapped",
    "::ffff:100.64.0.1": "IPv4-mapped",
    "64:ff9b::127.0.0.1": "NAT64",
    "64:ff9b::10.0.0.1": "NAT64",
    "64:ff9b::a9fe:a9fe": "NAT64, in hexadecimal",
    "64:ff9b:1::1": "local NAT64",
    "100::1": "discarded",
    "2001::7f00:1": "Teredo",
    "2001:0:7f00:1:0:0:8080:fefe": "Teredo",
    "2001:10::1": "ORCHID",
    "2001:20::1": "ORCHIDv2",
    "2001:db8::1": "documentation",
    "2002:7f00:1::": "6to4",
    "2002:a00:1::1": "6to4",
    "2002:a9fe:a9fe::1": "6to4",
    "3fff::1": "documentation",
    "5f00::1": "segment routing",
    "fc00::1": "unique local",
    "fd00:ec2::254": "unique local, a cloud's metadata",
    "fdff::1": "unique local",
    "fe80::1": "link-local",
    "fe80::1%eth0": "link-local with a scope",
    "fec0::1": "site-local",
    "ff02::1": "multicast",
}
PUBLIC = (
    "1.1.1.1",
    "8.8.8.8",
    "100.63.255.255",
    "100.128.0.1",
    "172.32.0.1",
    "192.31.196.1",
    "223.255.255.254",
    "2606:4700:4700::1111",
    "2a00:1450:4001:80b::200e",
    "::ffff:8.8.8.8",
    "64:ff9b::8.8.8.8",
    "2002:808:808::1",
)


@pytest.mark.parametrize("text", REFUSED)
def test_what_is_not_the_public_internet_is_refused(text: str) -> None:
    """Every special network, and every way of wrapping one IPv4 address in an IPv6 one."""
    assert not is_public(parse_address(text))


@pytest.mark.parametrize("text", PUBLIC)
def test_the_public_internet_is_reached(text: str) -> None:
    """Neighbours of special networks are as public as any."""
    assert is_public(parse_address(text))


@pytest.mark.parametrize("text", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1"])
def test_this_machine_is_recognised(text: str) -> None:
    """What local-dev may allow."""
    assert is_loopback(parse_address(text))


@pytest.mark.parametrize("text", ["0.0.0.0", "10.0.0.1", "169.254.169.254", "fe80::1", "8.8.8.8"])
def test_the_rest_of_the_network_is_not_this_machine(text: str) -> None:
    """Allowing loopback opens nothing beside it."""
    assert not is_loopback(parse_address(text))
