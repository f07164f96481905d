"""Hosts that are this machine, and nobody else can listen in on the way to."""

import ipaddress


def is_loopback(host: str) -> bool:
    """Whether it is an address of the loopback interface (RFC 6890), or `localhost`."""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return host == "localhost"
    # Python before 3.13 knows ::ffff:127.0.0.1 for none.
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback
