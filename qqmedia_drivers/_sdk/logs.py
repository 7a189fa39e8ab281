"""Keeps the debug logs of SDKs shut: they hold request headers, and so session tokens and signatures."""

from __future__ import annotations

import logging

__all__ = ("quieten",)


def quieten(*names: str) -> None:
    """Let these loggers say nothing below WARNING, whatever the root logger lets through.

    A level that somebody set for one of them is left: who asks for an SDK's debug log by its name gets it.
    """
    for name in names:
        logger = logging.getLogger(name)
        if logger.level == logging.NOTSET:
            logger.setLevel(logging.WARNING)
