"""``POST`` and ``DELETE /sandbox/webhook``: let a bot's events go to its webhook, and over the gateway again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from bot_core.sandbox._control_fields import FLAG, TEXT, number, read_fields, whole

if TYPE_CHECKING:
    from bot_core.sandbox._sandbox import Sandbox

__all__ = ("switch_back", "switch_to_webhook")

_MOST_RETRIES: Final = 100
_FIELDS: Final = {
    "url": TEXT, "secret": TEXT, "appid": TEXT, "both": FLAG, "retries": whole(0, _MOST_RETRIES), "timeout": number(),
    "pause": number(), "ca_file": TEXT,
}  # fmt: skip


async def switch_to_webhook(sandbox: Sandbox, body: dict[str, Any]) -> dict[str, object]:
    """Validate the address in `url` with the `secret`, and send events there from now on.

    Raises:
        SandboxError: As in `Sandbox.use_webhook`.
        RefusedCallError: A field is missing, of the wrong type or not known.
    """
    webhook = await sandbox.use_webhook(**read_fields(body, _FIELDS, needed=("url", "secret")))
    return {"appid": webhook.appid, "url": webhook.url}


async def switch_back(sandbox: Sandbox, body: dict[str, Any]) -> dict[str, object]:
    """Send events over the gateway again.

    Raises:
        SandboxError: As in `Sandbox.use_gateway`.
        RefusedCallError: As above.
    """
    await sandbox.use_gateway(**read_fields(body, {"appid": TEXT}))
    return {}
