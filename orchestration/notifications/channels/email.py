"""E-mail over SMTP."""

from __future__ import annotations

import hashlib
import re
from email.errors import HeaderParseError
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP

import aiosmtplib
import idna

from orchestration.domain.severity import Severity
from orchestration.notifications.channels.channel import ChannelContext, ChannelMessage, DeliveryError
from orchestration.notifications.channels.tls import tls_context
from orchestration.tls import distrust

# The ports of SMTP (RFC 5321), of submission (RFC 6409) and of submission over TLS (RFC 8314).
_PORTS = {"none": 25, "starttls": 587, "implicit": 465}
# Python refuses a header with a line feed in it, and the page would be lost. Subjects are made from alerts' texts.
_UNSAFE = re.compile(r"[\x00-\x1f\x7f]")
# The server may have accepted the mail before it fell silent.
_AFTER_THE_CONNECTION = (aiosmtplib.SMTPReadTimeoutError, aiosmtplib.SMTPServerDisconnected)
_NOT_IN_AN_ADDRESS = re.compile(r"""[\s"(),:;<>@\[\\\]]""")


class EmailChannel:
    """Sends mail through one server, with a connection for each message: they are few, and servers close idle ones."""

    def __init__(self, context: ChannelContext) -> None:
        self._context = context

    async def send(self, message: ChannelMessage) -> str:
        """Send one mail; returns the Message-ID that begins its conversation, to which further mails refer.

        Raises DeliveryError; a refusal with a code of 500 and above is permanent.
        """
        settings = self._context.settings
        mail = compose(message, settings.sender or "")
        password = self._context.secret("passwordEnv") if settings.username else None
        try:
            await aiosmtplib.send(
                mail,
                hostname=settings.host,
                port=settings.port or _PORTS[settings.tls],
                username=settings.username,
                password=password,
                timeout=settings.timeout,
                use_tls=settings.tls == "implicit",
                start_tls=settings.tls == "starttls",
                tls_context=tls_context(settings),
                # By default the library looks this machine's name up (`socket.getfqdn`), which takes seconds where no
                # name server answers.
                local_hostname=mail["Message-ID"].rpartition("@")[2].rstrip(">"),
            )
        except aiosmtplib.SMTPRecipientsRefused as error:
            # Each mail has one recipient, so the first refusal is the only one.
            raise _refusal(error.recipients[0]) from error
        except aiosmtplib.SMTPResponseException as error:
            raise _refusal(error) from error
        except aiosmtplib.SMTPNotSupported as error:
            raise DeliveryError(
                f"the mail server does not support what is configured: {error.message}", permanent=True
            ) from error
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            told = str(error) if type(error) is aiosmtplib.SMTPException else type(error).__name__
            unclear = isinstance(error, _AFTER_THE_CONNECTION)
            what = "sent no answer" if unclear else "was not reached"
            told_why = f"the mail server {settings.host} {what}: {distrust(error) or told}"
            raise DeliveryError(told_why, permanent=False, unclear=unclear) from error
        return message.thread or str(mail["Message-ID"])

    async def aclose(self) -> None:
        """Nothing stays open."""


def compose(message: ChannelMessage, sender: str) -> EmailMessage:
    """The mail. Raises DeliveryError for a bad address.

    Its Message-ID is made from the key, so that mail programs drop a duplicate. Every mail about an incident answers
    the first one that the recipient got (RFC 5322, 3.6.4), so that they are shown as one conversation. Programs that go
    by the subject, too, ignore what is in brackets at its beginning (RFC 5256, 2.1), which is all that changes in it.
    """
    mail = EmailMessage(policy=SMTP)
    origin, recipient = _address(sender, "sender"), _address(message.address or "", "address")
    mail["From"], mail["To"] = origin, recipient
    mail["Subject"] = _UNSAFE.sub(" ", message.subject)
    mail["Date"] = message.created_at
    mail["Message-ID"] = f"<{_digest(message.key)}@{origin.domain}>"
    # An id that no mail has comes first. Where the database is away, the first mail's is not known to those after it.
    references = [f"<{_digest(message.notice.incident_id)}@{origin.domain}>"]
    if message.thread not in ("", mail["Message-ID"]):
        mail["In-Reply-To"] = message.thread
        references.append(message.thread)
    mail["References"] = " ".join(references)
    # RFC 3834: keeps vacation responders from answering.
    mail["Auto-Submitted"] = "auto-generated"
    if message.notice.severity in (Severity.P0, Severity.P1):
        mail["Importance"] = "high"
    mail.set_content(message.body)
    return mail


def _address(text: str, key: str) -> Address:
    """The address. One whose name is not ASCII needs a server with SMTPUTF8 (RFC 6531), and the library asks for that;
    a domain alone does not, since it has a form in ASCII (RFC 5890)."""
    name, at, domain = text.rpartition("@")
    try:
        if _UNSAFE.search(text) or not at:
            raise ValueError("no address, or a control character")
        host = domain if domain.isascii() else idna.encode(domain, uts46=True).decode()
        # The library parses names in ASCII only; any other is taken as it is, without what could end it.
        address = Address(addr_spec=f"{name}@{host}") if name.isascii() else Address(username=name, domain=host)
        if not name.isascii() and _NOT_IN_AN_ADDRESS.search(name + host):
            raise ValueError("a character that an address cannot have")
    except (ValueError, HeaderParseError, IndexError) as error:
        raise DeliveryError(f'"{key}" is not an e-mail address; expected name@domain', permanent=True) from error
    if not address.domain or not address.username:
        raise DeliveryError(f'"{key}" is not an e-mail address; expected name@domain', permanent=True)
    return address


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:40]


def _refusal(error: aiosmtplib.SMTPResponseException) -> DeliveryError:
    answer = " ".join(error.message.split())
    return DeliveryError(f"the mail server answered {error.code}: {answer}", permanent=error.code >= 500)
