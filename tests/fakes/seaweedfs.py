"""SeaweedFS, a real object store: checks signatures of requests and presigned URLs, knows keys with few rights."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.fakes.s3_server import S3Server, binary, free_ports, running, wait_until
from tests.fakes.tls import make_private_ca

__all__ = ("VIRTUAL_HOST", "SeaweedFS", "seaweedfs")

VIRTUAL_HOST = "s3.seaweed.test"  # buckets are also `BUCKET.s3.seaweed.test`, for whoever resolves that


@dataclass(frozen=True, slots=True)
class SeaweedFS(S3Server):
    """Has a key that may only put, too."""

    put_only_access_key: str = "AKPUTONLY"
    put_only_secret_key: str = field(default="put-only-secret-5d1e", repr=False)


@contextmanager
def seaweedfs(folder: Path) -> Iterator[SeaweedFS]:
    """Run one server with an empty bucket; everything is below `folder`."""
    (folder / "data").mkdir(parents=True)
    tls = make_private_ca(folder / "tls", VIRTUAL_HOST, f"*.{VIRTUAL_HOST}")
    ports = dict(
        zip(
            ("master", "master.grpc", "volume", "volume.grpc", "filer", "filer.grpc", "s3", "s3.grpc", "s3.https"),
            free_ports(9),
            strict=True,
        )
    )
    server = SeaweedFS(
        name="SeaweedFS",
        http_url=f"http://127.0.0.1:{ports['s3']}",
        https_url=f"https://127.0.0.1:{ports['s3.https']}",
        ca_file=tls.ca_file,
        bucket="pics",
        region="us-east-1",
        access_key="AKDRIVER",
        secret_key="driver-secret-93b7",
    )
    config = folder / "s3.json"
    config.write_text(json.dumps({"identities": _identities(server)}))
    log = folder / "log"
    command = [
        binary("weed"), "-logtostderr", "server", "-filer", "-s3", "-ip=127.0.0.1", "-ip.bind=127.0.0.1",
        f"-dir={folder / 'data'}", f"-master.port={ports['master']}", f"-master.port.grpc={ports['master.grpc']}",
        "-master.peers=none", "-master.telemetry=false", "-master.volumeSizeLimitMB=256", "-volume.max=100",
        f"-volume.port={ports['volume']}", f"-volume.port.grpc={ports['volume.grpc']}",
        f"-filer.port={ports['filer']}", f"-filer.port.grpc={ports['filer.grpc']}",
        f"-filer.localSocket={folder / 'filer.sock'}", f"-s3.localSocket={folder / 's3.sock'}",
        f"-s3.port={ports['s3']}", f"-s3.port.grpc={ports['s3.grpc']}", f"-s3.port.https={ports['s3.https']}",
        "-s3.port.iceberg=0", "-s3.port.lance=0", "-s3.iam=false", "-s3.autoCreateBucket=false",
        f"-s3.cert.file={tls.cert_file}", f"-s3.key.file={tls.key_file}", f"-s3.config={config}",
        f"-s3.domainName={VIRTUAL_HOST}",
    ]  # fmt: skip
    with running(command, log, {**os.environ, "HOME": str(folder)}) as process:
        client = server.client("AKADMIN", "admin-secret-77aa")

        def ready() -> None:
            if server.bucket not in [one["Name"] for one in client.list_buckets()["Buckets"]]:
                client.create_bucket(Bucket=server.bucket)
            client.put_object(Bucket=server.bucket, Key="first", Body=b"1")

        wait_until(ready, process, log)
        yield server


def _identities(server: SeaweedFS) -> list[dict[str, object]]:
    def identity(name: str, access_key: str, secret_key: str, *actions: str) -> dict[str, object]:
        credentials = [{"accessKey": access_key, "secretKey": secret_key}]
        return {"name": name, "credentials": credentials, "actions": actions}

    bucket = server.bucket
    return [
        identity("admin", "AKADMIN", "admin-secret-77aa", "Admin", "Read", "List", "Write"),
        identity("driver", server.access_key, server.secret_key, "Read", "List", "Write"),
        identity("put-only", server.put_only_access_key, server.put_only_secret_key, f"Write:{bucket}"),
    ]
