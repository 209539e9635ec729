"""Where the page listens, and by which names it may be called there."""

from __future__ import annotations

import ipaddress
import socket

__all__ = ["free_port", "loopback", "own_names"]


def loopback(host: str) -> bool:
    """Whether only this machine reaches what listens on `host`."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def own_names(host: str) -> list[str]:
    """The Host headers that are meant for us. Any other name points here by DNS rebinding."""
    return list(dict.fromkeys(["127.0.0.1", "localhost", "[::1]", "::1", host]))


def free_port(host: str) -> int:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as probe:
        probe.bind((host, 0))
        port: int = probe.getsockname()[1]
        return port
