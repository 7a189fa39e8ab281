"""The vectors: the platform's own samples, as far as they verify, and what was computed from the same rules."""

from __future__ import annotations

import sys

import pytest

from bot_core.webhook.signature import BotKey, seed
from qqmedia import ConfigurationError

LONG_SECRET = "naOC0ocQE3shWLAfffVLB1rhYPG7"
PRINTED_PUBLIC = bytes((
    215, 195, 98, 254, 120, 174, 248, 31, 242, 50, 135, 180, 147, 98, 139, 93,
    176, 42, 60, 79, 227, 11, 33, 94, 77, 25, 96, 155, 93, 118, 103, 58,
))  # fmt: skip
TIMESTAMP = "1725442341"
SPACED = b'{ "op": 0,"d": {}, "t": "GATEWAY_EVENT_NAME"}'
COMPACT = b'{"op":0,"d":{},"t":"GATEWAY_EVENT_NAME"}'
SPACED_SIGNATURE = (
    "2eb9983ebb8bb209e78fd095942f58e442656656e7975d01e64f9023a84b7c96"
    "4290fdd40e5500c33867ccfe9563b7e0b6bac0e1d42c13e787b304fd51f71102"
)
COMPACT_SIGNATURE = (
    "b9d91ef278516c0f359216398be939ee591186ecc250b3b5c724436655b7adf9"
    "f906b025413ccd61fe8218b39ce61733bf2707b1dd8ea2b649f5d3cf727c0a01"
)


def test_v1_the_official_answer_to_op_13() -> None:
    key = BotKey.of("DG5g3B4j9X2KOErG")
    assert key.sign(b"1725442341Arq0D5A61EgUu4OxUvOp") == (
        "87befc99c42c651b3aac0278e71ada338433ae26fcb24307bdc5ad38c1adc2d0"
        "1bcfcadc0842edac85e85205028a1132afe09280305f13aa6909ffc2d652c706"
    )
    assert key.public_bytes.hex() == "8b28ded5630f9051c205dd04c6ec56ad0b08b8812b2fe30ee9aece0ab41926f3"


def test_v2_the_official_public_key_and_a_body_with_odd_spaces() -> None:
    key = BotKey.of(LONG_SECRET)
    assert key.public_bytes == PRINTED_PUBLIC
    assert len(SPACED) == 45
    assert key.sign(TIMESTAMP.encode() + SPACED) == SPACED_SIGNATURE
    assert key.verify(SPACED_SIGNATURE, TIMESTAMP, SPACED)


def test_v3_the_same_body_compact() -> None:
    key = BotKey.of(LONG_SECRET)
    assert key.sign(TIMESTAMP.encode() + COMPACT) == COMPACT_SIGNATURE
    assert key.verify(COMPACT_SIGNATURE.upper(), TIMESTAMP, COMPACT)


@pytest.mark.parametrize(
    ("secret", "expected"),
    [
        ("abc", b"abcabcabcabcabcabcabcabcabcabcab"),
        ("0123456789012345678901234567890123456789", b"01234567890123456789012345678901"),
        ("x" * 32, b"x" * 32),
        ("一", ("一" * 11).encode()[:32]),
    ],
)
def test_v4_the_seed_is_the_secret_repeated_and_cut(secret: str, expected: bytes) -> None:
    assert seed(secret) == expected


def _with_last_byte(signature: str, byte: int) -> str:
    return f"{signature[:-2]}{byte:02x}"


@pytest.mark.parametrize(
    "signature",
    [
        "",
        COMPACT_SIGNATURE[:-2],
        f"{COMPACT_SIGNATURE}00",
        "zz" * 64,
        f"  {COMPACT_SIGNATURE[:-2]}",  # `bytes.fromhex` skips blanks
        "一" * 128,
        SPACED_SIGNATURE,
        "0" * 128,
        *(_with_last_byte(COMPACT_SIGNATURE, 1 | bit) for bit in (32, 64, 128)),  # forbidden by the official SDK
    ],
)
def test_any_other_signature_is_wrong(signature: str) -> None:
    assert not BotKey.of(LONG_SECRET).verify(signature, TIMESTAMP, COMPACT)


def test_the_same_number_plus_the_order_of_the_group_is_no_second_signature() -> None:
    """The classic malleability: it would get a replayed request past whoever remembers signatures."""
    order = 2**252 + 27742317777372353535851937790883648493
    raw = bytes.fromhex(COMPACT_SIGNATURE)
    other = (int.from_bytes(raw[32:], "little") + order).to_bytes(32, "little")
    assert not BotKey.of(LONG_SECRET).verify((raw[:32] + other).hex(), TIMESTAMP, COMPACT)


@pytest.mark.parametrize("timestamp", ["1725442342", "", "１７２５４４２３４１", "\udcff"])
def test_another_time_is_wrong(timestamp: str) -> None:
    assert not BotKey.of(LONG_SECRET).verify(COMPACT_SIGNATURE, timestamp, COMPACT)


def test_another_body_or_secret_is_wrong() -> None:
    assert not BotKey.of(LONG_SECRET).verify(COMPACT_SIGNATURE, TIMESTAMP, COMPACT + b" ")
    assert not BotKey.of("another").verify(COMPACT_SIGNATURE, TIMESTAMP, COMPACT)


def test_an_empty_secret_is_a_configuration_error() -> None:
    with pytest.raises(ConfigurationError, match="client_secret is empty"):
        BotKey.of("")


def test_without_the_library_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.exceptions", None)
    with pytest.raises(ConfigurationError, match=r'pip install "qqmedia\[webhook\]"'):
        BotKey.of(LONG_SECRET)


def test_a_key_does_not_show_its_secret() -> None:
    assert LONG_SECRET not in repr(BotKey.of(LONG_SECRET))
