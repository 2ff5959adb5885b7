"""An uploaded file as a stream that reads from the socket: nothing is spooled, so nothing is written twice."""

from collections.abc import Callable, Mapping

from flask import Request, abort
from werkzeug.http import parse_options_header
from werkzeug.sansio.multipart import Data, Epilogue, Field, File, MultipartDecoder, NeedData

READ_BYTES = 256 * 1024
MAX_PARTS = 100
MAX_FIELD_BYTES = 8 * 1024

OnFields = Callable[[Mapping[str, str]], object]


class FilePart:
    """The file of one field. `read` returns up to so many bytes, and nothing at the end.

    Before that, `on_fields` is given the other fields, which may stand before the file or after it; what it raises is
    raised by the last `read`, so that a file with bad fields is not taken.
    """

    def __init__(self, form: "_Form", filename: str, on_fields: OnFields | None) -> None:
        self.filename = filename
        self._form = form
        self._on_fields = on_fields
        self._left = b""
        self._ended = False

    def read(self, size: int) -> bytes:
        """Return the next bytes; a body that ends within the file is a 400."""
        while len(self._left) < size and not self._ended:
            event = self._form.next()
            if not isinstance(event, Data):
                abort(400, "The multipart body ends within the file.")
            self._left += event.data
            self._ended = not event.more_data
            if self._ended and self._on_fields:
                self._form.find_file(None)
                self._on_fields(self._form.fields)
        taken, self._left = self._left[:size], self._left[size:]
        return taken


def file_part(request: Request, name: str, on_fields: OnFields | None = None) -> FilePart | None:
    """Return the file in the field `name`, ready to be read, or None if the body has none before its end."""
    kind, options = parse_options_header(request.content_type)
    if kind != "multipart/form-data" or not options.get("boundary"):
        return None
    form = _Form(request, MultipartDecoder(options["boundary"].encode(), max_parts=MAX_PARTS))
    file = form.find_file(name)
    return FilePart(form, file.filename, on_fields) if file else None


class _Form:
    """A multipart body, part by part. `fields` has the text fields that came by so far."""

    def __init__(self, request: Request, decoder: MultipartDecoder) -> None:
        self.fields: dict[str, str] = {}
        self._request = request
        self._decoder = decoder

    def find_file(self, name: str | None) -> File | None:
        """Go on to the file in the field `name`, or to the end."""
        while not isinstance(event := self.next(), Epilogue):
            if isinstance(event, File) and event.name == name:
                return event
            if isinstance(event, Field):
                self.fields[event.name] = self._text()
        return None

    def next(self) -> object:
        """Return what the body holds next; one that is broken is a 400."""
        try:
            while isinstance(event := self._decoder.next_event(), NeedData):
                self._decoder.receive_data(self._request.stream.read(READ_BYTES) or None)
        except ValueError:
            abort(400, "The multipart body is broken.")
        return event

    def _text(self) -> str:
        content = b""
        while isinstance(event := self.next(), Data):
            content += event.data
            if len(content) > MAX_FIELD_BYTES:
                abort(413, f"A field of the form may have {MAX_FIELD_BYTES} bytes at most.")
            if not event.more_data:
                break
        return content.decode("utf-8", "replace")
