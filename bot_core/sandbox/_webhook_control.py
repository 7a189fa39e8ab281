"""``POST /sandbox/webhook``: switches a bot's events over to its webhook."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from bot_core.sandbox._answers import RefusedCallError

if TYPE_CHECKING:
    from bot_core.sandbox._sandbox import Sandbox

__all__ = ("switch_to_webhook",)

_FIELDS: Final = frozenset({"appid", "both", "retries", "timeout", "pause", "ca_file"})


async def switch_to_webhook(sandbox: Sandbox, body: dict[str, Any]) -> dict[str, object]:
    """Validate the address in `url` with the `secret`, and send events there from now on.

    Raises:
        SandboxError: As in `Sandbox.use_webhook`.
        RefusedCallError: A field is missing or not known.
    """
    url, secret = body.pop("url", None), body.pop("secret", None)
    if not isinstance(url, str) or not isinstance(secret, str):
        raise RefusedCallError(400, 0, "`url` and `secret` must be strings")
    if unknown := set(body) - _FIELDS:
        known = ", ".join(sorted(_FIELDS))
        raise RefusedCallError(400, 0, f"unknown: {', '.join(sorted(unknown))}; there are url, secret, {known}")
    webhook = await sandbox.use_webhook(url, secret, **body)
    return {"appid": webhook.appid, "url": webhook.url}
