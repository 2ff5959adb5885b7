"""CORS: which pages of other sites may use the API, and what they may see of its answers.

Without keys the service refuses other sites' requests by itself (webapp/auth.py); those named here it answers.
"""

from flask import Flask
from flask_cors import CORS

from config import Config

EXPOSED = ("X-Task-ID", "X-Request-ID", "X-Model-Name", "Location", "Retry-After", "Idempotency-Replayed")
ACCEPTED = ("Authorization", "Content-Type", "Accept", "Idempotency-Key", "Last-Event-ID", "X-Request-ID")
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
PREFLIGHT_SECONDS = 600
_NOT_OURS = r"^/(?!rq(/|$))"  # rq-dashboard is for people who log in to it


def register_cors(app: Flask, config: Config) -> None:
    """Let pages of CORS_ORIGINS in, without cookies: they bring the key themselves."""
    if config.cors_origins:
        CORS(
            app,
            resources=_NOT_OURS,
            origins=list(config.cors_origins),
            methods=list(METHODS),
            allow_headers=list(ACCEPTED),
            expose_headers=list(EXPOSED),
            max_age=PREFLIGHT_SECONDS,
        )
