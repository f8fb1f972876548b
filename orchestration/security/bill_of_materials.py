"""The installed packages as a bill of materials in CycloneDX's JSON format, version 1.6 (https://cyclonedx.org/docs/1.6/json/).

Read from what the packages themselves say (https://packaging.python.org/en/latest/specifications/core-metadata/). The
format is plain enough to be written without a library, which would bring six packages of its own.
"""

from __future__ import annotations

import base64
import hashlib
import re
import uuid
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from email.message import Message
from importlib import metadata
from pathlib import Path
from typing import Any, cast

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

_PINNED = re.compile(r"^([A-Za-z0-9][A-Za-z0-9._-]*)==([^\s;\\]+)")
_HASH = re.compile(r"--hash=sha256:([0-9a-f]{64})")
_OWN = "agent-orchestration"


def bill_of_materials(now: datetime, pinned: Mapping[str, Iterable[str]] | None = None) -> dict[str, Any]:
    """The bill: this program, and each package that is installed beside it. `pinned` are the SHA-256 of the archives
    that a package may be installed from, by its name."""
    found: dict[str, metadata.Distribution] = {
        canonicalize_name(one.metadata["Name"]): one for one in reversed(list(metadata.distributions()))
    }
    own = found.pop(canonicalize_name(_OWN), None)
    version = own.version if own else "0"
    components = [_component(name, one, (pinned or {}).get(name, ())) for name, one in sorted(found.items())]
    body = {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "timestamp": now.isoformat().replace("+00:00", "Z"),
            "component": {"type": "application", "bom-ref": _OWN, "name": _OWN, "version": version},
        },
        "components": components,
        "dependencies": list(_dependencies(own, found)),
    }
    # The same content has the same number.
    return {**body, "serialNumber": f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_OID, repr((components, version)))}"}


def pinned_hashes(requirements: str) -> dict[str, list[str]]:
    """The SHA-256 of each package in a requirements file."""
    found: dict[str, list[str]] = {}
    name = ""
    for line in requirements.splitlines():
        if match := _PINNED.match(line.strip()):
            name = canonicalize_name(match[1])
        if name:
            found.setdefault(name, []).extend(_HASH.findall(line))
    return found


def licence_of(distribution: metadata.Distribution) -> str:
    """The licence that a package states: its expression, else its classifiers, else its free text's first line."""
    fields = _fields(distribution)
    if expression := fields.get("License-Expression"):
        return expression
    classified = [
        one.rpartition(":: ")[2] for one in fields.get_all("Classifier") or () if one.startswith("License ::")
    ]
    text = (fields.get("License") or "").strip().partition("\n")[0][:100]
    return " OR ".join(classified) or text or "not stated"


def _fields(distribution: metadata.Distribution) -> Message:
    # The type of `metadata` promises less than what it is: a message, as the format is one.
    return cast("Message", distribution.metadata)


def altered_files(distribution: metadata.Distribution) -> list[str]:
    """The installed files that are not as their package lists them."""
    # Launchers outside of the packages' folder are made for the machine, and moved with an environment.
    inside = [one for one in distribution.files or () if ".." not in one.parts]
    return [str(one) for one in inside if one.hash is not None and _is_altered(one, one.hash)]


def _is_altered(file: metadata.PackagePath, expected: metadata.FileHash) -> bool:
    try:
        data = Path(str(file.locate())).read_bytes()
    except OSError:
        return True
    digest = hashlib.new(expected.mode, data).digest()
    return base64.urlsafe_b64encode(digest).rstrip(b"=").decode() != expected.value


def _component(name: str, distribution: metadata.Distribution, hashes: Iterable[str]) -> dict[str, Any]:
    fields = _fields(distribution)
    expression = fields.get("License-Expression")
    licence = {"expression": expression} if expression else {"license": {"name": licence_of(distribution)}}
    found: dict[str, Any] = {
        "type": "library",
        "bom-ref": _reference(name, distribution.version),
        "name": name,
        "version": distribution.version,
        "purl": _reference(name, distribution.version),
        "licenses": [licence],
    }
    if summary := fields.get("Summary"):
        found["description"] = summary
    archives = [{"alg": "SHA-256", "content": one} for one in hashes]
    if archives:
        found["externalReferences"] = [{"type": "distribution", "url": "requirements.txt", "hashes": archives}]
    return found


def _dependencies(
    own: metadata.Distribution | None, found: Mapping[str, metadata.Distribution]
) -> Iterator[dict[str, Any]]:
    if own is not None:
        yield {"ref": _OWN, "dependsOn": _needed(own, found)}
    for name, one in sorted(found.items()):
        yield {"ref": _reference(name, one.version), "dependsOn": _needed(one, found)}


def _needed(distribution: metadata.Distribution, found: Mapping[str, metadata.Distribution]) -> list[str]:
    needed = set()
    for text in distribution.requires or ():
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            continue
        name = canonicalize_name(requirement.name)
        if name in found and (requirement.marker is None or requirement.marker.evaluate({"extra": ""})):
            needed.add(_reference(name, found[name].version))
    return sorted(needed)


def _reference(name: str, version: str) -> str:
    """Its package URL: https://github.com/package-url/purl-spec"""
    return f"pkg:pypi/{name}@{version}"
