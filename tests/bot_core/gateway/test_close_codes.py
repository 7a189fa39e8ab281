from __future__ import annotations

from bot_core.gateway.close_codes import CLOSE_CODES, CloseAction, look_up


def test_every_code_that_is_documented_has_a_row_with_a_reason_in_both_languages() -> None:
    documented = {1000, 1005, 1006, 4001, 4002, 4004, *range(4006, 4015), *range(4900, 4916), 9001, 9005}
    assert set(CLOSE_CODES) == documented
    for row in CLOSE_CODES.values():
        assert row.reason_en.isascii()
        assert not row.reason_zh.isascii() or "intents" in row.reason_zh or "opcode" in row.reason_zh


def test_every_action_is_used() -> None:
    assert {row.action for row in CLOSE_CODES.values()} == set(CloseAction)


def test_an_unknown_code_passes() -> None:
    assert look_up(4321).action is CloseAction.RESUME
    assert look_up(4321).number == 4321
