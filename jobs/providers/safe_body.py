"""The body of an answer that a stranger sends: read to a limit, also where it is packed."""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from jobs.providers.errors import ProviderNonsense

if TYPE_CHECKING:
    import httpx2

ACCEPTED_ENCODING = "gzip"
_GZIP = 31  # zlib's word for gzip with the largest window
_PIECE_BYTES = 64 * 1024


@dataclass(frozen=True)
class Fetched:
    """What a GET brought. `url` is where it was found in the end, `charset` what its header says, if anything.

    With `cut`, there is more of it that was not read.
    """

    url: str
    status: int
    media_type: str
    charset: str = ""
    content: bytes = b""
    cut: bool = False


def fetched(response: "httpx2.Response", max_bytes: int, media_types: frozenset[str]) -> Fetched:
    """Return an answer with its body; without it where its media type is none of these, if any are given.

    Raises:
        ProviderNonsense: it is packed in a way that was not asked for, or damaged.
    """
    media_type = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    found = Fetched(str(response.url), response.status_code, media_type, response.charset_encoding or "")
    if media_types and media_type not in media_types:
        return found
    content = bytearray()
    for piece in _unpacked(response):
        content += piece
        if len(content) > max_bytes:
            return replace(found, content=bytes(content[:max_bytes]), cut=True)
    return replace(found, content=bytes(content))


def _unpacked(response: "httpx2.Response") -> Iterator[bytes]:
    packing = response.headers.get("Content-Encoding", "identity").strip().lower()
    if packing in ("", "identity"):
        return response.iter_raw(_PIECE_BYTES)
    if packing in ("gzip", "x-gzip"):
        return _gunzip(response.iter_raw(_PIECE_BYTES))
    raise ProviderNonsense("The host packs its answer in a way that was not asked for.")


def _gunzip(packed: Iterator[bytes]) -> Iterator[bytes]:
    """Unpack no more than a piece at a time: a kilobyte of zeros unpacks to a megabyte."""
    unpacker = zlib.decompressobj(_GZIP)
    try:
        for piece in packed:
            while piece and not unpacker.eof:
                yield unpacker.decompress(piece, _PIECE_BYTES)
                piece = unpacker.unconsumed_tail
    except zlib.error as error:
        raise ProviderNonsense("The host's answer is damaged.") from error
