"""First half of the way: from what somebody gave to what will be sent, exactly."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Final, Protocol, cast

from qqmedia._digests import Digests
from qqmedia._keys import default_key, valid_key
from qqmedia._policy import HostPolicy
from qqmedia._reach import is_url
from qqmedia._sources import INLINE_BYTES, Limits, Loaded, load, shown, too_large
from qqmedia._transforms import Transforms
from qqmedia.driver import Transform
from qqmedia.errors import MediaFormatError, MediaSourceError
from qqmedia.media import MediaKind, MediaSource, Upload, Workspace
from qqmedia.plugins import Plugins
from qqmedia.sniff import HEAD_BYTES, Sniffed, looks_like_text, sniff

__all__ = ("Preparer",)

_EXAMPLES: Final = {
    MediaKind.IMAGE: "a picture (png, jpg, gif, webp ...)",
    MediaKind.VIDEO: "a video (mp4, mov, webm ...)",
    MediaKind.VOICE: "audio, or a video with sound",
}
_LONGEST_NAME: Final = 120  # characters of a file name that people see


class Fetch(Protocol):
    """Downloads a URL."""

    async def __call__(self, url: str, limits: Limits, workspace: Workspace, /) -> Loaded:
        """Return the content of the URL."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Preparer:
    """Sniffs, transforms, measures, hashes and names media.

    Attributes:
        policy: Limits.
        secret: For the names of objects.
        plugins: May name objects.
        transforms: Those for a kind, in their order.
        in_thread: Runs what blocks.
        fetch: Downloads what is given as a URL.
        digests: Of files that were prepared before.
    """

    policy: HostPolicy
    secret: bytes
    plugins: Plugins
    transforms: Transforms
    in_thread: Callable[..., Awaitable[Any]]
    fetch: Fetch
    digests: Digests = field(default_factory=Digests)

    async def prepare(self, kind: MediaKind, source: MediaSource, filename: str | None, workspace: Workspace) -> Upload:
        """Return what will be sent; the caller closes the workspace when nobody reads it any more.

        Raises:
            MediaError: It cannot be read, is not what was asked for, or is too large.
        """
        transforms = self.transforms.of(kind)
        hashed = not transforms or self.transforms.seldom(kind)
        limits = Limits(kind=kind, max_bytes=self.policy.max_bytes, hashed=hashed, digests=self.digests)
        loaded = await self._load(source, limits, workspace)
        found = sniff(loaded.head)
        _check_source(kind, source, loaded, found)
        start = loaded.content if isinstance(loaded.content, bytes) else loaded.head
        untouched = not transforms or self.transforms.passes(kind, found.content_type, start, loaded.size)
        key = "" if not untouched or self.plugins.name_objects else self._key(kind, loaded.sha256, found)
        upload = Upload(
            kind=kind, content_type=found.content_type, size=loaded.size, sha256=loaded.sha256, key=key,
            filename=_name(filename or loaded.filename, kind, found), ttl=timedelta(seconds=self.policy.ttl),
            content=loaded.content, stamp=loaded.stamp, workspace=workspace,
        )  # fmt: skip
        if key:  # as a rule; made once, because what is frozen is slow to make
            return upload
        if not untouched:
            upload, found = await self._transform(upload, transforms, found)
        return self._named(upload, found)

    async def _load(self, source: MediaSource, limits: Limits, workspace: Workspace) -> Loaded:
        if isinstance(source, str) and is_url(source):
            return await self.fetch(source, limits, workspace)
        if isinstance(source, bytes) and (len(source) <= INLINE_BYTES or not limits.hashed):
            return load(source, limits, workspace)  # touches no disk
        loaded: Loaded = await self.in_thread(load, source, limits, workspace)
        return loaded

    async def with_bytes(self, upload: Upload, content: bytes, note: str) -> Upload:
        """Return the upload with other bytes, which no transform sees.

        Raises:
            MediaError: They are too many, empty, or not of the upload's kind.
        """
        if not content:
            raise MediaSourceError(f"the {upload.kind} became empty: {note}")
        changed = replace(
            upload, content=content, stamp=None, size=len(content), sha256="", key="", notes=(*upload.notes, note)
        )  # fmt: skip
        changed, found = await self._measured(changed)
        return self._named(changed, found)

    async def _transform(
        self, given: Upload, transforms: Sequence[Transform], found: Sniffed
    ) -> tuple[Upload, Sniffed]:
        upload = replace(given, sha256="")
        for transform in transforms:
            upload = await transform.apply(upload)
        if given.sha256 and upload.content is given.content:  # at most a note was added
            return replace(upload, sha256=given.sha256), found
        return await self._measured(upload)

    async def _measured(self, upload: Upload) -> tuple[Upload, Sniffed]:
        """Sniff and hash what transforms or plugins made; it must be what was asked for."""
        done = ", ".join(upload.notes) or "no change"
        if upload.size > self.policy.max_bytes:
            raise too_large(f"the {upload.kind} ({done})", upload.size, self.policy.max_bytes)
        if isinstance(upload.content, bytes) and upload.size <= INLINE_BYTES:
            head, digest = _head_and_digest(upload)
        else:
            head, digest = await self.in_thread(_head_and_digest, upload)
        found = sniff(head)
        if upload.kind is not MediaKind.FILE and found.kind is not upload.kind:
            raise MediaFormatError(
                f"the {upload.kind} is {found.content_type} when it is to be sent ({done});"
                f" expected {_EXAMPLES[upload.kind]}"
            )
        return replace(upload, sha256=digest, content_type=found.content_type), found

    def _named(self, upload: Upload, found: Sniffed) -> Upload:
        key = self.plugins.object_key(upload)
        return replace(upload, key=self._key(upload.kind, upload.sha256, found) if key is None else valid_key(key))

    def _key(self, kind: MediaKind, sha256: str, found: Sniffed) -> str:
        return default_key(self.secret, kind, sha256, found.extension)


def _head_and_digest(upload: Upload) -> tuple[bytes, str]:
    if isinstance(upload.content, bytes):
        return upload.content[:HEAD_BYTES], hashlib.sha256(upload.content).hexdigest()
    with upload.open() as file:
        head = file.read(HEAD_BYTES)
        file.seek(0)
        return head, hashlib.file_digest(cast("Any", file), "sha256").hexdigest()


def _check_source(kind: MediaKind, source: MediaSource, loaded: Loaded, found: Sniffed) -> None:
    """Refuse what no transform can make acceptable."""
    match kind:
        case MediaKind.FILE:
            good = True
        case MediaKind.VOICE:  # decoders know more formats than we do, and read the sound of a video
            good = found.kind is not MediaKind.IMAGE
        case _:
            good = found.kind is kind
    if good:
        return
    unknown = found.content_type == "application/octet-stream"
    is_a = ("text" if looks_like_text(loaded.head) else "of an unknown format") if unknown else found.content_type
    raise MediaFormatError(
        f"{_called(source, loaded)}, given as {kind}, is {is_a}, by its first bytes; expected {_EXAMPLES[kind]}"
    )


def _called(source: MediaSource, loaded: Loaded) -> str:
    """Return by what an author finds the source again."""
    if isinstance(source, str) and is_url(source):
        from qqmedia.guard import shown_url  # noqa: PLC0415 - `import qqmedia` must not load its HTTP client

        return shown_url(source)
    if isinstance(source, str | os.PathLike):
        return shown(source)
    return shown(loaded.filename) if loaded.filename else f"a medium of {loaded.size} bytes"


def _name(given: str | None, kind: MediaKind, found: Sniffed) -> str:
    """Return the name that people see: the last part of what was given, nothing that a screen would act on."""
    name = (given or "").replace("\\", "/").rstrip("/").rpartition("/")[2]
    name = "" if name in (".", "..") else name
    if not name.isprintable():
        name = "".join(one for one in name if one.isprintable())
    return name.strip()[-_LONGEST_NAME:] or f"{kind.value}.{found.extension}"
