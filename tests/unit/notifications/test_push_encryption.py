"""The encryption of push messages, by the example of RFC 8291, and for any message."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from hypothesis import given
from hypothesis import strategies as st

from orchestration.notifications.push_encryption import MOST_BYTES, encrypt, public_key_of, read_keys
from tests.support.push_service import a_device, decode, encode

# RFC 8291, section 5 and appendix A.
RECEIVER = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
AUTH, SALT = "BTBZMqHH6r4Tts7J_aSIgg", "DGv6ra1nlYgDCS1FRnbzlw"
SENDER = "yfWPiYE-n46HLnH0KqZOF1fJJU3MYrct3AELtAQ-oRw"
SENDER_POINT = "BP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl7A8"
BODY = (
    "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK6PBru3jl"
    "7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
)


def test_the_example_of_the_standard_comes_out_byte_by_byte() -> None:
    sender = ec.derive_private_key(int.from_bytes(decode(SENDER)), ec.SECP256R1())
    text = b"When I grow up, I want to be a watermelon"
    assert encode(encrypt(text, RECEIVER, AUTH, sender=sender, salt=decode(SALT))) == BODY
    assert public_key_of(SENDER) == SENDER_POINT


@given(st.binary(max_size=MOST_BYTES))
def test_a_browser_reads_what_was_encrypted_for_it_and_two_messages_look_unlike(text: bytes) -> None:
    device = a_device()
    one, other = encrypt(text, *device.keys), encrypt(text, *device.keys)
    assert device.decrypt(one) == device.decrypt(other) == text
    assert one[:86] != other[:86]


@pytest.mark.parametrize(
    ("point", "auth"),
    [("", AUTH), (RECEIVER, ""), (RECEIVER[:-1], AUTH), ("B" + "A" * 86, AUTH), (RECEIVER, AUTH + "AA"), ("é", AUTH)],
)
def test_what_is_no_key_is_refused(point: str, auth: str) -> None:
    with pytest.raises(ValueError):
        read_keys(point, auth)
