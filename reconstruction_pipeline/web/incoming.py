"""Files on their way in: a folder each, `<uploads>/.web/<id>/`, which is all that is known of them.

The name begins with a dot, so that the upload sensor does not see it. What has arrived is the size of `data`, not a
number kept elsewhere: a killed server has lost at most what its client was sending, and the client learns from the size
where to go on. Where uploads go to an object store, they arrive in the scratch folder first.
"""

from __future__ import annotations

import itertools
import json
import re
import secrets
import shutil
import time
import unicodedata
import zipfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath

from reconstruction_pipeline.settings import Settings
from reconstruction_pipeline.web.errors import Refused

FOLDER = ".web"
DATA, NOTE = "data", "upload.json"
GB = 1e9
KEEP_SECONDS = 24 * 3600.0
MOST_OPEN = 2000
_ID = re.compile(r"[0-9a-f]{32}")


@dataclass(frozen=True)
class Arrival:
    """An upload: `length` bytes were promised. `hold` keeps it until a request names it; else it starts a run."""

    id: str
    name: str
    length: int
    preset: str = ""
    hold: bool = False
    title: str = ""
    metadata: str = ""


class Incoming:
    """The folder of arrivals."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.root = Path(settings.uploads) / FOLDER if settings.uploads_are_local else settings.scratch / "web"

    def create(self, arrival: Arrival) -> Arrival:
        """Make room for an upload under a new id; raises `Refused` for one that is too large or one too many."""
        limit = self.settings.operation.max_upload_gb
        if arrival.length > limit * GB:
            raise Refused(
                413, f"{arrival.name}: {arrival.length / GB:.1f} GB is more than the limit of {limit:g} GB; cut it."
            )
        self.require_room(arrival.name, arrival.length)
        self.root.mkdir(parents=True, exist_ok=True)
        if sum(1 for _ in self.root.glob(f"*/{NOTE}")) >= MOST_OPEN:
            raise Refused(429, "Too many uploads are unfinished; finish or delete some.", Retry_After="60")
        arrival = Arrival(**{**asdict(arrival), "id": secrets.token_hex(16)})
        folder = self.folder(arrival.id)
        folder.mkdir()
        (folder / DATA).touch()
        self._write(arrival)
        return arrival

    def _write(self, arrival: Arrival) -> None:
        note = self.folder(arrival.id) / NOTE
        partial = note.with_name(f".{NOTE}")
        partial.write_text(json.dumps(asdict(arrival)))
        partial.replace(note)

    def get(self, id: str) -> Arrival:
        """The upload of an id; raises `Refused` (404) when there is none, or none any more."""
        note = self.folder(id) / NOTE
        try:
            return Arrival(**json.loads(note.read_text()))
        except FileNotFoundError:
            raise Refused(404, "There is no such upload; it was finished, deleted, or given up after a day.") from None

    def offset(self, id: str) -> int:
        """How many bytes have arrived."""
        try:
            return (self.folder(id) / DATA).stat().st_size
        except FileNotFoundError:
            raise Refused(404, "There is no such upload; it was finished, deleted, or given up after a day.") from None

    def data(self, id: str) -> Path:
        """The file that grows."""
        return self.folder(id) / DATA

    def folder(self, id: str) -> Path:
        """The folder of an id; raises `Refused` (404) for what is no id."""
        if not _ID.fullmatch(id):
            raise Refused(404, "There is no such upload.")
        return self.root / id

    def complete(self, id: str) -> None:
        """What has arrived is all of it, whatever was promised: a form says only by its end how long a file is."""
        self._write(Arrival(**{**asdict(self.get(id)), "length": self.offset(id)}))

    def take(self, id: str) -> Path:
        """A finished upload under its own name; from here on it is no upload any more."""
        arrival, folder = self.get(id), self.folder(id)
        named = folder / arrival.name
        (folder / DATA).rename(named)
        (folder / NOTE).unlink()
        return named

    def take_together(self, arrivals: Sequence[Arrival], name: str) -> Path:
        """Finished uploads as one zip (not compressed: photos are already), in place of them."""
        self.require_room(name, sum(arrival.length for arrival in arrivals))
        folder = self.root / secrets.token_hex(16)
        folder.mkdir()
        try:
            with zipfile.ZipFile(folder / name, "w", zipfile.ZIP_STORED) as bundle:
                for member, arrival in zip(_unique([a.name for a in arrivals]), arrivals, strict=True):
                    bundle.write(self.data(arrival.id), member)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        for arrival in arrivals:
            self.drop(arrival.id)
        return folder / name

    def discard(self, id: str) -> None:
        """Delete an upload unless it was taken."""
        if (self.folder(id) / NOTE).exists():
            self.drop(id)

    def drop(self, id: str) -> None:
        """Delete an upload and what has arrived of it."""
        shutil.rmtree(self.folder(id), ignore_errors=True)

    def require_room(self, name: str, length: float) -> None:
        """Raise `Refused` (507) when the disk would be left with less than it must keep."""
        place = self.root
        while not place.exists():
            place = place.parent
        free, keep = shutil.disk_usage(place).free / GB, self.settings.operation.min_free_gb
        if free - length / GB < keep:
            raise Refused(507, f"{name}: the disk has {free:.1f} GB free and must keep {keep:g} GB; delete scenes.")

    def give_up_old(self, now: float | None = None) -> int:
        """Delete unfinished uploads to which nothing was added for a day; how many."""
        old = [
            note.parent
            for note in self.root.glob(f"*/{NOTE}")
            if (now or time.time()) - (note.parent / DATA).stat().st_mtime > KEEP_SECONDS
        ]
        for folder in old:
            shutil.rmtree(folder, ignore_errors=True)
        return len(old)


def _unique(names: Sequence[str]) -> Iterator[str]:
    """The names, with a number before the suffix where one came before in any case."""
    taken: set[str] = set()
    for name in names:
        stem, dot, suffix = name.rpartition(".")
        candidates = (f"{stem}-{number}{dot}{suffix}" for number in itertools.count(2))
        while name.lower() in taken:
            name = next(candidates)
        taken.add(name.lower())
        yield name


def safe_name(given: str, default: str = "video") -> str:
    """A name without folders, control characters, leading dots or undue length: "../../Büro 1.MP4" -> "Buro 1.MP4".

    What is left means nothing to a shell or a file system; letters beyond ASCII lose their marks.
    """
    last = PurePosixPath(given.replace("\\", "/")).name
    plain = unicodedata.normalize("NFKD", last).encode("ascii", "ignore").decode()
    plain = re.sub(r"[^A-Za-z0-9._ ()+-]+", "_", plain)
    stem, dot, suffix = plain.rpartition(".")
    if not dot or not 0 < len(suffix) <= 8:
        return plain.strip(" .")[:100] or default
    return f"{stem.strip(' .')[:100] or default}.{suffix}"
