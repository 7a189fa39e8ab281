"""Ed25519 as the platform uses it: the key comes from the bot's secret (PLATFORM 5.2, 5.3). No I/O.

The secret is repeated until it has 32 bytes and cut there: the seed of a key pair, which both sides can make. The
platform signs ``timestamp + raw body`` of every request; the bot signs ``event_ts + plain_token`` to prove, when an
address is saved in the console, that it knows the secret. Both are the same kind of text, so whoever gets any text
signed could forge an event: a bot signs only for a request that was itself signed rightly.

OpenSSL compares in constant time, and nothing secret is compared here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from qqmedia import ConfigurationError

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

__all__ = ("SIGNATURE_HEX_LENGTH", "BotKey", "seed")

_SEED_BYTES: Final = 32
_SIGNATURE_BYTES: Final = 64
SIGNATURE_HEX_LENGTH: Final = 2 * _SIGNATURE_BYTES
# The official SDK refuses these bits in the last byte: a number above the group's order would be a second valid
# signature of the same request.
_FORBIDDEN_BITS: Final = 0b1110_0000


def seed(secret: str) -> bytes:
    """Return the secret, repeated and cut to 32 bytes.

    Raises:
        ConfigurationError: The secret is empty.
    """
    raw = secret.encode()
    if not raw:
        raise ConfigurationError("client_secret is empty; it is the AppSecret of the bot's page on q.qq.com")
    return (raw * (_SEED_BYTES // len(raw) + 1))[:_SEED_BYTES]


class BotKey:
    """Signs and verifies as the owner of one secret; made by `of`."""

    __slots__ = ("_invalid", "_private", "_public")

    def __init__(self, private: Ed25519PrivateKey, public: Ed25519PublicKey, invalid: type[Exception]) -> None:
        self._private = private
        self._public = public
        self._invalid = invalid

    @classmethod
    def of(cls, secret: str) -> BotKey:
        """Return the key of this secret.

        Raises:
            ConfigurationError: The secret is empty, or the package `cryptography` is not installed.
        """
        try:
            from cryptography.exceptions import InvalidSignature  # noqa: PLC0415 - only who receives by webhook has it
            from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey  # noqa: PLC0415
        except ModuleNotFoundError as error:
            raise ConfigurationError(
                'webhooks need the package cryptography; run: pip install "qqmedia[webhook]"'
            ) from error
        private = Ed25519PrivateKey.from_private_bytes(seed(secret))
        return cls(private, private.public_key(), InvalidSignature)

    @property
    def public_bytes(self) -> bytes:
        """The public key, 32 bytes."""
        return self._public.public_bytes_raw()

    def sign(self, text: bytes) -> str:
        """Return the signature of the text in hex."""
        return self._private.sign(text).hex()

    def verify(self, signature: str, timestamp: str, body: bytes) -> bool:
        """Return whether `signature` (hex) is the one of this timestamp and these raw bytes; nonsense is just wrong."""
        if len(signature) != SIGNATURE_HEX_LENGTH or not timestamp.isascii():
            return False
        try:
            raw = bytes.fromhex(signature)
        except ValueError:
            return False
        if len(raw) != _SIGNATURE_BYTES or raw[-1] & _FORBIDDEN_BITS:
            return False
        try:
            self._public.verify(raw, timestamp.encode() + body)
        except self._invalid:
            return False
        return True
