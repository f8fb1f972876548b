"""What a channel trusts, and how it shows who it is, on an encrypted connection."""

from __future__ import annotations

import ssl

from orchestration import tls
from orchestration.config.channels.settings import ChannelSettings
from orchestration.notifications.channels.channel import DeliveryError


def tls_context(settings: ChannelSettings) -> ssl.SSLContext | None:
    """The context for the channel's connections; None where the usual one does. Raises DeliveryError for a file that
    cannot be used: it is read anew for each channel, so a file that is mended counts at the next attempt."""
    if settings.ca_file is None and settings.certificate_file is None:
        return None
    try:
        return tls.tls_context(settings.ca_file, settings.certificate_file, settings.key_file)
    except tls.CertificateFilesError as error:
        raise DeliveryError(str(error), permanent=False) from error
