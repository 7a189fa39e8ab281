"""The S3 gateway of JuiceFS: code of an old MinIO, which checks signatures and the region, and refuses what is new."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from tests.fakes.s3_server import S3Server, binary, free_ports, running, wait_until
from tests.fakes.tls import make_private_ca

__all__ = ("juicefs",)

REGION = "cn-test-1"


@contextmanager
def juicefs(folder: Path) -> Iterator[S3Server]:
    """Run two gateways over one volume, with and without TLS; everything is below `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    tls = make_private_ca(folder / "tls")
    ports = free_ports(4)
    server = S3Server(
        name="JuiceFS",
        http_url=f"http://127.0.0.1:{ports[0]}",
        https_url=f"https://127.0.0.1:{ports[1]}",
        ca_file=tls.ca_file,
        bucket="pics",
        region=REGION,
        access_key="AKJUICE",
        secret_key="juice-secret-4c20",
    )
    volume = f"sqlite3://{folder / 'meta.db'}"
    home_with_tls = _home(folder / "home-tls")
    certificates = home_with_tls / ".minio" / "certs"
    certificates.mkdir(parents=True)
    shutil.copy(tls.cert_file, certificates / "public.crt")
    shutil.copy(tls.key_file, certificates / "private.key")
    environment = {
        **os.environ,
        "MINIO_ROOT_USER": server.access_key,
        "MINIO_ROOT_PASSWORD": server.secret_key,
        "MINIO_REGION": REGION,
    }
    storage = ["--storage", "file", "--bucket", f"{folder / 'data'}/", "--trash-days", "0", "--no-update"]
    subprocess.run(
        [binary("juicefs"), "format", *storage, volume, server.bucket], check=True, capture_output=True, env=environment
    )
    with ExitStack() as stack:
        for home, port, metrics in ((_home(folder / "home"), *ports[::2]), (home_with_tls, *ports[1::2])):
            log = home / "log"
            command = [
                binary("juicefs"), "gateway", "--no-banner", "--no-usage-report", "--no-bgjob", "--object-meta",
                "--keep-etag", "--metrics", f"127.0.0.1:{metrics}", "--cache-dir", str(home / "cache"),
                "--log", str(home / "gateway.log"), volume, f"127.0.0.1:{port}",
            ]  # fmt: skip
            process = stack.enter_context(running(command, log, {**environment, "HOME": str(home)}))
            wait_until(lambda port=port: _connect(port), process, log)
        client = server.client()
        wait_until(lambda: client.put_object(Bucket=server.bucket, Key="first", Body=b"1"), process, log)
        yield server


def _home(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _connect(port: int) -> None:
    socket.create_connection(("127.0.0.1", port), timeout=1).close()
