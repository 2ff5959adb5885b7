"""Fingerprints: the same request twice is one piece of work."""

import hashlib

import rfc8785
from pydantic import BaseModel


def fingerprint(job_type: str, args: BaseModel) -> str:
    """Return the fingerprint of a request: equal for equal arguments, whatever their order and white space (RFC 8785).

    Secrets (`SecretStr`) are masked before, so that they never enter it. The tenant stands in the key that it is used
    in, not here.
    """
    canonical = rfc8785.dumps({"type": job_type, "args": args.model_dump(mode="json")})
    return hashlib.sha256(canonical).hexdigest()
