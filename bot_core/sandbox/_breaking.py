"""The connections of the bots, and the ways to break what they rely on."""

from __future__ import annotations

import math
from typing import Any

from bot_core.sandbox._desks import Face
from bot_core.sandbox._faults import check_close_code

__all__ = ("Breaking",)


class Breaking(Face):
    """Connections, sessions, tokens and files that end before their time.

    Connections and sessions are those of one bot (`appid`) and one of its shards, or of all.
    """

    async def connected(self, timeout: float = 10, *, appid: str | None = None, shard: int = 0) -> str:
        """Wait until a bot is connected and ready; return its appid.

        Raises:
            SandboxError: None was in time.
        """
        return (await self._desks.gateway.sessions.connected(appid, shard, timeout)).appid

    def bots(self) -> list[dict[str, Any]]:
        """Return the bots that are known: appid, shard, session, whether connected."""
        return [
            {
                "appid": session.appid,
                "shard": list(session.shard),
                "session_id": session.id,
                "seq": session.seq,
                "connected": session.connected,
            }
            for session in self._desks.gateway.sessions.states()
        ]

    def close_connections(self, code: int, *, appid: str | None = None, shard: int | None = None) -> int:
        """Close the connections of a bot, or of all, with this code; return how many. Sessions stay resumable.

        1005 is a close frame without a code, and 1006 none at all: a cut.

        Raises:
            ValueError: No connection ends with such a code.
        """
        check_close_code(code)
        sockets = self._desks.gateway.sockets(appid, shard)
        for socket in sockets:
            socket.close(code, "asked for")
        return len(sockets)

    def drop_connections(self, *, appid: str | None = None, shard: int | None = None) -> int:
        """Cut the connections of a bot, or of all, hung ones as well; return how many."""
        sockets = self._desks.gateway.sockets(appid, shard, hung=True)
        for socket in sockets:
            socket.drop()
        return len(sockets)

    def refuse_connections(self, seconds: float = 3.0) -> None:
        """Be down for so long: every connection is cut in a moment, those of HTTP as well, and new ones are refused.

        The control API is away with it. What was set and what is known stays. While it is down, a second call does
        nothing.

        Raises:
            ValueError: `seconds` makes no sense.
        """
        if not 0 <= seconds < math.inf:
            raise ValueError(f"seconds must be 0 or more, got {seconds!r}")
        if self._listener is not None:
            self._listener.refuse(seconds)

    def hang_connections(self, *, appid: str | None = None, shard: int | None = None) -> int:
        """Let the connections of a bot, or of all, stay open and carry nothing any more; return how many."""
        sockets = self._desks.gateway.sockets(appid, shard)
        for socket in sockets:
            socket.hang()
        return len(sockets)

    def send_frame(self, text: str, *, appid: str | None = None, shard: int | None = None) -> int:
        """Send any text as a frame, well-formed or not; return to how many connections."""
        sockets = self._desks.gateway.sockets(appid, shard)
        for socket in sockets:
            socket.send(text)
        return len(sockets)

    def kill_sessions(self, *, appid: str | None = None, shard: int | None = None) -> int:
        """Let sessions deliver nothing any more, though they can still be resumed; return how many."""
        return self._desks.gateway.sessions.kill(appid, shard)

    def ask_to_reconnect(self, *, appid: str | None = None, shard: int | None = None) -> int:
        """Send op 7; return to how many connections."""
        return self._desks.gateway.ask_to_reconnect(appid, shard)

    def invalidate_sessions(
        self, *, resumable: bool = False, appid: str | None = None, shard: int | None = None
    ) -> int:
        """Send op 9; return to how many connections. Without `resumable` their sessions end."""
        return self._desks.gateway.invalidate(appid, shard, resumable=resumable)

    def end_sessions(self, *, appid: str | None = None, shard: int | None = None) -> int:
        """Forget sessions without a word, so that the next resume is refused; return how many."""
        return self._desks.gateway.sessions.end_all(appid, shard)

    def revoke_tokens(self, *, appid: str | None = None) -> int:
        """Let all access tokens of a bot, or of all, expire now; return how many."""
        return self._desks.tokens.revoke(appid)

    def expire_files(self) -> None:
        """Let every `file_info` expire now."""
        self._desks.files.forget_all()
