"""The addresses that a command line reaches for. Pure."""

from __future__ import annotations

import contextlib
import ipaddress
import re
from collections.abc import Iterator
from enum import StrEnum


class AddressKind(StrEnum):
    """Where an address leads."""

    LOOPBACK = "loopback"
    PRIVATE = "private"
    METADATA = "metadata"
    PUBLIC = "public"


# Clouds hand out a machine's credentials here:
# https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/instancedata-data-retrieval.html,
# https://cloud.google.com/compute/docs/metadata/overview
_METADATA = frozenset(
    {"169.254.169.254", "fd00:ec2::254", "100.100.100.200", "metadata.google.internal", "169.254.170.2"}
)
_LOCAL_NAMES = frozenset({"localhost", "0.0.0.0", "host.docker.internal"})  # noqa: S104 (a name to compare)
_URL = re.compile(
    r"\b(?:https?|ftp|ssh|git|wss?|tcp|socks5h?|ldap|gopher)://(?:[^\s/@'\"]*@)?(\[[0-9a-f:.]+\]|[^\s/:'\"?#)]+)"
)
_BARE = re.compile(
    r"\b(?:curl|wget|nc|ncat|netcat|telnet|ssh|scp|sftp|rsync|ftp|ping|dig|nslookup|host|socat|nmap)\s+"
    r"(?:-[\w-]+(?:[= ]\d+)?\s+)*(?:[\w.-]+@)?([a-z0-9$][\w.-]*\.[a-z0-9][\w.-]*|\d{8,10}|0x[0-9a-f]+|localhost)"
)
_REMOTE = re.compile(r"\b[\w.-]+@([\w-]+(?:\.[\w-]+)+):")
_IN_CODE = re.compile(
    r"(?:connect|create_connection|httpconnection|getaddrinfo)\W{1,4}([a-z0-9][\w.-]*\.[\w.-]*\w|localhost)"
)
# Programs that search or print text: an address among their words is looked for, not reached.
_TEXT_ONLY = re.compile(
    r"^\s*(?:grep|egrep|rg|ag|ack|sed|awk|echo|printf|git\s+(?:grep|log|commit)|cat|head|tail|ls|find)\b"
)


_PROGRAMS = re.compile(
    r"(?<![.\w-])(?:curl|wget|nc|ncat|netcat|telnet|ssh|scp|sftp|rsync|ftp|ping|dig|nslookup|host|socat)\b"
)


def uses_network(command: str) -> bool:
    """Whether a command line, in lower case, starts a program that is for reaching hosts."""
    return _PROGRAMS.search(command) is not None


def address_kinds(command: str) -> frozenset[AddressKind]:
    """The kinds of all addresses that a command line, in lower case, reaches for."""
    return frozenset(_kind(host) for part in re.split(r"\|\||&&|[|;\n]", command) for host in _hosts(part))


def _hosts(part: str) -> Iterator[str]:
    if _TEXT_ONLY.match(part) and "$(" not in part and "`" not in part and "/dev/tcp/" not in part:
        return
    for pattern in (_URL, _BARE, _REMOTE, _IN_CODE):
        yield from pattern.findall(part)


def _kind(host: str) -> AddressKind:
    name = host.strip("[]").rstrip(".")
    address = _address(name)
    if name in _METADATA or str(address) in _METADATA:
        return AddressKind.METADATA
    if name in _LOCAL_NAMES or name.endswith(".localhost") or (address is not None and address.is_loopback):
        return AddressKind.LOOPBACK
    private = name.endswith((".internal", ".local", ".lan", ".corp")) or (address is not None and not address.is_global)
    return AddressKind.PRIVATE if private else AddressKind.PUBLIC


def _address(name: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """The address that a name is, also where it is written as one number, as inet_aton(3) accepts it."""
    with contextlib.suppress(ValueError):
        found = ipaddress.ip_address(int(name, 0) if re.fullmatch(r"\d{8,10}|0x[0-9a-f]{1,8}", name) else name)
        mapped = found.ipv4_mapped if isinstance(found, ipaddress.IPv6Address) else None
        return mapped or found
    return None
