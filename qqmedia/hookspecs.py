"""Every hook of `qqmedia`, with its contract (pluggy, project name ``qqmedia``).

Only the three ``get_*`` hooks may be coroutine functions: pluggy never awaits, so the host walks these itself, one
implementation at a time. A coroutine function behind any other hook is refused when the plugin is registered.
Arguments of an implementation never have defaults.
"""

from __future__ import annotations

from collections.abc import Sequence

import pluggy

from qqmedia.driver import DriverSpec, Transform
from qqmedia.media import HostedMedia, Upload

__all__ = ("PROJECT_NAME", "hookimpl", "hookspec")

PROJECT_NAME = "qqmedia"

hookspec = pluggy.HookspecMarker(PROJECT_NAME)
hookimpl = pluggy.HookimplMarker(PROJECT_NAME)


@hookspec
def qqmedia_register_drivers() -> DriverSpec | Sequence[DriverSpec]:  # type: ignore[empty-body]
    """Return this plugin's drivers. Asking opens nothing and imports no SDK.

    The name of a driver is the name of the entry point that brought the plugin; another name is an error.
    """


@hookspec
def qqmedia_register_transforms() -> Sequence[Transform]:  # type: ignore[empty-body]
    """Return transforms. They run in their `order` on every medium of their `kinds`.

    The built-in ones come through this hook as well: voices have the order 100, pictures and videos 200. Who closes the
    host closes nothing of a plugin's.
    """


@hookspec
def get_image(image: bytes) -> str | bytes | None:
    """Answer for a prepared image: a URL, bytes to be uploaded, or `None`: not mine. May be a coroutine function.

    Plugins are asked in pluggy's order, one at a time, and the first answer that is not `None` counts. The host's own
    answer (`Driver.put`) is last. A driver that was not chosen is never asked. Whatever else than an error of
    `qqmedia.errors` is raised becomes a `DriverBrokenError` that names the plugin; a bot uploads the bytes then.
    """


@hookspec
def get_voice(voice_file: str) -> str | bytes | None:
    """Answer for a prepared voice, given as the path of a Tencent silk file; else as `get_image`."""


@hookspec
def get_video(video_file: str) -> str | bytes | None:
    """Answer for a prepared video, given as a path; else as `get_image`."""


@hookspec(firstresult=True)
def qqmedia_object_key(upload: Upload) -> str | None:
    """Name the object in the storage; `None`: not mine. `upload.key` is empty at this time.

    A key must be unguessable and the same for the same content. Allowed are ``A-Z a-z 0-9 . _ - /``, at most 200
    characters, no part empty, ``.`` or ``..``. Default: HMAC-SHA256 of kind and digest with a secret of this user, plus
    the extension of the content type.
    """


@hookspec
def qqmedia_published(media: HostedMedia) -> None:
    """Hear that an object can be fetched now. A raise is logged with the plugin's name and never fails the send."""


@hookspec
def qqmedia_unpublished(media: HostedMedia) -> None:
    """Hear that an object was taken down; ``media.upload`` has no content any more.

    A raise is logged with the plugin's name.
    """
