"""Which addresses a webhook may reach: those of the public internet, however they are spelled."""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

Address = IPv4Address | IPv6Address

NAT64 = IPv6Network("64:ff9b::/96")
GLOBAL_UNICAST = IPv6Network("2000::/3")
NEVER_V4 = (
    IPv4Network("192.0.0.0/24"),  # protocol assignments, which cloud metadata services borrow
    IPv4Network("192.88.99.0/24"),  # 6to4 relays
    IPv4Network("168.63.129.16/32"),  # public by its number, and Azure's host agent on every machine there
)
NEVER_V6 = (
    IPv6Network("2001::/23"),  # protocol assignments; Teredo tunnels hide an IPv4 address in theirs
    IPv6Network("3fff::/20"),  # documentation
)
"""Networks that `is_global` of one Python release or another lets through."""


def parse_address(text: str) -> Address:
    """Read an address as the resolver spells it, a scope included."""
    return ip_address(text)


def is_public(address: Address) -> bool:
    """Tell whether an address, unwrapped from what carries IPv4 in IPv6, belongs to the public internet."""
    address = unwrapped(address)
    if address.is_multicast or not address.is_global:
        return False
    if isinstance(address, IPv4Address):
        return not any(address in network for network in NEVER_V4)
    return address in GLOBAL_UNICAST and not any(address in network for network in NEVER_V6)


def is_loopback(address: Address) -> bool:
    """Tell whether an address is this machine's own."""
    return unwrapped(address).is_loopback


def unwrapped(address: Address) -> Address:
    """Return the IPv4 address inside an IPv4-mapped, NAT64 or 6to4 one, else the address itself."""
    if isinstance(address, IPv4Address):
        return address
    if address in NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour or address
