"""Gets the port: alone, together with another process of ours, or not at all."""

from __future__ import annotations

import errno
import json
import logging
import socket
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Final

from qqmedia import ConfigurationError, StorageError, StorageUnavailableError
from qqmedia_drivers.local._box import Box, ServerOptions, joining, living, sweep
from qqmedia_drivers.local._folder import disk_errors
from qqmedia_drivers.local._locks import exclusively

__all__ = ("PortTakenError", "ServedElsewhereError", "bind_shared", "join")

# EACCES: Windows keeps ranges of ports to itself, and answers so.
_TAKEN: Final = frozenset({errno.EADDRINUSE, errno.EACCES} if sys.platform == "win32" else {errno.EADDRINUSE})

logger = logging.getLogger("qqmedia_drivers.local")


class PortTakenError(StorageUnavailableError):
    """Another program has the port."""


class ServedElsewhereError(ConfigurationError):
    """Another process serves this port with other options."""


def join(options: ServerOptions, state_dir: Path) -> tuple[Box, socket.socket | None, ServerOptions]:
    """Take a box in the folder and the port, and clear what dead processes left.

    The socket is `None` where another process serves the same folder on this port and the system cannot share it. The
    options come back with the port that was got.

    Raises:
        PortTakenError: Another program has the port.
        ServedElsewhereError: A process of ours has it, with other options.
        ConfigurationError: `host` is no address of this machine.
        StorageError: The folder cannot be used.
    """
    folder = options.resource_path
    folders = {folder}
    note = state_dir / "local" / f"{options.port}.json" if options.port else None
    with ExitStack() as stack:
        if note is not None:
            with disk_errors(f"state folder {state_dir} cannot be used", setting="QQMEDIA_STATE"):
                stack.enter_context(exclusively(note.with_suffix(".lock")))
                folders |= _read(note)
        stack.enter_context(disk_errors(f"resource_path {folder} cannot be used"))
        stack.enter_context(joining(folder))
        siblings = _siblings(options, folders)
        if note is not None:
            with disk_errors(f"state folder {state_dir} cannot be used", setting="QQMEDIA_STATE"):
                note.write_text(json.dumps(sorted({folder, *filter(living, folders)})), "utf-8")
        listener = _bind(options, shared_with=siblings)
        box, options = _claim(options, listener)
    try:
        sweep(folder)  # after the others may go on: there may be many files
    except OSError as error:
        logger.warning("what dead processes left in %s cannot be removed: %s", folder, error)
    return box, listener, options


def bind_shared(options: ServerOptions) -> socket.socket | None:
    """Return a socket on the port beside those of other processes of ours, or `None` if the system cannot share."""
    try:
        return _socket(options, share=True)
    except OSError as error:
        if error.errno in _TAKEN:
            return None
        raise


def _claim(options: ServerOptions, listener: socket.socket | None) -> tuple[Box, ServerOptions]:
    """Take a box that says which port was got."""
    if listener is None:
        return Box.claim(options), options
    try:
        options = replace(options, port=listener.getsockname()[1])
        return Box.claim(options), options
    except BaseException:
        listener.close()
        raise


def _siblings(options: ServerOptions, folders: set[str]) -> list[ServerOptions]:
    """Return the living servers of ours on this port; refuse one with other options."""
    if not options.port:
        return []
    siblings = [other for folder in sorted(folders) for other in living(folder) if other.port == options.port]
    for other in siblings:
        if differences := options.differences(other):
            raise ServedElsewhereError(
                f"port {options.port} is served by another process with other options: {differences}; "
                "give both the same options, or another port"
            )
    return siblings


def _read(note: Path) -> set[str]:
    """Return the folders that were served on the port of this note."""
    try:
        return {str(folder) for folder in json.loads(note.read_text("utf-8"))}
    except (FileNotFoundError, ValueError):
        return set()


def _bind(options: ServerOptions, *, shared_with: list[ServerOptions]) -> socket.socket | None:
    where = f"port {options.port}"
    try:
        alone = _socket(options, share=False)
        if not options.port:
            return alone
        # Nobody listens here. The socket that stays is one that others of ours may join.
        alone.close()
        return _socket(options, share=True)
    except socket.gaierror as error:
        raise ConfigurationError(f"host {options.host!r} is no address: {error.strerror}") from error
    except OSError as error:
        if error.errno in _TAKEN:
            if shared_with:
                return bind_shared(options)
            raise PortTakenError(
                f"{where} is taken by another program; stop that program, or choose another port "
                "(port=, QQMEDIA_LOCAL_PORT)"
            ) from error
        if error.errno == errno.EADDRNOTAVAIL:
            raise ConfigurationError(f"host {options.host!r} is no address of this machine") from error
        if error.errno == errno.EACCES:
            raise ConfigurationError(f"{where} is not allowed to this user; choose one above 1023") from error
        raise StorageError(f"{where} on {options.host} cannot be listened on: {error.strerror or error}") from error


def _socket(options: ServerOptions, *, share: bool) -> socket.socket:
    """Return a bound, listening socket."""
    family, kind, protocol, _, address = socket.getaddrinfo(
        options.host, options.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    listener = socket.socket(family, kind, protocol)
    try:
        if family == socket.AF_INET6 and options.host == "::":
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        if sys.platform == "win32":
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        else:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if share and sys.platform != "win32":
            _try_to_share(listener)
        listener.bind(address)
        listener.listen(socket.SOMAXCONN)
        listener.setblocking(False)  # noqa: FBT003 - the standard library's signature
    except BaseException:
        listener.close()
        raise
    return listener


def _try_to_share(listener: socket.socket) -> None:
    if hasattr(socket, "SO_REUSEPORT"):
        try:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        except OSError as error:
            if error.errno not in (errno.ENOPROTOOPT, errno.EINVAL):  # a kernel without it
                raise
