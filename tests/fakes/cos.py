"""A double of Tencent COS, written from the vendor's documents "Request Signature" and "Error Codes"."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from typing import Any, ClassVar, Final, Literal
from urllib.parse import quote, unquote

from tests.fakes.bucket_service import BucketService
from tests.fakes.bucket_values import Call, Key, Refusal

__all__ = ("FakeCos", "cos_signature")

_HOST: Final = re.compile(r"(?P<bucket>[a-z0-9-]+)\.cos\.(?P<region>[a-z0-9-]+)\.myqcloud\.com")
_SIGNING: Final = (
    "q-sign-algorithm", "q-ak", "q-sign-time", "q-key-time", "q-header-list", "q-url-param-list", "q-signature"
)  # fmt: skip
_SKEW_SECONDS: Final = 15 * 60


def cos_signature(
    secret: str, *, method: str, path: str, params: Mapping[str, str], headers: Mapping[str, str], key_time: str,
    sign_time: str,
) -> str:  # fmt: skip
    """Return the signature; `path` is decoded, names in `params` and `headers` are those that are signed."""
    text = "\n".join((method.lower(), path, _listed(params), _listed(headers), ""))
    to_sign = f"sha1\n{sign_time}\n{hashlib.sha1(text.encode()).hexdigest()}\n"
    sign_key = hmac.new(secret.encode(), key_time.encode(), hashlib.sha1).hexdigest()
    return hmac.new(sign_key.encode(), to_sign.encode(), hashlib.sha1).hexdigest()


def _encoded(text: str) -> str:
    return quote(text, safe="-_.~")


def _listed(pairs: Mapping[str, str]) -> str:
    encoded = sorted((_encoded(name).lower(), _encoded(value)) for name, value in pairs.items())
    return "&".join(f"{name}={value}" for name, value in encoded)


class FakeCos(BucketService):
    """One bucket of COS.

    The bucket is named by the host, ``<bucket>.cos.<region>.myqcloud.com``. Addresses of loopback (a proxy may stand
    before the server), and those in `domains`, count as domains that are bound to the bucket. There is no path style.
    """

    prefix: ClassVar[str] = "x-cos-"
    acl_header: ClassVar[str] = "x-cos-acl"
    acl_of_parts: ClassVar[str] = "InitiateMultipartUpload"
    least_part_bytes: ClassVar[int] = 1024 * 1024

    def __init__(self, folder: Any, **settings: Any) -> None:
        super().__init__(folder, **settings)
        self.domains: set[str] = set()
        self.elsewhere: Literal["redirect", "not found"] = "redirect"  # how a wrong region is answered

    def locate(self, call: Call) -> tuple[str, str]:
        name = unquote(call.path).removeprefix("/")
        host = call.host.lower()
        if host.startswith("127.0.0.1:") or host in self.domains:
            return self.bucket, name
        found = _HOST.fullmatch(host)
        if found is None:
            raise Refusal(403, "PathStyleDomainForbidden", "The bucket you are visiting is not allowed by path style.")
        if found["region"] == self.region:
            return found["bucket"], name
        if self.elsewhere == "not found":
            raise Refusal(404, "NoSuchBucket", "The specified bucket does not exist.")
        right = f"{found['bucket']}.cos.{self.region}.myqcloud.com"
        raise Refusal(
            301, "PermanentRedirect", "The bucket must be addressed using the specified endpoint.",
            more={"Endpoint": right}, headers={"Location": f"https://{right}{call.path}"},
        )  # fmt: skip

    def authenticate(self, call: Call) -> Key | None:
        params = call.params
        if "Authorization" in call.headers:
            signed = dict(part.partition("=")[::2] for part in call.headers["Authorization"].split("&"))
        else:
            signed = {name: params.pop(name) for name in _SIGNING if name in params}
        if not signed:
            return None
        if set(signed) != set(_SIGNING) or signed["q-sign-algorithm"] != "sha1":
            raise Refusal(403, "InvalidArgument", "The authorization is malformed.")
        key = self.keys.get(signed["q-ak"])
        if key is None:
            raise Refusal(403, "InvalidAccessKeyId", "The Access Key Id you provided does not exist in our records")
        self._check_time(signed["q-sign-time"], signed["q-key-time"])
        self._check_signature(call, params, signed, key)
        self._check_token(call, params, key)
        return key

    def _check_time(self, *windows: str) -> None:
        for window in windows:
            start, end = (int(edge) for edge in window.split(";"))
            if start > self.now() + _SKEW_SECONDS:
                raise Refusal(403, "RequestTimeTooSkewed", "The difference between the request time and ours is large.")
            if not start <= self.now() <= end:
                raise Refusal(403, "AccessDenied", "Request has expired")

    def _check_signature(self, call: Call, params: Mapping[str, str], signed: Mapping[str, str], key: Key) -> None:
        present = {_encoded(name).lower(): value for name, value in call.headers.items()}
        listed = [name for name in signed["q-header-list"].split(";") if name]
        listed_params = [name for name in signed["q-url-param-list"].split(";") if name]
        decoded = {_encoded(name).lower(): value for name, value in params.items()}
        must = {"host"} | {name for name in present if name.startswith(self.prefix)}
        in_order = listed == sorted(listed) and listed_params == sorted(listed_params)
        complete = must <= set(listed) <= set(present) and set(listed_params) == set(decoded)
        good = complete and cos_signature(
            key.secret,
            method=call.method,
            path=unquote(call.path),
            params={name: decoded[name] for name in listed_params},
            headers={name: present[name] for name in listed},
            key_time=signed["q-key-time"],
            sign_time=signed["q-sign-time"],
        )
        if not (in_order and complete and hmac.compare_digest(str(good), signed["q-signature"])):
            raise Refusal(
                403, "SignatureDoesNotMatch", "The Signature you specified is invalid.",
                more={"FormatString": "...", "StringToSign": f"sha1 {signed['q-sign-time']}"},
            )  # fmt: skip

    def _check_token(self, call: Call, params: Mapping[str, str], key: Key) -> None:
        given = call.headers.get("x-cos-security-token") or params.get("x-cos-security-token")
        if key.token and not given:
            raise Refusal(403, "InvalidAccessKeyId", "The Access Key Id you provided does not exist in our records")
        if given != key.token:
            raise Refusal(403, "ExpiredToken", "The provided token has expired.")

    def download_headers(self, call: Call) -> Mapping[str, str]:
        if not _HOST.fullmatch(call.host.lower()):
            return {}
        # Since 2024 the vendor's own domain is for downloads only.
        return {"Content-Disposition": "attachment", "x-cos-force-download": "true"}

    def error_elements(self, refusal: Refusal, call: Call, request_id: str) -> Mapping[str, str]:
        about = {"Resource": f"{call.host}{call.path}", "RequestId": request_id, "TraceId": f"trace-{request_id}"}
        return {"Code": refusal.code, "Message": refusal.message, **about, **refusal.more}
