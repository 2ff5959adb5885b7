"""An uploaded file as a stream that reads from the socket: nothing is spooled, so nothing is written twice."""

from flask import Request, abort
from werkzeug.http import parse_options_header
from werkzeug.sansio.multipart import Data, Epilogue, File, MultipartDecoder, NeedData

READ_BYTES = 256 * 1024
MAX_PARTS = 100


class FilePart:
    """The file of one field. `read` returns up to so many bytes, and nothing at the end."""

    def __init__(self, request: Request, decoder: MultipartDecoder, filename: str) -> None:
        self.filename = filename
        self._request = request
        self._decoder = decoder
        self._left = b""
        self._ended = False

    def read(self, size: int) -> bytes:
        """Return the next bytes; a body that ends within the file is a 400."""
        while len(self._left) < size and not self._ended:
            event = _next(self._request, self._decoder)
            if not isinstance(event, Data):
                abort(400, "The multipart body ends within the file.")
            self._left += event.data
            self._ended = not event.more_data
        taken, self._left = self._left[:size], self._left[size:]
        return taken


def file_part(request: Request, name: str) -> FilePart | None:
    """Return the file in the field `name`, ready to be read, or None if the body has none before its end."""
    kind, options = parse_options_header(request.content_type)
    if kind != "multipart/form-data" or not options.get("boundary"):
        return None
    decoder = MultipartDecoder(options["boundary"].encode(), max_parts=MAX_PARTS)
    while not isinstance(event := _next(request, decoder), Epilogue):
        if isinstance(event, File) and event.name == name:
            return FilePart(request, decoder, event.filename)
    return None


def _next(request: Request, decoder: MultipartDecoder) -> object:
    try:
        while isinstance(event := decoder.next_event(), NeedData):
            decoder.receive_data(request.stream.read(READ_BYTES) or None)
    except ValueError:
        abort(400, "The multipart body is broken.")
    return event
