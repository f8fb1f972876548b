from __future__ import annotations

import base64
import hashlib
import itertools
import json
import random
import string
import threading
import time
import uuid
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestration.security.redaction import Redactor
from orchestration.security.secret_patterns import PATTERNS
from orchestration.security.secret_search import SecretMatch
from orchestration.security.value_spellings import MINIMUM_LENGTH

# Put together here, so that no scanner takes this file for a leak.
BODY = "aB3dE6gH9jK2mN5pQ8sT1vX4zA7cF0hJ3lM6"
PEM = "-----BEGIN RSA " + "PRIVATE KEY-----\n" + "\n".join(["MIIEpAIBAAKCAQEA" + BODY] * 3)
PEM_END = "\n-----END RSA " + "PRIVATE KEY-----"
JWT = "eyJ" + "hbGciOiJIUzI1NiJ9.eyJ" + "zdWIiOiIxMjM0NTY3ODkwIn0." + BODY

EXAMPLES = [
    ("private-key", PEM + PEM_END, PEM + PEM_END),
    ("private-key", json.dumps(PEM + PEM_END), json.dumps(PEM + PEM_END)[1:-1]),
    ("private-key", f"{PEM}\nMIIcut", f"{PEM}\nMIIcut"),
    ("aws-access-key", "id AKIA" + "IOSFODNN7EXAMPLE.", "AKIA" + "IOSFODNN7EXAMPLE"),
    ("aws-secret-key", "AWS_SECRET_ACCESS_KEY=" + "wJalrXUtnFEMI/K7MDENG/" + "bPxRfiCYEXAMPLEKEY", None),
    ("github-token", f"git clone with ghp_{BODY}", f"ghp_{BODY}"),
    ("github-token", f"github_pat_{BODY}_{BODY}", f"github_pat_{BODY}_{BODY}"),
    ("orchestrator-token", f"token orc_{BODY}-_12345", f"orc_{BODY}-_12345"),
    ("setup-link", f"open http://127.0.0.1:8642/setup?key={BODY[:32]}", BODY[:32]),
    ("orchestrator-token", f"https://ops.example.org/answer/orclink_{BODY}-{BODY}_x>", f"orclink_{BODY}-{BODY}_x"),
    ("gitlab-token", f"x glpat-{BODY[:20]}", f"glpat-{BODY[:20]}"),
    ("anthropic-key", f'"sk-ant-api03-{BODY}"', f"sk-ant-api03-{BODY}"),
    ("openai-key", f"sk-proj-{BODY}", f"sk-proj-{BODY}"),
    ("openai-key", f"(sk-{BODY})", f"sk-{BODY}"),
    ("slack-token", "xoxb-" + "1234567890-abcdefghij", "xoxb-" + "1234567890-abcdefghij"),
    ("slack-webhook", f"https://hooks.slack.com/services/T0/B0/{BODY}", f"T0/B0/{BODY}"),
    ("teams-webhook", f"https://x.webhook.office.com/webhookb2/{BODY}", f"webhookb2/{BODY}"),
    ("discord-webhook", f"https://discord.com/api/webhooks/12345678901234567/{BODY}{BODY}", None),
    ("google-api-key", f"key AIza{BODY[:35]}", f"AIza{BODY[:35]}"),
    ("google-token", f"ya29.{BODY}", f"ya29.{BODY}"),
    ("stripe-key", f"sk_live_{BODY}", f"sk_live_{BODY}"),
    ("sendgrid-key", f"SG.{BODY[:22]}.{BODY}{BODY[:7]}", None),
    ("npm-token", f"npm_{BODY}", f"npm_{BODY}"),
    ("pypi-token", f"pypi-AgEI{BODY}{BODY}", None),
    ("huggingface-token", f"hf_{BODY[:34]}", f"hf_{BODY[:34]}"),
    ("jwt", f"cookie {JWT}", JWT),
    ("azure-key", f"AccountName=x;AccountKey={BODY}{BODY}==;", f"{BODY}{BODY}=="),
    ("azure-key", f"https://a.blob.core.windows.net/c?se=1&sig={BODY}%3D", f"{BODY}%3D"),
    ("database-url", "postgresql+psycopg://user:p@ss/w@db:5432/x".replace("/w", "w"), "p@ssw"),
    ("url-password", "https://me:open-sesame@example.org/x", "open-sesame"),
    ("authorization", "Authorization: Basic dXNlcjpwYXNzd29yZA==", "dXNlcjpwYXNzd29yZA=="),
    ("authorization", f"{{'authorization': 'Bearer {BODY}'}}", BODY),
    ("bearer-token", f"sent bearer {BODY} to", BODY),
    ("cookie", "Set-Cookie: session=abcdef0123456789; Path=/", "session=abcdef0123456789"),
    ("password", "password=hunter2", "hunter2"),
    ("password", "DB_PASSWORD: 'two words'", "two words"),
    ("password", json.dumps(json.dumps({"password": "hunter2"})), "hunter2"),
    ("password", "Password: Tr0ub4dor&3", "Tr0ub4dor"),
    ("api-key", "curl -H 'api-key: 0123456789abcdef0123456789abcdef'", "0123456789abcdef0123456789abcdef"),
    ("api-key", "AZURE_OPENAI_API_KEY=0123456789abcdef", "0123456789abcdef"),
    ("api-key", "Ocp-Apim-Subscription-Key: 0123456789abcdef", "0123456789abcdef"),
    ("token", "https://example.org/?access_token=abc123def456&x=1", "abc123def456"),
    ("token", "token = 'abc123def456'", "abc123def456"),
    ("secret", "client_secret: abc123~def456", "abc123~def456"),
]

HARMLESS = [
    "notice=initial key=inc-1m8ph2zxenw1g7:initial-1:operator:log attempt=1",
    "agent=planner key=run-1m8ph3fx2y17wh.planner/1 outcome=no_route",
    "commit 3f786850e387550fdab836ed7e6dc881de23001b",
    f"run {uuid.UUID(int=0x12345678123456781234567812345678)} finished",
    f"sha256:{hashlib.sha256(b'x').hexdigest()}  requirements.txt",
    "data:image/png;base64," + base64.b64encode(random.Random(1).randbytes(3000)).decode(),
    "data:font/woff2;base64," + base64.b64encode(random.Random(2).randbytes(30_000)).decode(),
    "/home/user/projects/task-12345678901234567890/src/password_reset.py",
    "artifacts/run-01k3x9z4m7qwe2/changes.patch",
    "tokens=1234 first_token=0.512345678 max_token: 40960000 next_token: 30.00000",
    "the token has expired, ask for a new token: see the documentation",
    "password: must have at least 12 characters",
    "Password: ********",
    "password = getpass.getpass()",
    "connect(password=password, token=tokens[0], api_key=self.api_key)",
    "password=$DB_PASSWORD token=${GITHUB_TOKEN} secret=<your-secret-1>",
    'api_key: str | None = None, secret: "Secret" = None',
    '"apiKeyEnv": "AZURE_OPENAI_API_KEY", "tokenEnv": "GITHUB_TOKEN"',
    "Bearer authentication failed; the bearer of this letter",
    "PWD=/root OLDPWD=/home/user PATH=/usr/bin:/bin",
    "http://localhost:11434/api/tags https://example.org:8080/a@b ssh://git@github.com/a/b",
    'pip install "sk-learn-contrib-something-long" risk-assessment-document-final-2026',
    "class='sk-circle-fade-dot-animation-long' npm_config_registry hf_transfer",
    "requires-dist: scikit-learn==1.5.0 --hash=sha256:" + hashlib.sha256(b"y").hexdigest(),
    "2026-11-24T13:45:01.123Z ERROR model_call.failed run=run-1 agent=executor provider=ollama tokens=12",
    "-----BEGIN CERTIFICATE-----\nMIIDdzCCAl+gAwIBAgIEAgAAuTANBgkqhkiG9w0BAQUFADBa\n-----END CERTIFICATE-----",
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ2hVfVn7J3q0aYzq2g4 user@host",
    "author=Somebody <somebody@example.org> authorization: required",
]

# Texts that would be slow for careless expressions.
HARD = [
    "a", "=", "://", "://a:", "eyJ", "eyJ.", "eyJ-", "sk-", "sk-a", "ghp_", "AKIA", "password=", "password:", "token=1",
    "secret='", "api_key=\"a", "bearer a", "authorization: ", "cookie: a=", "sig=", "-----BEGIN ", "postgres://",
    "-----BEGIN " + "PRIVATE KEY-----", "-----BEGIN " + "PRIVATE KEY-----\n" + "a" * 20 + "\n", "İ", "\\\"password\\\"",
    "key", "key ", "key: x=", "<key>", "key value=", "pass, '", "token\"", "a_", "a1+", "a1b2c3d4_", "s.a1", "1/2:",
    "%41", "eyJ%", "a1b2c3d4e5f6a7b8c9d0e1f2a3b4c5d6 ", "stripe_x=a1b2c3d4e5f6a7b8c9d0 ", "ghp_a1b2c3d4e5f6a7b8c9d0",
    "-u a:", "--user 'a:",
]  # fmt: skip


@pytest.mark.parametrize(("kind", "text", "secret"), EXAMPLES)
def test_each_kind_of_secret_is_found_and_named(kind: str, text: str, secret: str | None) -> None:
    (match,) = Redactor().find(text)
    assert match.kind == kind
    if secret is not None:
        assert text[match.start : match.end] == secret


def test_every_pattern_has_an_example() -> None:
    assert {pattern.kind for pattern in PATTERNS} <= {kind for kind, _, _ in EXAMPLES}


@pytest.mark.parametrize("text", HARMLESS)
def test_harmless_lines_stay_as_they_are(text: str) -> None:
    assert Redactor().text(text) == text


def test_what_is_around_a_secret_stays() -> None:
    redacted = Redactor().text(f"before ghp_{BODY}, password=hunter2; after")
    assert redacted == "before [redacted:github-token], password=[redacted:password]; after"


@pytest.mark.parametrize(("kind", "text", "secret"), EXAMPLES)
def test_redacting_again_changes_nothing(kind: str, text: str, secret: str | None) -> None:
    once = Redactor().text(text)
    assert Redactor().text(once) == once


def test_loaded_values_are_redacted_for_good() -> None:
    redactor = Redactor(["first value"])
    redactor.remember(["second value"])
    assert redactor.text("first value, second value") == "[redacted:credential], [redacted:credential]"


@pytest.mark.parametrize("spelling", ['a"b\\ä/1', 'a\\"b\\\\\\u00e4/1', 'a\\"b\\\\ä/1', "a%22b%5C%C3%A4%2F1"])
def test_a_loaded_value_is_found_in_json_and_in_urls_too(spelling: str) -> None:
    assert Redactor(['a"b\\ä/1']).text(f"<{spelling}>") == "<[redacted:credential]>"


def test_short_values_are_too_common_to_be_redacted() -> None:
    assert Redactor(["a" * (MINIMUM_LENGTH - 1)]).text("aaaaaaaa") == "aaaaaaaa"
    assert Redactor(["abcdef"]).text("xabcdefx") == "x[redacted:credential]x"


def test_of_a_value_and_a_longer_one_that_holds_it_nothing_is_left() -> None:
    assert Redactor(["abcdef", "abcdefghi"]).text("abcdefghi") == "[redacted:credential]"


def test_overlapping_secrets_are_hidden_together_under_the_more_telling_name() -> None:
    text = f"password=ghp_{BODY}+more"
    assert Redactor().text(text) == "password=[redacted:github-token]"


@given(st.text(), st.text(min_size=MINIMUM_LENGTH), st.text())
def test_no_loaded_value_is_ever_left(before: str, value: str, after: str) -> None:
    marker = "[redacted:credential]"
    assert value in marker or value not in Redactor([value]).text(before + value + after).replace(marker, "\0")


@given(st.lists(st.sampled_from([text for _, text, _ in EXAMPLES] + HARMLESS + HARD + [" ", "\n", "İ"]), max_size=5))
def test_matches_are_in_order_and_never_overlap(parts: list[str]) -> None:
    matches = Redactor(["hunter2", "password"]).find("".join(parts))
    assert all(a.end <= b.start for a, b in itertools.pairwise(matches))
    assert all(match.start < match.end for match in matches)


def test_letters_that_grow_in_lower_case_do_not_shift_the_places() -> None:
    assert Redactor().text("İİİ PASSWORD=hunter2 İ") == "İİİ PASSWORD=[redacted:password] İ"


def test_json_is_walked_and_what_stands_under_a_telling_key_is_hidden() -> None:
    data: dict[str, Any] = {
        "apiKey": "x",
        "credentials": {"user": "anna", "tries": 3, "list": ["a", None]},
        "headers": [{"note": "password=hunter2"}, ("Bearer " + BODY, 1.5, True, None)],
        "tokens": "many",
        f"ghp_{BODY}": 1,
    }
    assert Redactor().data(data) == {
        "apiKey": "[redacted:secret]",
        "credentials": {"user": "[redacted:secret]", "tries": 3, "list": ["[redacted:secret]", None]},
        "headers": [{"note": "password=[redacted:password]"}, ["Bearer [redacted:bearer-token]", 1.5, True, None]],
        "tokens": "many",
        "[redacted:github-token]": 1,
    }


def test_what_is_no_json_becomes_text_without_its_secrets() -> None:
    assert Redactor().data({"error": ValueError("password=hunter2"), "raw": b"x"}) == {
        "error": "password=[redacted:password]",
        "raw": "b'x'",
    }


def test_a_match_does_not_hold_the_secret() -> None:
    assert Redactor().find("password=hunter2") == [SecretMatch(9, 16, "password")]


def seconds(text: str) -> float:
    """Processor time, the least of several, since others use this machine as well."""
    redactor = Redactor([f"value-number-{number}" for number in range(20)])
    times = []
    for _ in range(4):
        start = time.process_time()
        redactor.text(text)
        times.append(time.process_time() - start)
    return min(times)


@pytest.mark.parametrize("piece", HARD)
def test_twice_the_text_takes_about_twice_the_time(piece: str) -> None:
    text = piece * (70_000 // len(piece))
    assert seconds(text * 2) < 4 * seconds(text) + 0.01


def test_a_megabyte_of_log_takes_little_more_than_a_few_plain_searches() -> None:
    text = (HARMLESS[-4] + "\n") * 10_000
    start = time.process_time()
    for _ in range(100):
        text.count("\x00 not there")
    plain = time.process_time() - start
    assert seconds(text) < 20 * plain


def test_values_may_be_added_from_several_threads() -> None:
    redactor = Redactor()
    values = [f"thread value {number}" for number in range(200)]
    threads = [threading.Thread(target=redactor.remember, args=(values[start::4],)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(redactor.text(value) == "[redacted:credential]" for value in values)


@pytest.mark.parametrize(
    ("beginning", "letters", "length"),
    [
        ("AKIA", string.ascii_uppercase, 16), ("glpat-", string.ascii_letters, 20), ("ghp_", string.ascii_letters, 36),
        ("hf_", string.ascii_letters, 34), ("rzp_live_", string.ascii_letters, 14), ("sk-", string.ascii_letters, 32),
    ],
)  # fmt: skip
def test_a_token_to_which_chance_has_given_no_digit_is_one(beginning: str, letters: str, length: int) -> None:
    rng = random.Random(length)
    tokens = [beginning + "".join(rng.choices(letters, k=length)) for _ in range(300)]
    missed = [token for token in tokens if token in Redactor().text(f"the key is {token}, they say")]
    assert len(missed) <= 9, missed
    for example in (f"{beginning}{'X' * length}", f"{beginning}example_of_a_name"):
        assert example in Redactor().text(f"such as {example}")


def test_a_value_that_becomes_known_is_redacted_also_in_texts_that_were_seen_before() -> None:
    redactor = Redactor()
    texts = ["plain", "the word is xk29-plmq"]
    assert [redactor.text(text) for text in (*texts, *texts)] == [*texts, *texts]
    redactor.remember(["xk29-plmq"])
    assert [redactor.text(text) for text in texts] == ["plain", "the word is [redacted:credential]"]
