"""What goes out: a chain of elements that the adapter turns into as few messages as possible."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, Final, NoReturn, Self

import bot_core  # for annotations: the package finds a name when somebody asks for it
from bot_core.arguments import check_pictures
from bot_core.elements import (
    Ark,
    At,
    AtAll,
    Element,
    Embed,
    Extend,
    Face,
    File,
    Image,
    Markdown,
    MarkdownTemplate,
    Tag,
    Text,
    Video,
    Voice,
)
from bot_core.errors import BotError
from bot_core.keyboard import InlineKeyboard
from qqmedia import ChainBuilder, MediaSource
from qqmedia.errors import MediaSourceError

__all__ = ("Chain",)

_FACE: Final = re.compile(r"\[face:(\d+)]")

logger = logging.getLogger("bot_core.chain")


class Chain:
    """An answer, built piece by piece; every method returns the chain, and the order is kept.

    Attributes:
        data: The message that is answered.
        reference: Whether to quote it.
        chain: The elements; they may be read, changed, and added to.
    """

    def __init__(
        self,
        data: bot_core.Message | None = None,
        at: bool = True,  # noqa: FBT001, FBT002 - AmiyaBot's signature
        reference: bool = False,  # noqa: FBT001, FBT002 - AmiyaBot's signature
        chain_builder: ChainBuilder | None = None,
    ) -> None:
        if data is not None and not hasattr(data, "is_direct"):
            raise TypeError(
                f"a Chain begins with the message that is answered: Chain(data).text(...); got {data!r:.80}"
            )
        self.data = data
        self.reference = reference
        self.chain: list[Element] = []
        self._builder = chain_builder
        if at and data is not None and not data.is_direct:
            self.at(enter=True)
            opening = self.chain[0]
            if isinstance(opening, At):
                opening.opening = True

    @property
    def builder(self) -> ChainBuilder | None:
        """This chain's own builder, which wins over the adapter's; `None` where it has none."""
        return self._builder

    @builder.setter
    def builder(self, builder: ChainBuilder | None) -> None:
        self._builder = builder
        for element in self.chain:
            if isinstance(element, (Image, Voice, Video, File)):
                element.builder = builder

    def at(self, user: str | None = None, enter: bool = False) -> Self:  # noqa: FBT001, FBT002 - AmiyaBot's signature
        """Mention `user`, by default the sender of the message; `enter` adds a newline. Nothing in a private chat."""
        if self.data is not None and self.data.is_direct:
            return self
        target = user or (self.data.user_id if self.data is not None else "")
        if not target:
            raise ValueError("at() does not know whom to mention: give Chain the message, or at() a user id")
        self.chain.append(At(target, enter))
        return self

    def at_all(self) -> Self:
        """Mention everybody; the bot needs a right for it."""
        self.chain.append(AtAll())
        return self

    def face(self, face_id: str | int) -> Self:
        """Add a QQ face. Group messages have no form for it: it is left out with a warning."""
        self.chain.append(Face(face_id))
        return self

    def tag(self, target: str | int) -> Self:
        """Add a guild channel's tag; left out with a warning in groups."""
        self.chain.append(Tag(target))
        return self

    def text(self, text: str, auto_convert: bool = False) -> Self:  # noqa: FBT001, FBT002 - AmiyaBot's signature
        """Add text. Newlines at its end are cut unless there is nothing else; ``[face:5]`` becomes a face.

        Raises:
            TypeError: It is no `str`.
        """
        if auto_convert:
            _warn_of_auto_convert()
        if not isinstance(text, str):
            raise TypeError(f"text() takes a str, got {type(text).__name__}; to show a value, give it str(value)")
        text = text.rstrip("\n") or text
        if "[face:" not in text:
            self.chain.append(Text(text))
            return self
        for position, part in enumerate(_FACE.split(text)):
            if position % 2:
                self.chain.append(Face(part))
            elif part:
                self.chain.append(Text(part))
        return self

    def image(
        self,
        target: MediaSource | Sequence[MediaSource] | None = None,
        url: str | None = None,
        download: bool | None = None,  # noqa: FBT001 - AmiyaBot's signature
    ) -> Self:
        """Add a picture, or several.

        Args:
            target: Bytes, a path, an ``http(s)`` URL or a binary file object, or a list of them.
            url: An ``http(s)`` URL, instead of `target`.
            download: Fetch a URL here and upload the bytes; `None`: as the adapter is set.

        Raises:
            MediaSourceError: There is nothing to send. What cannot be read shows when the chain is sent.
        """
        if url:
            self.chain.append(Image(url=url, builder=self._builder, download=download))
            return self
        for item in target if isinstance(target, (list, tuple)) else (target,):
            source = _given(item, "image")
            if isinstance(source, str) and source.startswith(("http://", "https://")):
                self.chain.append(Image(url=source, builder=self._builder, download=download))
            else:
                self.chain.append(Image(content=source, builder=self._builder, download=download))
        return self

    def voice(self, file: MediaSource, title: str = "voice", *, download: bool = False) -> Self:
        """Add a voice: any audio, as a path, URL, bytes or file object; `download`: fetch a URL here at once."""
        self.chain.append(Voice(_given(file, "voice"), title, self._builder, download))
        return self

    def video(self, file: MediaSource, *, download: bool = False) -> Self:
        """Add a video, as a path, URL, bytes or file object; `download`: fetch a URL here at once."""
        self.chain.append(Video(_given(file, "video"), self._builder, download))
        return self

    def file(self, file: MediaSource, filename: str | None = None, *, download: bool = False) -> Self:
        """Add a file card; `filename` is what people see; `download`: fetch a URL here at once."""
        self.chain.append(File(_given(file, "file"), filename, self._builder, download))
        return self

    def markdown_content(
        self,
        content: str,
        keyboard: InlineKeyboard | Mapping[str, Any] | None = None,
        keyboard_template_id: str = "",
        force_verify_image_resource: bool | None = None,  # noqa: FBT001 - AmiyaBot's signature
        *,
        images: Mapping[str, MediaSource] | None = None,
    ) -> Self:
        """Add a markdown message of its own.

        Args:
            content: Markdown. Pictures in it may be public links, paths, or names that are in `images`; what the
                platform cannot fetch is stored by the media host, and gets its size.
            keyboard: Buttons.
            keyboard_template_id: Buttons by the id of their template.
            force_verify_image_resource: The platform's field of this name.
            images: Pictures by name: ``markdown_content("![a cat](cat)", images={"cat": png_bytes})``.

        Raises:
            TypeError: An argument is of another type; it says which.
        """
        if not isinstance(content, str):
            raise TypeError(f"content of markdown_content is a str; got {content!r:.80}")
        if images is not None:
            check_pictures(images)
        buttons = _platform_keyboard(keyboard)
        self.chain.append(Markdown(content, buttons, keyboard_template_id, force_verify_image_resource, images))
        return self

    def markdown_template(
        self,
        template_id: str,
        params: Sequence[Mapping[str, Any]],
        keyboard: InlineKeyboard | Mapping[str, Any] | None = None,
        keyboard_template_id: str = "",
    ) -> Self:
        """Add a markdown template message of its own.

        Raises:
            TypeError: An argument is of another type; it says which.
        """
        _check_list("params", params)
        self.chain.append(MarkdownTemplate(template_id, params, _platform_keyboard(keyboard), keyboard_template_id))
        return self

    def ark(self, template_id: int, kv: Sequence[Mapping[str, Any]]) -> Self:
        """Add an ark message of its own.

        Raises:
            TypeError: `kv` is no list.
        """
        _check_list("kv", kv)
        self.chain.append(Ark(template_id, kv))
        return self

    def embed(self, title: str, prompt: str, thumbnail: str, fields: Sequence[str]) -> Self:
        """Add a guild embed; left out with a warning in groups."""
        self.chain.append(
            Embed(
                {
                    "title": title,
                    "prompt": prompt,
                    "thumbnail": {"url": thumbnail},
                    "fields": [{"name": field} for field in fields],
                }
            )
        )
        return self

    def extend(self, data: Any) -> Self:
        """Merge raw fields, a mapping, into the body of the message; anything else is left out with a warning."""
        self.chain.append(Extend(data))
        return self

    def html(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        """Raise: there is no browser here."""
        _refuse_to_draw("html")

    def markdown(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        """Raise: there is no browser here. `markdown_content` sends real markdown."""
        _refuse_to_draw("markdown", " (or send real markdown with markdown_content)")

    def text_image(self, *_args: Any, **_kwargs: Any) -> NoReturn:
        """Raise: nothing is drawn here."""
        _refuse_to_draw("text_image")


def _given(source: MediaSource | None, method: str) -> MediaSource:
    if source is None:
        raise MediaSourceError(
            f"{method}() got None; it takes bytes, a path, an http(s) URL or a binary file object"
            " (was the file made at all?)"
        )
    return source


def _platform_keyboard(keyboard: InlineKeyboard | Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    if isinstance(keyboard, InlineKeyboard):
        return {"content": keyboard.dict()}
    if keyboard is not None and not isinstance(keyboard, Mapping):
        raise TypeError(f"keyboard is an InlineKeyboard, or the platform's own object; got {keyboard!r:.80}")
    return keyboard


def _check_list(name: str, given: object) -> None:
    if not isinstance(given, Sequence) or isinstance(given, str):
        raise TypeError(f"{name} is a list of mappings; got {given!r:.80}")


def _refuse_to_draw(method: str, besides: str = "") -> NoReturn:
    raise BotError(
        f"Chain.{method} would draw a picture, and nothing is drawn here:"
        f" draw it with a library of your choice and pass the bytes to image(){besides}"
    )


@cache
def _warn_of_auto_convert() -> None:
    """Say it once per process."""
    logger.warning("text(auto_convert=True) drew long text as a picture in AmiyaBot; here the text is sent as text")
