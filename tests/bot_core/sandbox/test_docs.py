"""The table of faults in docs/sandbox.md: every line of it works as it stands."""

from __future__ import annotations

import ast
import inspect
import json
import re
from pathlib import Path
from typing import Any

import pytest

from bot_core.sandbox import FAULT_KINDS, SandboxOptions

PAGE = (Path(__file__).parents[3] / "docs" / "sandbox.md").read_text(encoding="utf-8")
SECTION = PAGE[PAGE.index("## When things go wrong") : PAGE.index("## Media\n")]
ROWS = re.findall(r"^\| (.+?) \| `(.+?)` \| `(.+?)` \|$", SECTION, re.MULTILINE)


def test_all_lines_and_all_kinds_are_there() -> None:
    assert len(ROWS) == 30
    kinds = SECTION[SECTION.index("Kinds of calls: ") : SECTION.index("What cannot happen")]
    assert set(" ".join(re.findall(r"`([a-z_ \n]+)`", kinds)).split()) == set(FAULT_KINDS)


@pytest.mark.asyncio
@pytest.mark.parametrize(("_what", "said", "over_http"), ROWS, ids=[row[0] for row in ROWS])
async def test_a_line_works_over_http_and_in_a_test(play: Any, _what: str, said: str, over_http: str) -> None:
    async with play() as (qq, bot):
        if over_http.startswith("DELETE "):
            request = bot.http.delete(qq.api_base + over_http.removeprefix("DELETE "))
        else:
            path, _, body = over_http.partition(" ")
            request = bot.http.post(f"{qq.api_base}/sandbox/{path}", json=json.loads(body))
        async with request as response:
            assert response.status == 200, await response.text()
        value = eval(compile(said, "docs", "eval", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT), {"qq": qq})
        if inspect.isawaitable(value):
            await value


def test_the_options_that_are_named_are_there() -> None:
    table = SECTION[SECTION.index("| option |") : SECTION.index("Calls can also go wrong")]
    names = re.findall(r"`(\w+)`", " ".join(line.split("|")[1] for line in table.splitlines() if line[:3] == "| `"))
    assert len(names) >= 12
    for name in names:
        assert hasattr(SandboxOptions(), name)
