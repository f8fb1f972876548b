"""What a channel trusts, and how it shows who it is, on an encrypted connection."""

from __future__ import annotations

import ssl

from orchestration.config.channels.settings import ChannelSettings
from orchestration.notifications.channels.channel import DeliveryError


def tls_context(settings: ChannelSettings) -> ssl.SSLContext | None:
    """The context for the channel's connections; None where the usual one does. Raises DeliveryError for a file that
    cannot be used: it is read anew for each channel, so a file that is mended counts at the next attempt."""
    if settings.ca_file is None and settings.certificate_file is None:
        return None
    try:
        # Beside the CAs of the system, as most programs do it: one server of many may have a certificate of its own.
        context = ssl.create_default_context()
        if settings.ca_file is not None:
            context.load_verify_locations(cafile=settings.ca_file)
        if settings.certificate_file is not None:
            context.load_cert_chain(settings.certificate_file, settings.key_file)
    except (OSError, ssl.SSLError) as error:
        names = (settings.ca_file, settings.certificate_file, settings.key_file)
        files = ", ".join(name for name in names if name)
        reason = getattr(error, "strerror", None) or str(error)
        raise DeliveryError(f"the certificates in {files} cannot be used: {reason}", permanent=False) from error
    return context


def distrust(error: BaseException | None) -> str:
    """Why a server's certificate is not trusted; empty where an error, with what caused it, is about something else."""
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return f"its certificate is not trusted ({error.verify_message}); name its CA in the channel's caFile"
        error = error.__cause__ or error.__context__
    return ""
