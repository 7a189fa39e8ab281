from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from bot_core.cli._app import app
from bot_core.cli._explain import codes_page
from bot_core.gateway.close_codes import CLOSE_CODES
from bot_core.openapi.codes import CODES, CodeKind

PAGE = Path(__file__).parents[2] / "docs" / "codes.md"


@pytest.mark.parametrize("number", sorted(CODES))
def test_every_code_is_explained_in_both_languages(number: int) -> None:
    result = CliRunner().invoke(app, ["explain", str(number)])
    assert result.exit_code == 0, result.output
    code = CODES[number]
    for words in (code.meaning_en, code.meaning_zh, code.advice_en, code.advice_zh, code.kind.value):
        assert words in result.output


def test_codes_of_a_family_are_explained() -> None:
    result = CliRunner().invoke(app, ["explain", "504123"])
    assert result.exit_code == 0
    assert "504123: a time-out inside the platform" in result.output


@pytest.mark.parametrize("number", sorted(CLOSE_CODES))
def test_what_a_log_line_calls_a_close_code_is_explained_in_both_languages(number: int) -> None:
    result = CliRunner().invoke(app, ["explain", str(number)])
    assert result.exit_code == 0, result.output
    code = CLOSE_CODES[number]
    for words in (code.reason_en, code.reason_zh, f"the WebSocket was closed ({code.action.value})", "the bot  "):
        assert words in result.output


def test_a_code_that_nobody_knows_says_so() -> None:
    result = CliRunner().invoke(app, ["explain", "7"])
    assert result.exit_code == 1
    assert "7: not a code that is known here" in result.output
    assert "trace id" in result.output


def test_several_codes_are_explained_at_once() -> None:
    result = CliRunner().invoke(app, ["explain", "850026", "7", "304080"])
    assert result.exit_code == 1
    assert "850026: " in result.output
    assert "304080: " in result.output
    assert "7: not a code that is known here" in result.output


@pytest.mark.parametrize(
    ("code", "does"),
    [(850019, "file card"), (40034004, "uploaded again"), (40034141, "another way"), (40093001, "asked")],
)
def test_what_the_bot_does_about_one_code_is_said(code: int, does: str) -> None:
    [line] = [one for one in CliRunner().invoke(app, ["explain", str(code)]).output.splitlines() if "the bot" in one]
    assert does in line


@pytest.mark.parametrize("arguments", [[], ["words"]])
def test_without_a_code_it_is_a_usage_error(arguments: list[str]) -> None:
    result = CliRunner().invoke(app, ["explain", *arguments])
    assert result.exit_code == 2


def test_the_page_is_current() -> None:
    written = PAGE.read_text(encoding="utf-8")
    assert written == codes_page(), "run: qqbot explain --page > docs/codes.md"
    assert CliRunner().invoke(app, ["explain", "--page"]).output == written


def test_the_page_has_every_code_and_every_kind() -> None:
    page = codes_page()
    assert all(f"| {'504xxx' if number == 504000 else number} |" in page for number in CODES)
    assert all(f"## {kind.value}\n" in page for kind in CodeKind if kind is not CodeKind.UNKNOWN)
