from __future__ import annotations

import socket
import ssl
import subprocess
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.smtp import AuthResult

from orchestration.domain.severity import Severity
from orchestration.notifications.channels.channel import DeliveryError
from orchestration.notifications.channels.email import compose
from orchestration.notifications.notice import NoticeKind
from tests.contract.notifications.conftest import SECRETS, Send, a_message, refusal
from tests.support.receivers import mail_server

PLAIN = {"type": "email", "host": "127.0.0.1", "tls": "none", "sender": "pager@example.org"}
ENCRYPTED = {**PLAIN, "host": "localhost"}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A certificate for localhost, and its key."""
    folder = tmp_path_factory.mktemp("tls")
    command = (
        "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=localhost -addext subjectAltName=DNS:localhost"
    )
    files = ["-keyout", str(folder / "key.pem"), "-out", str(folder / "cert.pem")]
    subprocess.run([*command.split(), *files], check=True, capture_output=True)
    return folder / "cert.pem", folder / "key.pem"


def server_side(certificate: tuple[Path, Path]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    return context


def authenticator(*_: Any) -> AuthResult:
    data = _[-1]
    good = (data.login, data.password) == (b"pager", SECRETS["MAIL_PASSWORD"].encode())
    return AuthResult(success=good, handled=False)


async def test_a_mail_holds_the_playbooks_text(send: Send) -> None:
    message = a_message(title="Über 90 % CPU")
    with mail_server() as (mailbox, port):
        await send(message, port=port, **PLAIN)
    (mail,) = mailbox.mails
    assert mail["Subject"] == "[INCIDENT] [Severity: P1] Über 90 % CPU"
    assert mail.get_content().replace("\r\n", "\n") == message.body
    assert (mail["From"], mail["To"]) == ("pager@example.org", "ada@example.org")
    assert mailbox.envelopes[0].rcpt_tos == ["ada@example.org"]
    assert (mail["Auto-Submitted"], mail["Importance"]) == ("auto-generated", "high")


async def test_a_duplicate_is_known_by_its_message_id_and_an_incident_is_one_thread(send: Send) -> None:
    with mail_server() as (mailbox, port):
        for kind in (NoticeKind.INITIAL, NoticeKind.INITIAL, NoticeKind.RESOLVED):
            await send(a_message(kind, severity=Severity.P2), port=port, **PLAIN)
    first, again, resolved = mailbox.mails
    assert first["Message-ID"] == again["Message-ID"] != resolved["Message-ID"]
    assert first["References"] == again["References"] == resolved["References"]
    assert first["Message-ID"].endswith("@example.org>")
    assert first["Importance"] is None


async def test_an_address_may_have_letters_of_any_script(send: Send) -> None:
    with mail_server(enable_SMTPUTF8=True) as (mailbox, port):
        await send(a_message(address="jürgen@exämple.org"), port=port, **PLAIN)
        await send(a_message(address="ada@exämple.org"), port=port, **PLAIN)
    named, plain = mailbox.envelopes
    assert named.rcpt_tos == ["jürgen@xn--exmple-cua.org"]
    assert named.smtp_utf8
    # A domain has a form in ASCII, so this needs nothing of the server.
    assert plain.rcpt_tos == ["ada@xn--exmple-cua.org"]
    assert not plain.smtp_utf8
    assert "jürgen@" in named.content.decode() if isinstance(named.content, bytes) else False


async def test_without_smtputf8_only_such_a_name_is_refused_for_good(send: Send) -> None:
    with mail_server(enable_SMTPUTF8=False) as (mailbox, port):
        error = await refusal(send, a_message(address="jürgen@example.org"), port=port, **PLAIN)
        await send(a_message(address="ada@exämple.org", title="Über"), port=port, **PLAIN)
    assert error.permanent
    assert "SMTPUTF8" in str(error)
    assert [mail["Subject"] for mail in mailbox.mails] == ["[INCIDENT] [Severity: P1] Über"]


async def test_starttls_and_the_password_are_used(
    send: Send, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    login = {"username": "pager", "password_env": "MAIL_PASSWORD"}
    options = {"tls_context": server_side(certificate), "require_starttls": True}
    with mail_server(authenticator=authenticator, auth_required=True, **options) as (mailbox, port):
        await send(a_message(), port=port, **{**ENCRYPTED, "tls": "starttls"}, **login)
        assert len(mailbox.mails) == 1
        assert mailbox.sessions[0].ssl is not None
        wrong = {**login, "password_env": "TOKEN"}
        error = await refusal(send, a_message(), port=port, **{**ENCRYPTED, "tls": "starttls"}, **wrong)
    assert error.permanent
    assert "535" in str(error)


async def test_tls_from_the_beginning(
    send: Send, certificate: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate[0]))
    with mail_server(ssl_context=server_side(certificate)) as (mailbox, port):
        await send(a_message(), port=port, **{**ENCRYPTED, "tls": "implicit"})
    assert len(mailbox.mails) == 1


async def test_a_server_with_an_untrusted_certificate_gets_nothing(send: Send, certificate: tuple[Path, Path]) -> None:
    with mail_server(tls_context=server_side(certificate)) as (mailbox, port):
        error = await refusal(send, a_message(), port=port, **{**ENCRYPTED, "tls": "starttls"})
    assert mailbox.mails == []
    assert not error.permanent
    assert "its certificate is not trusted (self" in str(error)


async def test_a_private_ca_and_a_certificate_of_our_own_are_used(send: Send, certificate: tuple[Path, Path]) -> None:
    asking = server_side(certificate)
    asking.load_verify_locations(certificate[0])
    asking.verify_mode = ssl.CERT_REQUIRED
    shown = {"certificate_file": str(certificate[0]), "key_file": str(certificate[1])}
    for tls, options in (("starttls", {"tls_context": asking}), ("implicit", {"ssl_context": asking})):
        with mail_server(**options) as (mailbox, port):
            settings = {**ENCRYPTED, "tls": tls, "ca_file": str(certificate[0])}
            await refusal(send, a_message(), port=port, **settings)
            assert mailbox.mails == []
            await send(a_message(), port=port, **settings, **shown)
        assert len(mailbox.mails) == 1


async def test_a_file_without_certificates_is_named(send: Send, tmp_path: Path) -> None:
    (tmp_path / "empty.pem").touch()
    for file in ("empty.pem", "nowhere.pem"):
        error = await refusal(send, a_message(), port=1, **ENCRYPTED, ca_file=str(tmp_path / file))
        assert f"the certificates in {tmp_path / file} cannot be used" in str(error)


async def test_a_server_that_cannot_encrypt_gets_nothing(send: Send) -> None:
    with mail_server() as (mailbox, port):
        error = await refusal(send, a_message(), port=port, **{**PLAIN, "tls": "starttls"})
    assert mailbox.mails == []
    assert "STARTTLS" in str(error)


@pytest.mark.parametrize(("reply", "permanent"), [("451 try later", False), ("554 spam", True)])
async def test_never_is_known_from_later(send: Send, reply: str, permanent: bool) -> None:
    with mail_server() as (mailbox, port):
        mailbox.replies = [reply]
        error = await refusal(send, a_message(), port=port, **PLAIN)
        assert (error.permanent, reply[:3] in str(error)) == (permanent, True)
        mailbox.refused = {"ada@example.org": reply}
        error = await refusal(send, a_message(), port=port, **PLAIN)
        assert (error.permanent, reply[:3] in str(error)) == (permanent, True)


async def test_a_server_that_is_away_or_hangs_is_tried_again_later(send: Send) -> None:
    with mail_server() as (_, port):
        pass
    assert not (await refusal(send, a_message(), port=port, **PLAIN)).permanent
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        assert not (await refusal(send, a_message(), port=port, timeout=0.1, **PLAIN)).permanent


@pytest.mark.parametrize(
    "address",
    [
        "",
        "ada",
        "ada@",
        "@example.org",
        "ada@example.org\r\nBcc: eve@example.org",
        "a b@c",
        "ada@b>,<eve@c",
        "jürgen>,<eve@c",
        "jür gen@c",
        "jürgen@ex ample.org",
        "ada@-ü.org",
    ],
)
async def test_what_is_no_address_is_refused_and_adds_no_header(send: Send, address: str) -> None:
    with mail_server() as (mailbox, port):
        assert (await refusal(send, a_message(address=address), port=port, **PLAIN)).permanent
    assert mailbox.mails == []


def test_no_title_adds_a_header() -> None:
    message = a_message()
    evil = type(message)(
        **{**{name: getattr(message, name) for name in message.__slots__}, "subject": "x\r\nBcc: eve@y"}
    )
    mail = compose(evil, "pager@example.org")
    assert mail["Bcc"] is None
    assert mail["Subject"] == "x  Bcc: eve@y"
    with pytest.raises(DeliveryError, match="sender"):
        compose(message, "pager@example.org\nBcc: eve@y")


async def test_a_receiver_of_webhooks_may_have_a_private_ca_too(send: Send, certificate: tuple[Path, Path]) -> None:
    class Accepting(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Accepting) as server:
        server.socket = server_side(certificate).wrap_socket(server.socket, server_side=True)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        hook = {"type": "webhook", "url": f"https://localhost:{server.server_port}/"}
        error = await refusal(send, a_message(), **hook)
        await send(a_message(), **hook, ca_file=str(certificate[0]))
        server.shutdown()
    assert "its certificate is not trusted (self" in str(error)
