"""Plans a chain: as few messages as possible, in the order of its elements, without any I/O.

Text and one picture share a message, where the text stands above the picture; so text that comes *behind* a picture
begins the next message. Video, voice and file travel alone, and so do markdown and ark (PLATFORM 3.3).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Never, NoReturn, TypeAlias, assert_never

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
from bot_core.openapi.values import MsgType
from bot_core.qq_group.splitting import split_text
from qqmedia import MediaSource

__all__ = ("Medium", "Plan", "PlannedMessage", "plan_chain")

Medium: TypeAlias = Image | Voice | Video | File


@dataclass(slots=True)
class PlannedMessage:
    """One message to be posted.

    Attributes:
        body: Its fields, without those that only sending knows (`media`, `msg_id`, `msg_seq`).
        medium: What has to be uploaded for it, if anything.
        pictures: Pictures of its markdown, by name; `None` where it has none.
        opening: Its text, where that is only the mention that the chain began with by itself; else empty.
    """

    body: dict[str, Any]
    medium: Medium | None = None
    pictures: Mapping[str, MediaSource] | None = None
    opening: str = ""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a chain comes to.

    Attributes:
        messages: To be posted one after the other; empty when there is nothing to say.
        left_out: Names of elements that have no form here, each once.
    """

    messages: list[PlannedMessage]
    left_out: tuple[str, ...] = ()


def plan_chain(elements: Iterable[Element], *, reference: str = "", text_limit: int | None = None) -> Plan:
    """Plan the messages of a chain.

    Args:
        elements: What the chain is made of. A mention that it began with by itself goes with text or a picture only.
        reference: Reference id of the message to quote; the first message gets it. Empty: none.
        text_limit: How many characters of text a message holds; longer text becomes several. `None`: any number.
    """
    planner = _Planner(text_limit)
    elements = list(elements)
    if elements and isinstance(elements[0], At) and elements[0].opening:
        if _would_be_alone(elements[1:]):
            del elements[0]  # nobody wants a message that only calls his name
        else:
            planner.opening = _mention(elements[0])
    for element in elements:
        planner.add(element)
    planner.close_text()
    messages = planner.finish()
    if reference and messages:
        messages[0].body.setdefault("message_reference", {"message_id": reference})
    return Plan(messages, tuple(planner.left_out))


@dataclass(slots=True)
class _Planner:
    text_limit: int | None = None
    opening: str = ""
    messages: list[PlannedMessage] = field(default_factory=list)
    text: list[str] = field(default_factory=list)
    # Raw fields that came when no message was there to take them: the next one does.
    waiting: dict[str, Any] = field(default_factory=dict)
    left_out: dict[str, None] = field(default_factory=dict)

    def add(self, element: Element) -> None:
        match element:
            case Text(content):
                self.text.append(content)
            case At():
                self.text.append(_mention(element))
            case AtAll():
                self.text.append("<@everyone>")
            case Image():
                body = self.with_text({"msg_type": MsgType.MEDIA.value})
                content = body.get("content", "")
                calls = not self.messages and content.rstrip() == self.opening.rstrip()
                self.put(PlannedMessage(body, element, opening=content if calls else ""))
            case Voice() | Video() | File():
                self.close_text()
                self.put(PlannedMessage({"msg_type": MsgType.MEDIA.value}, element))
            case Markdown(content, images=images) if "![" in content:
                self.close_text()
                self.put(PlannedMessage(_own_body(element), pictures=images or {}))
            case Markdown() | MarkdownTemplate() | Ark():
                self.close_text()
                self.put(PlannedMessage(_own_body(element)))
            case Extend(data) if isinstance(data, Mapping):
                self.extend(data)
            case Face() | Tag() | Embed() | Extend():
                self.left_out[type(element).__name__] = None
            case _:
                _refuse(element)

    def with_text(self, body: dict[str, Any]) -> dict[str, Any]:
        content = "".join(self.text)
        self.text.clear()
        if self.text_limit is not None and len(content) > self.text_limit:
            *before, content = split_text(content, self.text_limit) or [""]
            for piece in before:
                self.put(PlannedMessage({"msg_type": MsgType.TEXT.value, "content": piece}))
        if content.strip():
            body["content"] = content
        return body

    def close_text(self) -> None:
        # The platform refuses a message of white space only.
        body = self.with_text({"msg_type": MsgType.TEXT.value})
        if "content" in body:
            self.put(PlannedMessage(body))

    def put(self, message: PlannedMessage) -> None:
        message.body.update(self.waiting)
        self.waiting = {}
        self.messages.append(message)

    def extend(self, data: Mapping[str, Any]) -> None:
        """Merge into the message that is being written, else into the last one, else into the next."""
        if self.messages and not self.text:
            self.messages[-1].body.update(data)
        else:
            self.waiting.update(data)

    def finish(self) -> list[PlannedMessage]:
        if self.waiting and self.messages:
            self.messages[-1].body.update(self.waiting)
        elif self.waiting:  # a chain of nothing but raw fields is a message in itself
            self.put(PlannedMessage({"msg_type": MsgType.TEXT.value}))
        return self.messages


def _mention(at: At) -> str:
    return f"<@{at.target}>\n" if at.enter else f"<@{at.target}>"


def _refuse(element: Never) -> NoReturn:  # bots edit chain.chain
    raise TypeError(f"chain.chain holds {element!r:.80}, which is no element; add by the methods of Chain, as text()")


def _would_be_alone(rest: Sequence[Element]) -> bool:
    """Return whether an opening mention finds nothing to go with: nothing at all, or what travels alone."""
    first = next((element for element in rest if not _says_nothing(element)), None)
    return first is None or isinstance(first, Voice | Video | File | Markdown | MarkdownTemplate | Ark)


def _says_nothing(element: Element) -> bool:
    match element:
        case Text(content):
            return not content.strip()
        case Face() | Tag() | Embed():
            return True
        case Extend(data):
            return not isinstance(data, Mapping)
    return False


def _own_body(element: Markdown | MarkdownTemplate | Ark) -> dict[str, Any]:
    match element:
        case Markdown():
            markdown: dict[str, Any] = {"content": element.content}
            if element.force_verify_image_resource is not None:
                markdown["force_verify_image_resource"] = element.force_verify_image_resource
        case MarkdownTemplate():
            markdown = {"custom_template_id": element.template_id, "params": list(element.params)}
        case Ark():
            ark = {"template_id": element.template_id, "kv": list(element.kv)}
            return {"msg_type": MsgType.ARK.value, "ark": ark}
        case _:
            assert_never(element)
    body: dict[str, Any] = {"msg_type": MsgType.MARKDOWN.value, "markdown": markdown}
    if element.keyboard_template_id:
        body["keyboard"] = {"id": element.keyboard_template_id}
    elif element.keyboard:
        body["keyboard"] = dict(element.keyboard)
    return body
