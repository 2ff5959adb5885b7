"""Who asks: an API key becomes a tenant.

Keys are random, so a plain SHA-256 at rest is enough. Without keys the service answers on loopback only, for one
tenant, and only to requests that a page of another site could not have sent.
"""

import hashlib
import secrets
import sys
from urllib.parse import urlsplit

from flask import Flask, abort, g, request

from config import LOCAL_TENANT, Config

OPEN_PATHS = ("/", "/livez", "/readyz", "/health", "/openapi.json", "/favicon.ico")  # `/` is a page without data
OPEN_FOLDERS = ("/console/", "/rq/")  # the console's scripts; rq-dashboard has a login of its own
OWN_LOGIN = "/rq"
LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")


def register_auth(app: Flask, config: Config) -> None:
    """Set `g.tenant` for every request, or refuse it."""

    @app.before_request
    def authenticate() -> None:
        if is_preflight():
            return  # a browser asks on its own what a page may send, without the key; the answer says nothing else
        if request.path in OPEN_PATHS or request.path == OWN_LOGIN or request.path.startswith(OPEN_FOLDERS):
            return
        if config.api_keys:
            g.tenant = _tenant_of_key(config)
        else:
            _refuse_strangers(config)
            g.tenant = LOCAL_TENANT


def is_own_origin(origin: str) -> bool:
    """Say whether an `Origin` header names this service, by the name that the request was sent to."""
    try:
        return urlsplit(origin.lower()).netloc == request.host.lower()
    except ValueError:
        return False


def is_preflight() -> bool:
    """Say whether a browser asks what a page of another site may do."""
    return request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers


def new_key(tenant: str) -> tuple[str, str]:
    """Return a new API key and its entry for `API_KEYS`."""
    key = secrets.token_urlsafe(32)
    return key, f"{_digest(key)}:{tenant}"


def _tenant_of_key(config: Config) -> str:
    scheme, _, key = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not key:
        abort(401, "Send your API key as `Authorization: Bearer KEY`.")
    tenant = config.api_keys.get(_digest(key.strip()))
    if tenant is None:
        abort(401, "This API key is not known.")
    return tenant


def _refuse_strangers(config: Config) -> None:
    """Without keys, a web page elsewhere must not reach us through its visitor's browser, unless it is one of ours."""
    host = urlsplit(f"//{request.host}").hostname
    if host not in LOCAL_NAMES:
        abort(421, "Without API keys this service answers on loopback names only.")
    origin = request.headers.get("Origin")
    if origin and origin.lower() not in config.cors_origins and not is_own_origin(origin):
        abort(403, "Requests from pages of other sites are refused.")


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


if __name__ == "__main__":
    made, entry = new_key(sys.argv[1] if len(sys.argv) > 1 else LOCAL_TENANT)
    sys.stdout.write(f"API key (shown once):  {made}\nentry for API_KEYS:    {entry}\n")
