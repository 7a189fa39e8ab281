"""The bare SDKs, used as their documentation says for a service that runs long: what a driver is measured against.

One client for all threads, as many connections as threads, large files by the SDK's own upload in parts, headers as
the driver sets them, and a presigned URL at the end, which the driver makes too.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import urlsplit

__all__ = ("BARE", "THREADS", "Put")

THREADS = 6  # as many as every driver has
PART_BYTES = 5 * 1024 * 1024  # as every driver's
EXPIRES_SECONDS = 3661
CONTENT_TYPE = "image/png"
CACHE_CONTROL = "public, max-age=3600"

Put: TypeAlias = Callable[[str, bytes | Path, int], str]
"""Stores bytes or a file under a key, with so many threads for one file, and returns its URL. Blocks."""


def bare_s3(settings: dict[str, Any], _folder: Path) -> Put:
    """Return boto3's way."""
    import boto3.session  # noqa: PLC0415 - only what is measured is loaded
    from boto3.s3.transfer import TransferConfig  # noqa: PLC0415
    from botocore.config import Config  # noqa: PLC0415

    config = Config(
        signature_version="s3v4", max_pool_connections=THREADS, s3={"addressing_style": "path"},
        request_checksum_calculation="when_required", response_checksum_validation="when_required",
    )  # fmt: skip
    session = boto3.session.Session(settings["access_key_id"], settings["secret_access_key"])
    client = session.client("s3", settings["region"], endpoint_url=settings["endpoint_url"], config=config)
    bucket = settings["bucket"]
    headers = {"ContentType": CONTENT_TYPE, "CacheControl": CACHE_CONTROL}

    def put(key: str, content: bytes | Path, threads: int) -> str:
        if isinstance(content, bytes):
            client.put_object(Bucket=bucket, Key=key, Body=content, **headers)
        else:
            transfer = TransferConfig(
                multipart_threshold=PART_BYTES, multipart_chunksize=PART_BYTES, max_concurrency=threads,
                use_threads=threads > 1, preferred_transfer_client="classic",
            )  # fmt: skip
            client.upload_file(str(content), bucket, key, ExtraArgs=headers, Config=transfer)
        params = {"Bucket": bucket, "Key": key}
        return str(client.generate_presigned_url("get_object", Params=params, ExpiresIn=EXPIRES_SECONDS))

    return put


def bare_cos(settings: dict[str, Any], _folder: Path) -> Put:
    """Return the way of cos-python-sdk-v5."""
    from qcloud_cos import CosConfig, CosS3Client  # noqa: PLC0415 - only what is measured is loaded

    address = urlsplit(settings["endpoint_url"])
    common = {
        "Region": settings["region"], "SecretId": settings["secret_id"], "SecretKey": settings["secret_key"],
        "Scheme": address.scheme,
    }  # fmt: skip
    client = CosS3Client(CosConfig(**common, IP=address.hostname, Port=address.port))
    urls = CosS3Client(CosConfig(**common, Domain=address.netloc))
    bucket = settings["bucket"]
    headers = {"ContentType": CONTENT_TYPE, "CacheControl": CACHE_CONTROL}

    def put(key: str, content: bytes | Path, threads: int) -> str:
        if isinstance(content, bytes):
            client.put_object(Bucket=bucket, Key=key, Body=content, **headers)
        else:
            client.upload_file(bucket, key, str(content), PartSize=PART_BYTES >> 20, MAXThread=threads, **headers)
        return str(
            urls.get_presigned_url(
                Bucket=bucket, Key=key, Method="GET", Expired=EXPIRES_SECONDS, Headers={"Host": address.netloc}
            )
        )

    return put


def bare_oss(settings: dict[str, Any], _folder: Path) -> Put:
    """Return the way of oss2. Its `resumable_upload` would list parts and keep records: one request more, and files."""
    import oss2  # noqa: PLC0415 - only what is measured is loaded

    provider = oss2.credentials.StaticCredentialsProvider(settings["access_key_id"], settings["access_key_secret"])
    bucket = oss2.Bucket(
        oss2.ProviderAuthV4(provider), settings["endpoint_url"], settings["bucket"], region=settings["region"],
        session=oss2.Session(pool_size=THREADS),
    )  # fmt: skip
    headers = {"Content-Type": CONTENT_TYPE, "Cache-Control": CACHE_CONTROL}

    def put_part(path: Path, key: str, upload_id: str, number: int) -> Any:
        start = (number - 1) * PART_BYTES
        with path.open("rb") as file:
            file.seek(start)
            size = min(PART_BYTES, path.stat().st_size - start)
            answer = bucket.upload_part(key, upload_id, number, oss2.SizedFileAdapter(file, size))
        return oss2.models.PartInfo(number, answer.etag, size=size, part_crc=answer.crc)

    def put_file(path: Path, key: str, threads: int) -> None:
        upload_id = bucket.init_multipart_upload(key, headers=headers).upload_id
        numbers = range(1, -(-path.stat().st_size // PART_BYTES) + 1)
        send = partial(put_part, path, key, upload_id)
        if threads > 1:
            with ThreadPoolExecutor(threads) as pool:
                parts = list(pool.map(send, numbers))
        else:
            parts = [send(number) for number in numbers]
        bucket.complete_multipart_upload(key, upload_id, parts)

    def put(key: str, content: bytes | Path, threads: int) -> str:
        if isinstance(content, bytes):
            bucket.put_object(key, content, headers=headers)
        else:
            put_file(content, key, threads)
        return str(bucket.sign_url("GET", key, EXPIRES_SECONDS, slash_safe=True))

    return put


def bare_local(_settings: dict[str, Any], folder: Path) -> Put:
    """Return the plain way to a whole file or none: write beside it, then rename."""

    def put(key: str, content: bytes | Path, _threads: int) -> str:
        temporary, path = folder / f"{key}.part", folder / key
        try:
            if isinstance(content, bytes):
                temporary.write_bytes(content)
            else:
                shutil.copyfile(content, temporary)
            temporary.replace(path)
        except BaseException:
            with suppress(OSError):
                temporary.unlink()
            raise
        return f"http://127.0.0.1/resource/{key}"

    return put


BARE: dict[str, Callable[[dict[str, Any], Path], Put]] = {
    "s3": bare_s3,
    "cos": bare_cos,
    "oss": bare_oss,
    "local": bare_local,
}
