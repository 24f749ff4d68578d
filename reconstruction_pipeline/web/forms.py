"""`multipart/form-data` as it arrives: files go straight into the folder of arrivals, not through `/tmp`."""

from __future__ import annotations

from dataclasses import dataclass, field

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request

from reconstruction_pipeline.web.errors import Refused
from reconstruction_pipeline.web.incoming import GB, Arrival, Incoming, safe_name
from reconstruction_pipeline.web.receiving import Writer, pieces

MOST_FILES = 2000
MOST_FIELD_BYTES = 1000
MOST_FIELDS = 20
MOST_HEADER_BYTES = 4000
FORM = "multipart/form-data"


@dataclass
class Form:
    """What came: ids of finished uploads in order, and the texts of the other fields."""

    uploads: list[str] = field(default_factory=list)
    fields: dict[str, str] = field(default_factory=dict)


async def receive_form(request: Request, incoming: Incoming) -> Form:
    """Read the whole form; raises `Refused`, and keeps nothing of a form that broke off or is too large."""
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    boundary = options.get(b"boundary")
    if kind != FORM.encode() or not boundary or len(boundary) > 200:
        raise Refused(415, f"Send the files as {FORM}.")
    limit = incoming.settings.operation.max_upload_gb * GB
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced[:18]) > limit + MOST_FILES * MOST_HEADER_BYTES:
        raise Refused(413, f"{int(announced[:18]) / GB:.1f} GB is more than the limit of {limit / GB:g} GB; cut it.")
    await run_in_threadpool(incoming.require_room, "This", int(announced[:18]) if announced.isdigit() else 0)
    reader = _Reader(incoming, int(limit))
    parser = MultipartParser(boundary, reader.callbacks())  # type: ignore[arg-type]
    try:
        async for piece in pieces(request):
            parser.write(piece)
            await reader.carry_out()
        parser.finalize()
        if not reader.ended:
            raise Refused(400, "The form broke off before its end; send it again, or use a resumable upload.")
        return reader.form
    except FormParserError as error:
        await reader.drop()
        raise Refused(400, f"The form cannot be read: {error}.") from error
    except BaseException:
        await reader.drop()
        raise


class _Reader:
    """Turns the parser's calls into a list of things to do, which are then awaited: the parser itself cannot wait."""

    def __init__(self, incoming: Incoming, limit: int) -> None:
        self.incoming, self.limit, self.form, self.ended = incoming, limit, Form(), False
        self._todo: list[tuple[str, bytes]] = []
        self._header, self._value, self._disposition = bytearray(), bytearray(), b""
        self._writer: Writer | None = None
        self._name: str | None = None
        self._text = bytearray()
        self._total = 0

    def callbacks(self) -> dict[str, object]:
        """For `MultipartParser`."""
        return {
            "on_part_begin": self._begin,
            "on_header_field": lambda data, start, end: self._grow(self._header, data[start:end]),
            "on_header_value": lambda data, start, end: self._grow(self._value, data[start:end]),
            "on_header_end": self._header_ends,
            "on_headers_finished": lambda: self._todo.append(("open", self._disposition)),
            "on_part_data": lambda data, start, end: self._todo.append(("data", data[start:end])),
            "on_part_end": lambda: self._todo.append(("close", b"")),
            "on_end": self._end,
        }

    def _begin(self) -> None:
        self._disposition = b""

    def _grow(self, buffer: bytearray, data: bytes) -> None:
        buffer += data
        if len(buffer) > MOST_HEADER_BYTES:
            raise Refused(400, "A header of the form is too long.")

    def _header_ends(self) -> None:
        if bytes(self._header).lower() == b"content-disposition":
            self._disposition = bytes(self._value)
        self._header.clear()
        self._value.clear()

    def _end(self) -> None:
        self.ended = True

    async def carry_out(self) -> None:
        """Do what the last piece asked for."""
        for what, data in self._todo:
            if what == "open":
                await self._open(data)
            elif what == "data":
                await self._data(data)
            else:
                await self._close()
        self._todo.clear()

    async def drop(self) -> None:
        """Forget everything that came."""
        if self._writer:
            await self._writer.__aexit__()
            self._writer = None
        for id in self.form.uploads:
            await run_in_threadpool(self.incoming.drop, id)

    async def _open(self, disposition: bytes) -> None:
        _, options = parse_options_header(disposition)
        name = options.get(b"filename")
        if name is None:
            self._name = options.get(b"name", b"").decode("utf-8", "replace")[:100]
            if len(self.form.fields) >= MOST_FIELDS:
                raise Refused(400, f"The form has more than {MOST_FIELDS} fields.")
            self._text.clear()
            return
        if len(self.form.uploads) >= MOST_FILES:
            raise Refused(413, f"More than {MOST_FILES} files at once; send a zip.")
        arrival = Arrival(id="", name=safe_name(name.decode("utf-8", "replace")), length=0, hold=True)
        arrival = await run_in_threadpool(self.incoming.create, arrival)
        self.form.uploads.append(arrival.id)
        self._writer = Writer(self.incoming.data(arrival.id), lambda: self.incoming.require_room(arrival.name, 0))
        await self._writer.__aenter__()

    async def _data(self, data: bytes) -> None:
        if self._writer:
            self._total += len(data)
            if self._total > self.limit:
                raise Refused(413, f"More came than the limit of {self.limit / GB:g} GB; cut it.")
            await self._writer.add(data)
            return
        self._text += data
        if len(self._text) > MOST_FIELD_BYTES:
            raise Refused(400, f"The field '{self._name}' is longer than {MOST_FIELD_BYTES} bytes.")

    async def _close(self) -> None:
        if self._writer:
            writer, self._writer = self._writer, None
            await writer.__aexit__()
            await run_in_threadpool(self.incoming.complete, self.form.uploads[-1])
        elif self._name is not None:
            self.form.fields[self._name] = self._text.decode("utf-8", "replace").strip()
            self._name = None
