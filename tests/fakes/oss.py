"""A double of Aliyun OSS, written from the vendor's documents on signatures of version 4 and on error codes."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import ClassVar, Final
from urllib.parse import quote, unquote

from tests.fakes.bucket_service import BucketService
from tests.fakes.bucket_values import Call, Key, Refusal

__all__ = ("FakeOss", "oss_signature")

_HOST: Final = re.compile(r"(?P<bucket>[a-z0-9-]+)\.oss-(?P<region>[a-z0-9-]+?)(?:-internal)?\.aliyuncs\.com")
_SERVICE_HOST: Final = re.compile(r"oss-[a-z0-9-]+\.aliyuncs\.com")
_ALGORITHM: Final = "OSS4-HMAC-SHA256"
_ALWAYS_SIGNED: Final = ("content-type", "content-md5")  # and all x-oss-*, where they are there
_SKEW_SECONDS: Final = 15 * 60
_LONGEST_SECONDS: Final = 7 * 24 * 3600


def oss_signature(
    secret: str, *, method: str, resource: str, params: Mapping[str, str], headers: Mapping[str, str],
    additional: str, date: str, region: str, payload: str = "UNSIGNED-PAYLOAD",
) -> str:  # fmt: skip
    """Return the signature; `resource` is ``/bucket/name``, decoded, and `headers` are those that are signed."""
    pairs = sorted((_encoded(name), _encoded(value)) for name, value in params.items())
    query = "&".join(f"{name}={value}" if value else name for name, value in pairs)
    lines = "".join(f"{name.lower()}:{value.strip()}\n" for name, value in sorted(headers.items()))
    canonical = "\n".join((method, quote(resource, safe="/-_.~"), query, lines, additional, payload))
    scope = f"{date[:8]}/{region}/oss/aliyun_v4_request"
    to_sign = "\n".join((_ALGORITHM, date, scope, hashlib.sha256(canonical.encode()).hexdigest()))
    key = f"aliyun_v4{secret}".encode()
    for step in scope.split("/"):
        key = hmac.new(key, step.encode(), hashlib.sha256).digest()
    return hmac.new(key, to_sign.encode(), hashlib.sha256).hexdigest()


def _encoded(text: str) -> str:
    return quote(text, safe="-_.~")


class FakeOss(BucketService):
    """One bucket of OSS, and the endpoint of one region.

    The bucket is named by the host, ``<bucket>.oss-<region>.aliyuncs.com``; on the server's own address, which is an
    IP, by the path. Hosts in `domains` are bound to the bucket (CNAME). Signatures of version 1 are refused, as they
    are for new accounts and buckets.
    """

    prefix: ClassVar[str] = "x-oss-"
    acl_header: ClassVar[str] = "x-oss-object-acl"
    acl_of_parts: ClassVar[str] = "CompleteMultipartUpload"
    least_part_bytes: ClassVar[int] = 100 * 1024

    def __init__(self, folder: Path, *, bucket_region: str | None = None, **settings: object) -> None:
        super().__init__(folder, **settings)  # type: ignore[arg-type]  # passed through
        self.bucket_region = bucket_region or self.region
        self.domains: set[str] = set()

    def locate(self, call: Call) -> tuple[str, str]:
        path = unquote(call.path).removeprefix("/")
        host = call.host.lower()
        if host in self.domains:
            bucket, name = self.bucket, path
        elif found := _HOST.fullmatch(host):
            bucket, name = found["bucket"], path
        elif _SERVICE_HOST.fullmatch(host):
            raise Refusal(403, "SecondLevelDomainForbidden", "Please use OSS third level domain.")
        else:
            bucket, _, name = path.partition("/")
        if bucket == self.bucket and self.bucket_region != self.region:
            raise Refusal(
                403, "AccessDenied",
                "The bucket you are attempting to access must be addressed using the specified endpoint."
                " Please send all future requests to this endpoint.",
                more={"Bucket": bucket, "Endpoint": f"oss-{self.bucket_region}.aliyuncs.com"},
            )  # fmt: skip
        return bucket, name

    def authenticate(self, call: Call) -> Key | None:
        if "Authorization" in call.headers:
            return self._by_header(call)
        if "x-oss-signature" in call.params:
            return self._by_url(call)
        if "Signature" in call.params:
            raise Refusal(403, "AccessDenied", "Signature version 1 is not supported for this bucket.")
        return None

    def _by_header(self, call: Call) -> Key:
        scheme, _, rest = call.headers["Authorization"].partition(" ")
        fields = dict(part.strip().partition("=")[::2] for part in rest.split(","))
        if scheme == "OSS":
            raise Refusal(403, "AccessDenied", "Signature version 1 is not supported for this bucket.")
        if scheme != _ALGORITHM or not {"Credential", "Signature"} <= set(fields):
            raise Refusal(400, "InvalidArgument", "Authorization header is invalid.")
        date = call.headers.get("x-oss-date", "")
        payload = call.headers.get("x-oss-content-sha256", "")
        if payload != "UNSIGNED-PAYLOAD":
            raise Refusal(400, "InvalidArgument", "The x-oss-content-sha256 header must be UNSIGNED-PAYLOAD.")
        key = self._known_key(fields["Credential"], date)
        if abs(_seconds(date) - self.now()) > _SKEW_SECONDS:
            raise Refusal(
                403,
                "RequestTimeTooSkewed",
                "The difference between the request time and the current time is too large.",
            )
        self._check(
            call, call.params, key, fields["Signature"], date=date, additional=fields.get("AdditionalHeaders", "")
        )
        self._check_token(key, call.headers.get("x-oss-security-token"))
        return key

    def _by_url(self, call: Call) -> Key:
        params = call.params
        signature = params.pop("x-oss-signature")
        date, expires = params.get("x-oss-date", ""), params.get("x-oss-expires", "")
        if params.get("x-oss-signature-version") != _ALGORITHM:
            raise Refusal(400, "InvalidArgument", "Signature version is invalid.")
        if not expires.isdigit() or not 1 <= int(expires) <= _LONGEST_SECONDS:
            raise Refusal(403, "AccessDenied", "Invalid expires: 1 to 604800 seconds.", more={"EC": "0002-00000232"})
        key = self._known_key(params.get("x-oss-credential", ""), date)
        if self.now() > _seconds(date) + int(expires):
            raise Refusal(403, "AccessDenied", "Request has expired.", more={"EC": "0002-00000069"})
        if _seconds(date) > self.now() + _SKEW_SECONDS:
            raise Refusal(403, "AccessDenied", "Request is not valid yet.")
        additional = params.get("x-oss-additional-headers", "")
        self._check(call, params, key, signature, date=date, additional=additional)
        self._check_token(key, params.get("x-oss-security-token"))
        return key

    def _known_key(self, credential: str, date: str) -> Key:
        key_id, *scope = credential.split("/")
        if len(scope) != 4 or scope[0] != date[:8] or scope[3] != "aliyun_v4_request":
            raise Refusal(400, "InvalidArgument", "Invalid credential in Authorization header.")
        if scope[1] != self.region:
            raise Refusal(
                400, "InvalidArgument", "Invalid signing region in Authorization header.", more={"EC": "0002-00000226"}
            )
        if scope[2] != "oss":
            raise Refusal(400, "InvalidArgument", "Invalid signing product in Authorization header.")
        if key_id not in self.keys:
            raise Refusal(
                403, "InvalidAccessKeyId", "The OSS Access Key Id you provided does not exist in our records.",
                more={"OSSAccessKeyId": key_id},
            )  # fmt: skip
        return self.keys[key_id]

    def _check(
        self, call: Call, params: Mapping[str, str], key: Key, signature: str, *, date: str, additional: str
    ) -> None:
        names = [name for name in additional.split(";") if name]
        headers = {
            name.lower(): value
            for name, value in call.headers.items()
            if name.lower() in (*_ALWAYS_SIGNED, *names) or name.lower().startswith(self.prefix)
        }
        bucket, name = self._resource(call)
        right = oss_signature(
            key.secret, method=call.method, resource=f"/{bucket}/{name}", params=params, headers=headers,
            additional=";".join(sorted(names)), date=date, region=self.region,
        )  # fmt: skip
        if not hmac.compare_digest(right, signature):
            raise Refusal(
                403, "SignatureDoesNotMatch",
                "The request signature we calculated does not match the signature you provided."
                " Check your key and signing method.",
                more={"OSSAccessKeyId": key.key_id, "SignatureProvided": signature},
            )  # fmt: skip

    def _resource(self, call: Call) -> tuple[str, str]:
        path = unquote(call.path).removeprefix("/")
        if call.host.lower() in self.domains:
            return self.bucket, path
        if found := _HOST.fullmatch(call.host.lower()):
            return found["bucket"], path
        bucket, _, name = path.partition("/")
        return bucket, name

    def _check_token(self, key: Key, given: str | None) -> None:
        if key.token and not given:
            raise Refusal(
                403, "InvalidAccessKeyId", "The OSS Access Key Id you provided does not exist in our records."
            )
        if given != key.token:
            raise Refusal(403, "InvalidSecurityToken", "The security token you provided is invalid.")

    def error_elements(self, refusal: Refusal, call: Call, request_id: str) -> Mapping[str, str]:
        about = {"RequestId": request_id, "HostId": call.host}
        return {"Code": refusal.code, "Message": refusal.message, **about, **refusal.more}

    def head_error_headers(self, body: bytes) -> Mapping[str, str]:
        return {"x-oss-err": base64.b64encode(body).decode()}


def _seconds(date: str) -> float:
    try:
        return datetime.strptime(date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError as error:
        raise Refusal(403, "AccessDenied", "OSS authentication requires a valid Date.") from error
