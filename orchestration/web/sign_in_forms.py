"""The HTML of signing in. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from io import BytesIO
from urllib.parse import quote

from orchestration.security.sign_in import Enrolment
from orchestration.web.stylesheet import framed

PROBLEM = "<!--problem-->"
PROVIDER, PROVIDER_LEAVE = "/sign-in/provider", "/sign-in/provider/leave"
_NAME = """<label for="name">Name</label>
<input id="name" name="name" autocomplete="username" autocapitalize="none" required autofocus>"""
_KNOWN = """<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="{}" required>"""
CODE_FIELD = """<label for="code">Code of six digits, or a recovery code</label>
<input id="code" name="code" autocomplete="one-time-code" autocapitalize="none" spellcheck="false" maxlength="64" required autofocus>"""  # noqa: E501


def sign_in_page(target: str, provider: str = "", *, left: bool = False) -> str:
    """The page for name and password, and with the link to an identity provider if there is one; to leave that, too,
    for somebody who has just `left`."""
    text = "An admin adds users with <code>orchestrator users add NAME</code>."
    fields = f"{_next(target)}{_NAME}{_KNOWN.format('current-password')}"
    page = form_page("Sign in", text, "/sign-in", fields, "Sign in")
    if not provider:
        return page
    name = escape(provider)
    way = f'<p><a href="{PROVIDER}?next={quote(target, safe="")}">Sign in with {name}</a></p>'
    out = f'<p>You have signed out here. <a href="{PROVIDER_LEAVE}">Sign out of {name}, too</a></p>' if left else ""
    return page.replace(PROBLEM, out + PROBLEM + way)


def setup_page(key: str) -> str:
    """The page that creates the first user."""
    text = "The first user is an admin and can add others. The password must have at least 12 characters."
    hidden = f'<input type="hidden" name="key" value="{escape(key)}">'
    fields = f"{hidden}{_NAME}{_KNOWN.format('new-password')}"
    return form_page("Create the first user", text, "/setup", fields, "Create user and sign in")


def code_page(target: str) -> str:
    """The page for a one-time code."""
    text = "Your authenticator program shows the code. Each works once."
    return form_page("Enter your code", text, "/sign-in/code", _next(target) + CODE_FIELD, "Sign in")


def enrolment_page(enrolment: Enrolment, target: str) -> str:
    """The page that shows the secret of a new second factor, and asks for its first code."""
    groups = " ".join(enrolment.secret[start : start + 4] for start in range(0, len(enrolment.secret), 4))
    text = (
        f"Scan this with an authenticator program, for the user {escape(enrolment.user)}; then enter the code that it "
        f"shows.</p>{qr_code(enrolment.uri)}<p>Or type the secret: <code>{groups}</code> (by the time, 6 digits, 30 s)."
    )
    return form_page("Set up a second factor", text, "/sign-in/enrol", _next(target) + CODE_FIELD, "Confirm")


def recovery_page(codes: Sequence[str], target: str) -> str:
    """The page that shows recovery codes, this once."""
    rows = "".join(f"<li><code>{escape(code)}</code></li>" for code in codes)
    text = "Each signs you in once, if your telephone is lost. Keep them where it is not: they are never shown again."
    return framed("Your recovery codes", f'<p>{text}</p><ol>{rows}</ol><p><a href="{escape(target)}">Go on</a></p>')


def expired_page() -> str:
    """The page for a sign-in that took too long."""
    text = "This sign-in has expired."
    return framed("Start again", f'<p role="alert">{text}</p><p><a href="/sign-in">Sign in</a></p>')


def form_page(title: str, text: str, action: str, fields: str, button: str) -> str:
    """A page with one form, and room for what is wrong with what was sent."""
    form = f'<form method="post" action="{action}">{fields}\n<button type="submit">{button}</button></form>'
    return framed(title, f"{PROBLEM}<p>{text}</p>\n{form}")


def with_problem(page: str, text: str) -> str:
    """A page that says what is wrong."""
    return page.replace(PROBLEM, f'<p role="alert">{escape(text)}</p>')


def qr_code(text: str) -> str:
    """A QR code as SVG within the page. It has attributes and no styles, which the content security policy forbids."""
    import segno

    drawn = BytesIO()
    # `light` is painted, since a dark page would leave nothing to read; `scale` 4 is legible for a telephone's camera.
    segno.make(text, micro=False, error="m").save(
        drawn, kind="svg", xmldecl=False, svgns=False, scale=4, light="#fff", title="QR code of the secret", nl=False
    )
    return drawn.getvalue().decode()


def _next(target: str) -> str:
    return f'<input type="hidden" name="next" value="{escape(target)}">\n'
