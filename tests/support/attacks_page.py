"""The page of attacks that are tried in tests: written from the tests' own names, so that it cannot promise more."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.support.project import ROOT

_TESTS = {
    "The web side": (
        "integration/web_api/test_web_attacks.py",
        "integration/web_api/test_slow_clients.py",
        "integration/serve/test_stored_scripts.py",
        "integration/web_api/test_sign_in.py",
        "integration/web_api/test_second_factor_pages.py",
        "integration/web_api/test_provider_sign_in.py",
        "integration/security/test_second_factor.py",
        "integration/web_api/test_rights.py",
        "integration/web_api/test_fuzz.py",
        "integration/web_api/test_http_protocol.py",
        "integration/web_api/test_serving.py",
    ),
    "Addresses of others": ("integration/notifications/test_outbound_addresses.py",),
    "Secrets": (
        "acceptance/test_canary_over_all_sinks.py",
        "acceptance/test_no_secret_is_written.py",
        "unit/security/test_redaction.py",
        "unit/security/test_known_values.py",
    ),
    "Commands of agents": (
        "integration/agents/test_isolation.py",
        "unit/security/test_permissions.py",
        "unit/security/test_refusals.py",
        "integration/security/test_folder.py",
        "integration/benchmarks/test_injections.py",
    ),
    "Servers of tools": (
        "integration/agents/mcp/test_servers.py",
        "unit/agents/test_mcp_inspection.py",
    ),
    "Backups and archives": ("integration/maintenance/test_complete_archives.py",),
    "Packages, and the audit trail": (
        "integration/security/test_supply_chain.py",
        "integration/security/test_audit_export.py",
        "integration/security/test_break_glass.py",
        "unit/security/test_audit.py",
    ),
}
_HEAD = """# Attacks that are tried

Each line is a test that attacks the real code, in most cases a running server or process; its name says what must hold.
Written from the tests; what is not defended against is in [the threat model](../explanation/threat-model.md).
"""


def attacks_page() -> str:
    """The page."""
    parts = [_HEAD]
    for title, names in _TESTS.items():
        found = [(sentence, name) for name in names for sentence in _sentences(ROOT / "tests" / name)]
        rows = [f"| {sentence} | `tests/{name}` |" for sentence, name in found]
        parts.append("\n".join([f"## {title}\n", "| what holds | test |", "| --- | --- |", *rows]))
    return "\n\n".join(part.strip() for part in parts) + "\n"


def _sentences(path: Path) -> Iterator[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in tree.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test_"):
            text = node.name.removeprefix("test_").replace("_", " ").replace("|", "/")
            yield text[0].upper() + text[1:]
