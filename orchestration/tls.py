"""What the clients of this process trust on an encrypted connection."""

from __future__ import annotations

import functools
import ssl

import httpx2


@functools.cache
def shared_tls_context() -> ssl.SSLContext:
    """The context of every client that trusts what the system trusts, whatever the environment says.

    One for all of them: reading the system's certificates takes 30 ms of processor time, longer than a request.
    """
    return httpx2.create_ssl_context(trust_env=False)
