"""The HTTP session of SDKs that stand on `requests`, as a long-running service needs it. It imports `requests`."""

from __future__ import annotations

import os
import re
from typing import Any, Final

import requests
from requests import exceptions as http

from qqmedia import StorageMisconfiguredError, StorageUnavailableError
from qqmedia_drivers._sdk.errors import TIMED_OUT, Reason
from qqmedia_drivers._sdk.settings import BucketSettings

__all__ = ("HTTP_REASONS", "RedirectedError", "certificates", "in_few_words", "open_session")

_REDIRECTS: Final = range(300, 400)
_NOT_MODIFIED: Final = 304
# What `requests` itself looks at; read here, because a session that trusts its environment prefers them to `verify`.
_BUNDLE_VARIABLES: Final = ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")

# How the libraries below name themselves before they say what happened.
_POOL: Final = re.compile(r"^HTTPS?Connection(?:Pool)?\([^)]*\): ")


class RedirectedError(Exception):
    """The service sent us elsewhere: the region or the endpoint is wrong. SDKs follow, or take it for a success."""

    def __init__(self, status: int, location: str) -> None:
        super().__init__(f"redirected to {location.partition('?')[0] or 'nowhere'}")
        self.status = status
        self.location = location


def open_session(settings: BucketSettings, url: str) -> requests.Session:
    """Make the session for requests to the service at `url`; as many connections are kept as there are threads.

    Proxies and certificates come from the usual variables, where no setting says otherwise. What ``~/.netrc`` says is
    not looked at: it would take the place of the signature.
    """
    session = requests.Session()
    session.proxies = requests.utils.get_environ_proxies(url)
    session.trust_env = False
    session.verify = certificates(settings)
    for scheme in ("http://", "https://"):
        session.mount(scheme, requests.adapters.HTTPAdapter(pool_connections=2, pool_maxsize=settings.threads))
    session.hooks["response"].append(_refuse_redirect)
    return session


def certificates(settings: BucketSettings) -> bool | str:
    """Return what `requests` takes for `verify`."""
    if settings.verify is not True:
        return False if settings.verify is False else str(settings.verify)
    return next((os.environ[name] for name in _BUNDLE_VARIABLES if os.environ.get(name)), True)


def in_few_words(error: BaseException) -> str:
    """Return what happened at the bottom: above it stand only the names of pools and the same text once more."""
    below = getattr(error, "reason", None)
    if not isinstance(below, BaseException):
        below = next((one for one in error.args if isinstance(one, BaseException)), None)
    return _POOL.sub("", str(error)) if below is None else in_few_words(below)


def _refuse_redirect(response: Any, **_others: object) -> None:
    if response.status_code in _REDIRECTS and response.status_code != _NOT_MODIFIED:
        response.close()
        raise RedirectedError(response.status_code, response.headers.get("Location", ""))


_ADDRESS: Final = Reason(StorageMisconfiguredError, "check endpoint_url {endpoint}")

HTTP_REASONS: Final[tuple[tuple[type[Exception], Reason], ...]] = (
    (http.ProxyError, Reason(StorageUnavailableError, "check HTTPS_PROXY, HTTP_PROXY and NO_PROXY")),
    (http.Timeout, TIMED_OUT),
    (
        http.ConnectionError,
        Reason(
            StorageUnavailableError,
            "are region {region} and endpoint {endpoint} right, and can this machine reach it?",
        ),
    ),
    (http.InvalidURL, _ADDRESS),
    (http.InvalidSchema, _ADDRESS),
    (http.RequestException, Reason(StorageUnavailableError, "the connection broke")),
)
"""What errors of `requests` mean, for an `ErrorTable`; the narrow ones first."""
