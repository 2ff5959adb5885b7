"""Which IP addresses belong to the public Internet, so that a URL of a stranger's may lead there.

`is_global` of the standard library says yes to addresses that carry a private IPv4 one inside: NAT64, 6to4, Teredo,
IPv4-compatible and ISATAP ones. Here the inside counts as well.
"""

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

_V4_SPECIAL = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",  # this network
            "10.0.0.0/8",
            "100.64.0.0/10",  # carrier-grade NAT
            "127.0.0.0/8",
            "169.254.0.0/16",  # link-local, with the clouds' metadata
            "172.16.0.0/12",
            "192.0.0.0/24",  # protocol assignments
            "192.0.2.0/24",  # documentation
            "192.88.99.0/24",  # 6to4 relays
            "192.168.0.0/16",
            "198.18.0.0/15",  # benchmarks
            "198.51.100.0/24",  # documentation
            "203.0.113.0/24",  # documentation
            "224.0.0.0/3",  # multicast, reserved, broadcast
        ),
    )
)
_V6_GLOBAL = IPv6Network(
    "2000::/3"
)  # the only unicast range in use; without it go loopback, ULA, link-local, multicast
_V6_SPECIAL = tuple(
    map(
        IPv6Network,
        (
            "2001::/23",  # protocol assignments: ORCHID, benchmarks; Teredo is looked into before
            "2001:db8::/32",  # documentation
            "3ffe::/16",  # the former 6bone
            "3fff::/20",  # documentation
        ),
    )
)
_NAT64 = IPv6Network("64:ff9b::/96")
_TRANSLATED = IPv6Network("::ffff:0:0:0/96")
_COMPATIBLE = IPv6Network("::/96")
_ISATAP = (0x00005EFE, 0x02005EFE)
_LAST_32 = 0xFFFFFFFF


def is_public(address: str) -> bool:
    """Say whether an address, as getaddrinfo writes it, is a public unicast one. What is no address is not."""
    try:
        ip = ip_address(address)
    except ValueError:
        return False
    return _is_public_v4(ip) if isinstance(ip, IPv4Address) else _is_public_v6(ip)


def _is_public_v4(ip: IPv4Address) -> bool:
    return not any(ip in network for network in _V4_SPECIAL)


def _is_public_v6(ip: IPv6Address) -> bool:
    if ip.scope_id is not None:
        return False
    inside = _inside(ip)
    if inside and not all(map(_is_public_v4, inside)):
        return False
    if (inside and ip not in _V6_GLOBAL) or ip.teredo:
        return True  # it is nothing but a way to write, or to reach, a public IPv4 address
    return ip in _V6_GLOBAL and not any(ip in network for network in _V6_SPECIAL)


def _inside(ip: IPv6Address) -> list[IPv4Address]:
    """Return the IPv4 addresses that an IPv6 one carries and that packets to it can end at."""
    if ip.ipv4_mapped:
        return [ip.ipv4_mapped]
    if ip.teredo:
        return list(ip.teredo)
    if ip.sixtofour:
        return [ip.sixtofour]
    last = IPv4Address(int(ip) & _LAST_32)
    if ip in _NAT64 or ip in _TRANSLATED or ip in _COMPATIBLE:
        return [last]
    if (int(ip) >> 32) & _LAST_32 in _ISATAP:
        return [last]
    return []
