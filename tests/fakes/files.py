"""Files that misbehave."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

from qqmedia import MediaKind, Upload
from qqmedia.testing import make_upload

__all__ = ("shortened",)


def shortened(path: Path, size: int) -> Upload:
    """Return an upload of a file that is truncated after it was looked at."""
    path.write_bytes(bytes(size))
    upload = replace(make_upload(path, kind=MediaKind.VIDEO), stamp=None)
    os.truncate(path, 1_000_000)
    return upload
