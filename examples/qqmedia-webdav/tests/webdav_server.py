"""A real WebDAV server on loopback: one share to write to, with a password, and the same folder for everybody to read.

It runs in a process of its own, so that its memory, its threads and its complaints are not the driver's.
"""

from __future__ import annotations

import mimetypes
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from cheroot import wsgi
from wsgidav.wsgidav_app import WsgiDAVApp  # type: ignore[import-untyped]

USER, PASSWORD = "bot", "s3cret-of-the-bot"


@dataclass(frozen=True)
class Server:
    folder: Path
    address: str
    user: str = USER
    password: str = field(default=PASSWORD, repr=False)

    @property
    def url(self) -> str:
        return f"{self.address}/dav/{self.folder.name}"

    @property
    def public_url(self) -> str:
        return f"{self.address}/pics/{self.folder.name}"


@contextmanager
def serving(folder: Path) -> Iterator[Server]:
    """Run a server over the parent of this folder until the block ends."""
    folder.mkdir()
    command = [sys.executable, __file__, str(folder.parent)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        try:
            assert process.stdout is not None
            address = process.stdout.readline().strip()
            assert address, "the WebDAV server did not start; are wsgidav and cheroot installed?"
            yield Server(folder, address)
        finally:
            process.kill()


def main(folder: str) -> None:
    mimetypes.add_type("audio/silk", ".silk")  # the server goes by the extension
    application = WsgiDAVApp(
        {
            "provider_mapping": {"/dav": folder, "/pics": {"root": folder, "readonly": True}},
            "http_authenticator": {"accept_basic": True, "accept_digest": False, "default_to_digest": False},
            "simple_dc": {"user_mapping": {"/dav": {USER: {"password": PASSWORD}}, "/pics": True}},
            "logging": {"enable": False},
            "verbose": 0,
        }
    )
    # Fifty at once must find a place, and connections that are kept must not be closed for want of one.
    service = wsgi.Server(("127.0.0.1", 0), application, numthreads=10, request_queue_size=128)
    service.keep_alive_conn_limit = 128
    service.prepare()
    print(f"http://127.0.0.1:{service.bind_addr[1]}", flush=True)
    service.serve()


if __name__ == "__main__":
    main(sys.argv[1])
