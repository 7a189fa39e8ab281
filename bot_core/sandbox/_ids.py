"""Names that the platform gives: openids, message ids, trace ids. Invented, and of the right shape."""

from __future__ import annotations

import base64
import hashlib
import itertools
import secrets
import time
import uuid
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

__all__ = ("Directory", "Known", "Names")

# Names that nobody used for long are forgotten beyond this.
_MOST_NAMES: Final = 100_000


class Names:
    """Makes new ids: unguessable by a prefix of this run, cheap by a counter."""

    def __init__(self) -> None:
        self._run = secrets.token_hex(8)
        self._counter = itertools.count(1)

    def message(self) -> str:
        """Return a new message id."""
        return f"ROBOT1.0_{self._run}{next(self._counter):010x}"

    def reference(self) -> str:
        """Return a new `REFIDX_` of a message."""
        return f"REFIDX_{self._run}{next(self._counter):010x}=="

    def event(self, event_name: str) -> str:
        """Return a new id of an envelope."""
        return f"{event_name}:{self._run}{next(self._counter):016x}"

    def trace(self) -> str:
        """Return a new trace id."""
        return f"{self._run}{next(self._counter):016x}"

    def file_info(self) -> str:
        """Return a new opaque `file_info`."""
        return base64.b64encode(f"{self._run}{next(self._counter):012x}{secrets.token_hex(24)}".encode()).decode()

    def upload(self) -> str:
        """Return a new id of a chunked upload."""
        return f"upload_{time.time_ns()}_{next(self._counter):06d}"

    def session(self) -> str:
        """Return a new session id."""
        return str(uuid.uuid4())


@dataclass(frozen=True, slots=True)
class Known:
    """What an openid stands for: `kind` is `user`, `group` or `member`."""

    appid: str
    kind: str
    name: str


class Directory:
    """Openids by name: different for every bot, the same in every run."""

    def __init__(self) -> None:
        self._openids: OrderedDict[Known, str] = OrderedDict()
        self._known: dict[str, Known] = {}

    def openid(self, appid: str, kind: str, name: str) -> str:
        """Return what this bot calls the user or group of this name."""
        key = Known(appid, kind, name)
        openid = self._openids.get(key)
        if openid is None:
            openid = hashlib.sha256(f"{appid}\0{kind}\0{name}".encode()).hexdigest()[:32].upper()
            self._openids[key] = openid
            self._known[openid] = key
            if len(self._openids) > _MOST_NAMES:
                _, forgotten = self._openids.popitem(last=False)
                self._known.pop(forgotten, None)
        return openid

    def known(self, openid: str) -> Known | None:
        """Return what an openid stands for, if anybody has used it."""
        return self._known.get(openid)
