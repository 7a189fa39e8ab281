"""The certificate of the listener. Certificates live for some weeks and bots for longer: new files are taken up."""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
from typing import Final

from bot_core.webhook.options import WebhookOptions
from qqmedia import ConfigurationError

__all__ = ("Certificate",)

_LOOK_EVERY_SECONDS: Final = 3600.0

logger = logging.getLogger("bot_core.webhook")


class Certificate:
    """What `certfile` and `keyfile` hold; made by `load`.

    Attributes:
        context: For the listener; each handshake gets what was loaded last.
    """

    def __init__(self, options: WebhookOptions, context: ssl.SSLContext, stamp: tuple[int, ...]) -> None:
        self.context = context
        self._options = options
        self._newest = context
        self._stamp = stamp

    @classmethod
    def load(cls, options: WebhookOptions) -> Certificate | None:
        """Read the files; `None` where there are none to read. It blocks: call it in a thread.

        Raises:
            ConfigurationError: They are not there, or not what is needed.
        """
        if options.certfile is None:
            return None
        certificate = cls(options, _context(options), _stamp(options))
        # `SSLContext` itself must not change while handshakes use it.
        certificate.context.sni_callback = certificate._choose
        return certificate

    async def watch(self, every_seconds: float = _LOOK_EVERY_SECONDS) -> None:
        """Take up new files, until cancelled."""
        while True:
            await asyncio.sleep(every_seconds)
            try:
                if await asyncio.to_thread(self._renew):
                    logger.info("the webhook uses the new certificate in %s", self._options.certfile)
            except (ConfigurationError, OSError) as error:
                logger.warning("the webhook goes on with the certificate that it had: %s", error)

    def _renew(self) -> bool:
        stamp = _stamp(self._options)
        if stamp == self._stamp:
            return False
        self._newest, self._stamp = _context(self._options), stamp
        return True

    def _choose(self, connection: ssl.SSLObject | ssl.SSLSocket, _name: str | None, _first: ssl.SSLContext) -> None:
        connection.context = self._newest


def _files(options: WebhookOptions) -> list[str]:
    return [os.fspath(one) for one in (options.certfile, options.keyfile) if one is not None]


def _stamp(options: WebhookOptions) -> tuple[int, ...]:
    return tuple(os.stat(one).st_mtime_ns for one in _files(options))  # noqa: PTH116 - they may be relative strings


def _context(options: WebhookOptions) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certfile, keyfile = _files(options)[0], options.keyfile
    try:
        # A key with a password would ask for it on the terminal, and the bot would hang.
        context.load_cert_chain(certfile, keyfile, password=_no_password)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        raise ConfigurationError(
            f"webhook certificate {' with '.join(_files(options))} cannot be used: "
            f"{getattr(error, 'strerror', None) or error}; it takes PEM files: the certificate with its chain, and the "
            "key that belongs to it, without a password"
        ) from error
    return context


def _no_password() -> str:
    raise ValueError("the key has a password")
