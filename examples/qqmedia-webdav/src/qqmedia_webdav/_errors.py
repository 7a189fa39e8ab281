"""What a refusal of the server means, and what to do about it."""

from __future__ import annotations

from qqmedia import (
    StorageError,
    StorageMisconfiguredError,
    StorageNotFoundError,
    StoragePermissionError,
    StorageQuotaError,
    StorageUnavailableError,
)

_PERMISSION = StoragePermissionError, "check user and password, and that this user may write there"
_FOLDER = StorageNotFoundError, "make the folder that `url` names, or mend `url`"
_SPACE = StorageQuotaError, "the server takes no more, or nothing so large"
_PASSING = StorageUnavailableError, "it may pass"
_OTHER = StorageMisconfiguredError, "is `url` a folder of a WebDAV server?"
_MEANINGS = {401: _PERMISSION, 403: _PERMISSION, 404: _FOLDER, 409: _FOLDER, 413: _SPACE, 507: _SPACE}
_MEANINGS |= dict.fromkeys((408, 423, 425, 429), _PASSING)
_SERVER_ERROR = 500


def refusal(method: str, status: int) -> StorageError:
    kind, hint = _MEANINGS.get(status, _PASSING if status >= _SERVER_ERROR else _OTHER)
    return kind(f"the WebDAV server answered {status} to {method}: {hint}")
