"""The command ``qqbot explain``: what a code of the platform means, and what to do about it."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby
from typing import Annotated, Final

import typer

from bot_core.gateway.close_codes import CLOSE_CODES, CloseAction, CloseCode
from bot_core.openapi.codes import CODES, Code, CodeKind, error_class, look_up

__all__ = ("codes_page", "explain_command")

# What the bot itself does about a kind of code, in English and Chinese.
_DOES: Final = {
    CodeKind.ACCEPTED: ("it counts as sent", "视为已发送"),
    CodeKind.RETRY_NOW: (
        "tried once more at once; under HTTP 5xx again with growing pauses, within the message's time limit",
        "立即重试一次；HTTP 5xx 时在时限内逐步延长间隔重试",
    ),
    CodeKind.RETRY_LATER: (
        "tried again with growing pauses, within the message's time limit",
        "在时限内逐步延长间隔重试",
    ),
    CodeKind.RATE: ("held back to the documented rate, then tried again", "按文档速率限速后重试"),
    CodeKind.QUOTA: ("not tried again", "不重试"),
    CodeKind.REFRESH_TOKEN: ("a new token is fetched, then tried once more", "刷新 token 后重试一次"),
    CodeKind.AUTH: ("not tried again; fatal at login", "不重试；登录时为致命错误"),
    CodeKind.PERMISSION: ("not tried again", "不重试"),
    CodeKind.REPLY_CONTEXT: (
        "sent unasked where proactive_fallback=True, else an error",
        "proactive_fallback=True 时改为主动消息，否则报错",
    ),
    CodeKind.DUPLICATE: (
        "counts as delivered after an unclear failure; else tried under a new msg_seq",
        "若此前结果不明则视为已送达，否则换用新的 msg_seq 重试",
    ),
    CodeKind.TARGET: ("not tried again; the rest of the chain is not sent", "不重试，消息链其余部分不再发送"),
    CodeKind.PAYLOAD: ("not tried again", "不重试"),
    CodeKind.MEDIA: ("not sent again as it is", "不以原样重发"),
    CodeKind.MEDIA_SOURCE: ("the bytes are uploaded instead", "改为直接上传文件"),
    CodeKind.MEDIA_EXPIRED: ("uploaded again once", "重新上传一次"),
}

# Where it knows something better about one code.
_ACCEPTABLE: Final = (
    "the medium is made anew in a format that is surely taken, else it goes as a file card",
    "转换为通用格式后重发，仍不接受则改为文件卡片",
)
_DOES_ABOUT: Final = {
    850012: (
        "a message: again with growing pauses (under HTTP 4xx once, at once); an upload: once more, then another way",
        "消息：逐步延长间隔重试（HTTP 4xx 时立即重试一次）；上传：再试一次，然后改走另一方式",
    ),
    850019: _ACCEPTABLE,
    40034002: _ACCEPTABLE,
    40034004: _DOES[CodeKind.MEDIA_EXPIRED],
    40034141: ("the pictures go another way, and the message is sent once more", "图片改走另一方式后重发一次"),
    40093001: ("asked again for as long as the platform says", "在平台给定的时限内反复重试"),
}

# What follows when the platform closes the WebSocket with a code.
_FOLLOWS: Final = {
    CloseAction.RESUME: ("connects again, and what was missed arrives", "重新连接并补收遗漏的事件"),
    CloseAction.WAIT_THEN_RESUME: (
        "connects again after a while, and what was missed arrives",
        "稍候重新连接并补收遗漏的事件",
    ),
    CloseAction.IDENTIFY: ("connects again with a new session", "重新连接并新建会话"),
    CloseAction.REFRESH_TOKEN: ("fetches a new token and connects again", "刷新 token 后重新连接"),
    CloseAction.FEWER_INTENTS: (
        "connects again without the optional intents, and says which",
        "去掉可选的 intents 后重新连接，并在日志中列出",
    ),
    CloseAction.STOP: ("ends, with this reason", "以此原因结束"),
}

_PAGE_HEAD: Final = """\
# The platform's error codes

Every code that is known here: what it means, the error that it becomes, what the bot does about it by itself, and what
a person can do. `qqbot explain CODE` shows one of them. An answer may carry two codes, `code` and `err_code`; either
one is enough. A code that is not in the table is judged by its HTTP status, and logged with its trace id.

This page is made from `bot_core/openapi/_code_table.py`: `qqbot explain --page > docs/codes.md`.
"""


def explain_command(
    codes: Annotated[
        list[int] | None, typer.Argument(help="Codes from log lines, such as 850026.", metavar="CODE...")
    ] = None,
    *,
    page: Annotated[bool, typer.Option("--page", help="Print the page of all codes, in Markdown.")] = False,
) -> None:
    """Say what codes of the QQ platform mean, and what to do about them.

    Exit code 1: one of them is not known.
    """
    if page:
        typer.echo(codes_page(), nl=False)
        return
    if not codes:
        raise typer.BadParameter("give a code, such as 850026, or --page")
    unknown = [code for code in codes if look_up(code) is None and code not in CLOSE_CODES]
    for code in codes:
        known, closes = look_up(code), CLOSE_CODES.get(code)
        for line in _lines(code, known) if known else _closing_lines(closes) if closes else ():
            typer.echo(line)
    for code in unknown:
        typer.echo(
            f"{code}: not a code that is known here. An error with it is judged by its HTTP status; the platform's"
            " support can tell more from the trace id in the log line. | 未知错误码，请凭日志中的 trace id 咨询平台。",
            err=True,
        )
    if unknown:
        raise typer.Exit(1)


def codes_page() -> str:
    """Return the page of all codes, in Markdown."""
    lines = [_PAGE_HEAD]
    for kind in CodeKind:
        codes = [code for code in CODES.values() if code.kind is kind]
        if not codes:
            continue
        lines.append(f"## {kind.value}\n")
        for does, rows in groupby(sorted(codes, key=lambda code: code.number in _DOES_ABOUT), key=_does):
            lines.append(f"The bot: {does[0]}. | {does[1]}。\n")
            lines += _tables(list(rows))
    return "\n".join(lines)


def _tables(codes: list[Code]) -> Iterator[str]:
    for advice in dict.fromkeys((code.advice_en, code.advice_zh) for code in codes):
        yield f"You: {advice[0]}. | {advice[1]}。\n"
        yield from ("| code | meaning | 含义 | error |", "|---|---|---|---|")
        yield from (_row(code) for code in codes if (code.advice_en, code.advice_zh) == advice)
        yield ""


def _does(code: Code) -> tuple[str, str]:
    return _DOES_ABOUT.get(code.number) or _DOES[code.kind]


def _row(code: Code) -> str:
    number = "504xxx" if code.number == CODES[504000].number else str(code.number)
    return f"| {number} | {code.meaning_en} | {code.meaning_zh} | `{error_class(code.number).__name__}` |"


def _lines(number: int, code: Code) -> Iterator[str]:
    does, does_zh = _does(code)
    yield f"{number}: {code.meaning_en}"
    yield f"  class    {code.kind.value} ({error_class(number).__name__})"
    yield f"  the bot  {does}"
    yield f"  you      {code.advice_en}"
    yield f"{number}：{code.meaning_zh}"
    yield f"  程序     {does_zh}"
    yield f"  建议     {code.advice_zh}"


def _closing_lines(code: CloseCode) -> Iterator[str]:
    follows, follows_zh = _FOLLOWS[code.action]
    yield f"{code.number}: {code.reason_en}"
    yield f"  class    the WebSocket was closed ({code.action.value})"
    yield f"  the bot  {follows}"
    yield f"{code.number}：{code.reason_zh}"
    yield f"  程序     {follows_zh}"
