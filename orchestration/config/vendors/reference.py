"""The table of vendors in the how-to about exposed credentials, written from their descriptors. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from orchestration.config.vendors.descriptor import VendorDescriptor


def vendors_table(vendors: Iterable[VendorDescriptor]) -> str:
    """One row for each vendor, in Markdown."""
    rows = [
        f"| {one.title} | `{one.name}` | {_calls(one)} | <{one.page.url}>: {one.page.steps} "
        f"| [{one.page.read_on:%Y-%m-%d}]({one.page.source}) |"
        for one in vendors
    ]
    head = ["| vendor | name | by a call | by hand | read on |", "| --- | --- | --- | --- | --- |"]
    return "\n".join([*head, *rows])


def _calls(vendor: VendorDescriptor) -> str:
    if vendor.revokes:
        return "revoked and probed"
    if vendor.factory is None:
        return "nothing"
    return "probed" if vendor.address is not None else "probed, with `baseUrl`"
