from __future__ import annotations

import pytest

from bot_core import errors
from bot_core.errors import OpenAPIError
from bot_core.openapi._code_table import GROUPS
from bot_core.openapi.codes import CODES, CodeKind, error_class, kind_of, look_up


def test_every_code_is_in_the_table_once_and_becomes_one_class() -> None:
    numbers = [number for group in GROUPS for number, _, _ in group.rows]
    assert len(numbers) == len(set(numbers)) == len(CODES)
    classes = {getattr(errors, name) for name in errors.__all__}
    assert all(error_class(number) in classes and issubclass(error_class(number), OpenAPIError) for number in numbers)


def test_every_row_says_something_in_both_languages() -> None:
    for code in CODES.values():
        assert all((code.meaning_en, code.meaning_zh, code.advice_en, code.advice_zh)), code.number
        assert code.kind is not CodeKind.UNKNOWN
        assert code.meaning_en.isascii()
        assert not code.meaning_zh.isascii()


def test_every_kind_has_a_class_and_every_class_a_code() -> None:
    reached = {error_class(number) for number in CODES}
    assert reached == {OpenAPIError, *OpenAPIError.__subclasses__()}


@pytest.mark.parametrize(
    ("number", "name"),
    [
        (100016, "AuthenticationError"),
        (11244, "AuthenticationError"),
        (11298, "PermissionDeniedError"),
        (40023002, "PermissionDeniedError"),
        (40034128, "ReplyContextError"),
        (40054003, "TargetError"),
        (40054010, "PayloadError"),
        (40093002, "QuotaError"),
        (40034100, "RateLimitedError"),
        (850026, "MediaRefusedError"),
        (304080, "MediaRefusedError"),
        (40054005, "OpenAPIError"),
    ],
)
def test_well_known_codes(number: int, name: str) -> None:
    assert error_class(number).__name__ == name


def test_504xxx_is_one_row() -> None:
    assert look_up(504123) is look_up(504999) is CODES[504000]
    assert look_up(505000) is look_up(None) is None


@pytest.mark.parametrize(
    ("status", "name", "kind"),
    [
        (401, "AuthenticationError", CodeKind.REFRESH_TOKEN),
        (403, "PermissionDeniedError", CodeKind.PERMISSION),
        (429, "RateLimitedError", CodeKind.RATE),
        (413, "PayloadError", CodeKind.PAYLOAD),
        (404, "OpenAPIError", CodeKind.UNKNOWN),
        (503, "OpenAPIError", CodeKind.RETRY_LATER),
        (None, "OpenAPIError", CodeKind.RETRY_LATER),
    ],
)
def test_an_unknown_code_is_judged_by_its_status(status: int | None, name: str, kind: CodeKind) -> None:
    assert error_class(987654, status=status).__name__ == name
    assert kind_of(OpenAPIError("", code=987654, status=status)) is kind


def test_either_code_tells_the_kind() -> None:
    assert kind_of(OpenAPIError("", code=1, err_code=40054005, status=400)) is CodeKind.DUPLICATE
    assert kind_of(OpenAPIError("", code=850026, err_code=40054005)) is CodeKind.MEDIA_SOURCE
    assert kind_of(OpenAPIError("", status=200)) is CodeKind.RETRY_LATER


def test_a_repeat_at_once_is_for_what_is_no_fault_of_the_platform() -> None:
    assert kind_of(OpenAPIError("", code=850012, status=400)) is CodeKind.RETRY_NOW
    assert kind_of(OpenAPIError("", code=850012, status=500)) is CodeKind.RETRY_LATER
    assert kind_of(OpenAPIError("", code=850019, status=500)) is CodeKind.MEDIA


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (40034105, "allow unasked messages"),
        (40054013, "allow unasked messages"),
        (40054002, "mute"),
        (40064004, "within 2 minutes"),
        (304003, "register the link's domain"),
        (40054010, "register the link's domain"),
        (40054007, "shorten"),
    ],
)
def test_the_advice_is_about_this_code(number: int, advice: str) -> None:
    assert advice in CODES[number].advice_en
