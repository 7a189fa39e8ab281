"""Names of objects: unguessable, and the same for the same content across runs."""

from __future__ import annotations

import contextlib
import hmac
import os
import re
import secrets
import tempfile
from functools import lru_cache
from pathlib import Path
from typing import Final

from qqmedia.errors import ConfigurationError, DriverBrokenError
from qqmedia.media import MediaKind

__all__ = ("default_key", "load_secret", "state_folder", "valid_key")

_FILE: Final = "object-key.secret"
_SECRET_BYTES: Final = 32
_LONGEST_KEY: Final = 200
_ALLOWED: Final = re.compile(r"[A-Za-z0-9._/-]+")


def state_folder(given: str | os.PathLike[str] | None) -> Path:
    """Return the folder for what must outlive the process; make it, readable by this user only."""
    import platformdirs  # noqa: PLC0415 - only when a host opens

    folder = Path(given or os.environ.get("QQMEDIA_STATE") or platformdirs.user_state_path("qqmedia"))
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigurationError(
            f"the state folder {folder} cannot be made: {error.strerror or error}; set QQMEDIA_STATE to another folder"
        ) from error
    return folder


def load_secret(folder: Path) -> bytes:
    """Return the secret of this user's keys; make it when there is none.

    Any number of processes may do so at once and get the same one: whoever links its file first wins.
    """
    path = folder / _FILE
    try:
        if (secret := _read(path)) is not None:
            return secret
        _create(path)
        secret = _read(path)
    except OSError as error:
        raise ConfigurationError(
            f"the secret of object names {path} cannot be read or made: {error.strerror or error};"
            " set QQMEDIA_STATE to a folder that can be written"
        ) from error
    if secret is None:
        raise ConfigurationError(f"{path} vanished as soon as it was made; is another program cleaning {folder}?")
    return secret


def _read(path: Path) -> bytes | None:
    try:
        content = path.read_bytes()
    except FileNotFoundError:
        return None
    if len(content) != _SECRET_BYTES:
        raise ConfigurationError(f"{path} is damaged ({len(content)} bytes, not {_SECRET_BYTES}); delete it")
    return content


def _create(path: Path) -> None:
    handle, name = tempfile.mkstemp(prefix=f".{path.name}-", dir=path.parent)  # mode 0600
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(secrets.token_bytes(_SECRET_BYTES))
            file.flush()
            os.fsync(file.fileno())
        _put_in_place(Path(name), path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            Path(name).unlink()


def _put_in_place(new: Path, path: Path) -> None:
    """Give `new` its name, unless somebody else was faster; never replace a file that is there."""
    try:
        os.link(new, path)
    except FileExistsError:
        return
    except OSError:
        # A file system without hard links: `x` still lets one process win, and 32 bytes are written at once.
        with contextlib.suppress(FileExistsError), open(path, "xb", opener=_private, buffering=0) as file:
            file.write(new.read_bytes())


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)


def default_key(secret: bytes, kind: MediaKind, sha256: str, extension: str) -> str:
    """Return 64 hexadecimal digits, a dot, and the extension."""
    # Not `hmac.digest`: that lets go of the interpreter, which a thread that writes a picture may then keep.
    name = _keyed(secret).copy()
    name.update(f"{kind.value}:{sha256}".encode())
    return f"{name.hexdigest()}.{extension}"


@lru_cache(maxsize=8)
def _keyed(secret: bytes) -> hmac.HMAC:
    return hmac.new(secret, digestmod="sha256")


def valid_key(key: object) -> str:
    """Return a plugin's key if it keeps to the rule of `qqmedia_object_key`.

    Raises:
        DriverBrokenError: It does not; a storage would store it under another name, or somewhere else.
    """
    good = (
        isinstance(key, str)
        and len(key) <= _LONGEST_KEY
        and _ALLOWED.fullmatch(key) is not None
        and all(part not in ("", ".", "..") for part in key.split("/"))
    )
    if not good or not isinstance(key, str):
        raise DriverBrokenError(
            f"a plugin's qqmedia_object_key gave {key!r:.80}; allowed are A-Z a-z 0-9 . _ - /, at most {_LONGEST_KEY}"
            " characters, no part empty, . or .."
        )
    return key
