"""Settings: ``QQMEDIA_WEBDAV_URL`` and so on, or ``[qqmedia.webdav]`` of ``qqmedia.toml``, or keywords."""

from __future__ import annotations

import base64
from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field, SecretStr

Folder = Annotated[str, Field(pattern=r"^https?://[^/?#\s]+[^?#\s]*$"), AfterValidator(lambda url: url.rstrip("/"))]


class WebDAVSettings(BaseModel):
    """Where the folder is.

    Attributes:
        url: Of the folder, as the bot writes to it. The folder exists.
        user: Who may write there; nobody in particular by default.
        password: Of that user.
        public_url: Of the same folder, as anybody may read it; `url` by default.
    """

    url: Folder
    user: str = ""
    password: SecretStr = SecretStr("")
    public_url: Folder | None = None

    @property
    def readable_url(self) -> str:
        return self.public_url or self.url

    def authorization(self) -> dict[str, str]:
        """Make the header anew each time, so that it stands nowhere."""
        user = f"{self.user}:{self.password.get_secret_value()}".encode()
        return {"Authorization": f"Basic {base64.b64encode(user).decode()}"} if self.user else {}


def file_name(key: str) -> str:
    """Name the file of an object. No key has a ~ in it, and so no folder has to be made."""
    return key.replace("/", "~")
