"""All parts of one sandbox, and what its face is made of."""

from __future__ import annotations

from bot_core.sandbox._calls import Calls
from bot_core.sandbox._faults import Faults
from bot_core.sandbox._fetch import Fetcher
from bot_core.sandbox._files import FileDesk
from bot_core.sandbox._gateway import Gateway
from bot_core.sandbox._ids import Directory, Names
from bot_core.sandbox._images import ImageDesk
from bot_core.sandbox._listen import Listener
from bot_core.sandbox._media import MediaStore
from bot_core.sandbox._messages import MessageDesk
from bot_core.sandbox._options import SandboxAccount, SandboxOptions
from bot_core.sandbox._pictures import PictureDesk
from bot_core.sandbox._record import Record
from bot_core.sandbox._routes import GATEWAY_PATH, STORAGE_PATH
from bot_core.sandbox._storage import Storage
from bot_core.sandbox._streams import StreamDesk
from bot_core.sandbox._tokens import TokenDesk
from bot_core.sandbox._webhooks import Webhooks

__all__ = ("Desks", "Face")


class Desks:
    """Everything that a sandbox consists of, put together once."""

    def __init__(self, options: SandboxOptions, faults: Faults, store: MediaStore, fetcher: Fetcher) -> None:
        self.store = store
        self.names = Names()
        self.directory = Directory()
        self.record = Record(options.kept)
        self.tokens = TokenDesk(options)
        self.gateway = Gateway(options, self.names, self.tokens, faults, self.record)
        self.webhooks = Webhooks(faults, self.record)
        self.files = FileDesk(options, self.names, store, fetcher)
        self.images = ImageDesk(options, self.names)
        self.messages = MessageDesk(
            options,
            self.names,
            self.directory,
            self.record,
            files=self.files,
            pictures=PictureDesk(options, fetcher, self.images),
        )
        self.calls = Calls(
            options,
            self.directory,
            tokens=self.tokens,
            gateway=self.gateway,
            files=self.files,
            messages=self.messages,
            images=self.images,
            streams=StreamDesk(options, self.names, self.messages),
            storage=Storage(options, store, self.files.chunks, self.images),
        )

    def name_addresses(self, base: str) -> None:
        """Tell everybody who hands out addresses where this sandbox is."""
        self.files.chunks.storage_url = self.images.storage_url = base + STORAGE_PATH
        self.calls.gateway_url = f"ws{base.removeprefix('http')}{GATEWAY_PATH}"

    async def close(self) -> None:
        """Disconnect everybody."""
        await self.webhooks.close()
        await self.gateway.close()


class Face:
    """What the parts of the face share.

    Attributes:
        api_base: What a bot takes as `QQ_API_BASE`.
        token_url: What a bot takes as `QQ_TOKEN_URL`.
        options: How it was opened.
        faults: What goes wrong next.
    """

    def __init__(self, options: SandboxOptions, store: MediaStore, fetcher: Fetcher) -> None:
        self.api_base = ""
        self.token_url = ""
        self.options = options
        self.faults = Faults()
        self._desks = Desks(options, self.faults, store, fetcher)
        self._listener: Listener | None = None

    @property
    def environment(self) -> dict[str, str]:
        """The two variables that point a bot here."""
        return {"QQ_API_BASE": self.api_base, "QQ_TOKEN_URL": self.token_url}

    @property
    def account(self) -> SandboxAccount:
        """An account that a bot can log in with."""
        return self.options.accounts[0] if self.options.accounts else SandboxAccount()
