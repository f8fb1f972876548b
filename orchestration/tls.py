"""What the clients of this process trust on an encrypted connection, and how they show who they are."""

from __future__ import annotations

import functools
import ssl

import httpx2

from orchestration.errors import OrchestratorError


class CertificateFilesError(OrchestratorError):
    """Files with certificates or a key cannot be used."""


@functools.cache
def shared_tls_context() -> ssl.SSLContext:
    """The context of every client that trusts what the system trusts, whatever the environment says.

    One for all of them: reading the system's certificates takes 30 ms of processor time, longer than a request.
    """
    return httpx2.create_ssl_context(trust_env=False)


def tls_context(ca_file: str | None, certificate_file: str | None, key_file: str | None) -> ssl.SSLContext:
    """The context for files in the PEM format: further authorities, a certificate of our own, and its key; without any,
    the shared one. Raises CertificateFilesError."""
    if ca_file is None and certificate_file is None:
        return shared_tls_context()
    try:
        # Beside the CAs of the system, as most programs do it: one server of many may have a certificate of its own.
        context = ssl.create_default_context()
        if ca_file is not None:
            context.load_verify_locations(cafile=ca_file)
        if certificate_file is not None:
            context.load_cert_chain(certificate_file, key_file)
    except (OSError, ssl.SSLError) as error:
        files = ", ".join(name for name in (ca_file, certificate_file, key_file) if name)
        reason = getattr(error, "strerror", None) or str(error)
        raise CertificateFilesError(f"the certificates in {files} cannot be used: {reason}") from error
    return context


def distrust(error: BaseException | None) -> str:
    """Why a server's certificate is not trusted; empty where an error, with what caused it, is about something else."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted ({error.verify_message}); name its CA in caFile"
        error = error.__cause__ or error.__context__
    return ""
