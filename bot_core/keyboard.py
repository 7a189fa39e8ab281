"""Buttons under a markdown message."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

__all__ = ("Button", "InlineKeyboard", "Row")

# What the platform shows: five rows of five.
_MOST: Final = 5


@dataclass
class Permission:
    """Who may press: `type` 0 those listed, 1 administrators, 2 everybody."""

    type: int = 2
    specify_role_ids: Sequence[str] | None = None
    specify_user_ids: Sequence[str] | None = None

    def dict(self) -> dict[str, Any]:
        """Return the platform's object; lists that were not given are left out, as it refuses them in private chats."""
        lists = {"specify_role_ids": self.specify_role_ids, "specify_user_ids": self.specify_user_ids}
        return {"type": self.type} | {name: list(ids) for name, ids in lists.items() if ids is not None}


@dataclass
class RenderData:
    """How it looks: `style` 0 grey, 1 blue, 3 red text, 4 filled blue."""

    label: str = ""
    visited_label: str = ""
    style: int = 0


@dataclass
class Action:
    """What it does: `type` 0 opens a link, 1 calls the bot back, 2 writes a command into the input field."""

    type: int = 2
    data: str = ""
    anchor: int = 0
    unsupport_tips: str = ""
    click_limit: int = 10
    reply: bool = False
    enter: bool = False
    at_bot_show_channel_list: bool = False
    permission: Permission = field(default_factory=Permission)


@dataclass
class Button:
    """One button; its `id` is what the bot is told when it is pressed."""

    id: str
    render_data: RenderData = field(default_factory=RenderData)
    action: Action = field(default_factory=Action)

    def dict(self) -> dict[str, Any]:
        """Return the platform's object, zero values included: the platform takes a missing one for another."""
        action = vars(self.action) | {"permission": self.action.permission.dict()}
        return {"id": self.id, "render_data": dict(vars(self.render_data)), "action": action}


@dataclass
class Row:
    """Up to five buttons beside each other."""

    buttons: list[Button] = field(default_factory=list)

    def add_button(  # noqa: PLR0917 - AmiyaBot's signature
        self,
        button: str | Button,
        render_label: str,
        render_visited_label: str = "",
        render_style: int = 0,
        action_type: int = 2,
        action_data: str = "",
        action_anchor: int = 0,
        action_unsupport_tips: str = "",
        action_click_limit: int = 10,
        action_reply: bool = False,  # noqa: FBT001, FBT002 - AmiyaBot's signature
        action_enter: bool = False,  # noqa: FBT001, FBT002 - AmiyaBot's signature
        action_at_bot_show_channel_list: bool = False,  # noqa: FBT001, FBT002 - AmiyaBot's signature
        permission_type: int = 2,
        permission_specify_role_ids: Sequence[str] | None = None,
        permission_specify_user_ids: Sequence[str] | None = None,
    ) -> Button:
        """Add a button and return it. Label and data once pressed are the label, where nothing else is given.

        Raises:
            OverflowError: The row has five already.
            TypeError: `button` is no id, or ids of people or roles are no list.
        """
        if not isinstance(button, (str, Button)):
            raise TypeError(f"button is an id, a str, or a Button; got {button!r:.80}")
        for ids in (permission_specify_role_ids, permission_specify_user_ids):
            if isinstance(ids, str):
                raise TypeError(f"those who may press are given as a list of ids; got {ids!r:.80}")
        if len(self.buttons) >= _MOST:
            raise OverflowError(f"a row holds {_MOST} buttons at most; add another row")
        added = Button(button) if isinstance(button, str) else button
        added.render_data = RenderData(render_label, render_visited_label or render_label, render_style)
        added.action = Action(
            action_type,
            action_data or render_label,
            action_anchor,
            action_unsupport_tips,
            action_click_limit,
            action_reply,
            action_enter,
            action_at_bot_show_channel_list,
            Permission(permission_type, permission_specify_role_ids, permission_specify_user_ids),
        )
        self.buttons.append(added)
        return added


@dataclass
class InlineKeyboard:
    """Up to five rows of buttons, for `Chain.markdown_content` and `Chain.markdown_template`."""

    bot_appid: str | int = ""
    rows: list[Row] = field(default_factory=list)

    def add_row(self) -> Row:
        """Add a row and return it.

        Raises:
            OverflowError: There are five already.
        """
        if len(self.rows) >= _MOST:
            raise OverflowError(f"a keyboard holds {_MOST} rows at most")
        row = Row()
        self.rows.append(row)
        return row

    def dict(self) -> dict[str, Any]:
        """Return what goes into the platform's ``keyboard.content``."""
        rows = [{"buttons": [button.dict() for button in row.buttons]} for row in self.rows]
        return {"bot_appid": self.bot_appid, "rows": rows}
