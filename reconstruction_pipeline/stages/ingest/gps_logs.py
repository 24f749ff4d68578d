"""GPS logs that drones and phones write beside a video: DJI subtitles (.srt), GPX tracks, and CSV tables."""

from __future__ import annotations

import csv
import math
import re
import xml.parsers.expat
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from reconstruction_pipeline.artifacts.errors import InputRejected
from reconstruction_pipeline.artifacts.gps import GpsFix

MAX_BYTES = 64 * 1024**2
NUMBER = r"(-?\d+(?:\.\d+)?)"
CUE = re.compile(r"(\d+):(\d\d):(\d\d)[,.](\d{1,3})\s*-->")
# [latitude: 55.1] [longitude: 13.2], also DJI's own spelling "longtitude", and any spacing.
LATITUDE = re.compile(rf"latitude\s*:\s*{NUMBER}", re.IGNORECASE)
LONGITUDE = re.compile(rf"longt?itude\s*:\s*{NUMBER}", re.IGNORECASE)
ALTITUDE = re.compile(rf"(?:abs_alt|altitude)\s*:\s*{NUMBER}", re.IGNORECASE)
# GPS(13.2,55.1,19) BAROMETER:91.2, or GPS (13.2, 55.1, 19), D 11.6m, H 10.8m: longitude first, satellites last.
OLD = re.compile(rf"GPS\s*\(\s*{NUMBER}\s*,\s*{NUMBER}\s*,", re.IGNORECASE)
OLD_HEIGHT = re.compile(rf"(?:BAROMETER\s*:\s*|\bH\s+){NUMBER}", re.IGNORECASE)
FOOT_M = 0.3048
# A log without a common clock belongs to the video when both last as long, up to this share or these seconds.
SAME_LENGTH, SAME_LENGTH_S = 0.2, 5.0


def read_gps_log(path: Path, started: datetime | None, duration_s: float) -> list[GpsFix]:
    """Fixes in the time of the video, or by picture name where a table has such a column.

    Empty when the file holds no positions at all: subtitles are often just subtitles.

    `started` is when the video began (UTC), needed for logs in absolute time unless they last as long as the video.
    Raises `InputRejected` with one sentence when the file cannot be understood.
    """
    if path.stat().st_size > MAX_BYTES:
        raise InputRejected(f"{path.name}: too large for a GPS log; give SRT, GPX or CSV.")
    text = path.read_text(encoding="utf-8-sig", errors="replace")
    parse = {".srt": _srt, ".gpx": _gpx, ".csv": _table}[path.suffix.lower()]
    try:
        fixes = parse(text)
    except (ValueError, xml.parsers.expat.ExpatError) as error:
        raise InputRejected(f"{path.name}: the GPS log is damaged ({error}); export it again.") from error
    fixes = [fix for fix in fixes if fix.sound]
    if not fixes or fixes[0].name:
        return fixes
    return _in_video_time(path.name, fixes, started, duration_s)


def _srt(text: str) -> list[GpsFix]:
    fixes = []
    for block in re.split(r"\n\s*\n", text.replace("\r\n", "\n")):
        cue = CUE.search(block)
        if not cue:
            continue
        hours, minutes, seconds, part = cue.groups()
        time_s = int(hours) * 3600 + int(minutes) * 60 + int(seconds) + float(f"0.{part}")
        plain = re.sub(r"<[^>]*>", " ", block)
        latitude, longitude, altitude = LATITUDE.search(plain), LONGITUDE.search(plain), ALTITUDE.search(plain)
        if latitude and longitude:
            at = float(latitude[1]), float(longitude[1])
        elif old := OLD.search(plain):
            at, altitude = (float(old[2]), float(old[1])), OLD_HEIGHT.search(plain)
        else:
            continue
        fixes.append(GpsFix(*at, altitude_m=float(altitude[1]) if altitude else math.nan, time_s=time_s))
    return fixes


def _gpx(text: str) -> list[GpsFix]:
    """Track points; with expat's handlers and no entities, so that a hostile file stays harmless."""
    fixes: list[GpsFix] = []
    state: dict[str, str] = {}
    inside: list[str] = []

    def start(tag: str, attributes: dict[str, str]) -> None:
        tag = tag.rsplit(":", 1)[-1]
        inside.append(tag)
        if tag in ("trkpt", "rtept"):
            state.clear()
            state.update(lat=attributes.get("lat", ""), lon=attributes.get("lon", ""))

    def data(chunk: str) -> None:
        if len(inside) > 1 and inside[-2] in ("trkpt", "rtept"):
            state[inside[-1]] = state.get(inside[-1], "") + chunk

    def end(tag: str) -> None:
        if inside.pop() in ("trkpt", "rtept") and state.get("time"):
            fixes.append(
                GpsFix(
                    float(state["lat"]),
                    float(state["lon"]),
                    altitude_m=float(state.get("ele") or "nan"),
                    time_s=_moment(state["time"].strip()),
                )
            )

    parser = xml.parsers.expat.ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler, parser.CharacterDataHandler = start, end, data
    parser.EntityDeclHandler = _no_entities
    parser.Parse(text.encode(), True)
    return fixes


def _no_entities(*_: object) -> None:
    raise ValueError("it declares XML entities")


def _table(text: str) -> list[GpsFix]:
    rows = list(csv.DictReader(text.splitlines(), dialect=_dialect(text)))
    header = {
        re.sub(r"[^a-z]", "", name.lower().split("(")[0].split("[")[0]): name for name in (rows[0] if rows else {})
    }

    def column(*names: str) -> str | None:
        return next((header[name] for name in names if name in header), None)

    latitude, longitude = column("latitude", "lat"), column("longitude", "lon", "lng", "long")
    if latitude is None or longitude is None:
        return []
    name = column("name", "image", "filename", "file", "photo", "sourcefile")
    time = column("time", "times", "timestamp", "seconds", "datetime", "datetimeutc")
    altitude = column("altitude", "alt", "ele", "elevation", "height", "altm", "altitudem", "altitudeabovesealevel")
    accuracy = column("accuracy", "accuracym", "hacc", "horizontalaccuracy", "sigma", "sigmam")
    if name is None and time is None:
        raise ValueError("no column time or name")
    milliseconds = time is not None and re.search(r"milli|\bms\b", time.lower()) is not None
    seconds = 0.001 if milliseconds else 1.0
    metres = FOOT_M if altitude and ("feet" in altitude.lower() or "(ft" in altitude.lower()) else 1.0
    fixes = []
    for row in rows:
        if not (row[latitude] or "").strip() or not (row[longitude] or "").strip():
            continue
        fixes.append(
            GpsFix(
                float(row[latitude]),
                float(row[longitude]),
                altitude_m=metres * float((row[altitude] if altitude else "") or "nan"),
                accuracy_m=float((row[accuracy] if accuracy else "") or "nan"),
                name=(row[name] or "").strip() if name else "",
                time_s=math.nan if name else _moment((row[time] or "").strip(), seconds) if time else math.nan,
            )
        )
    return fixes


def _dialect(text: str) -> type[csv.Dialect]:
    class Chosen(csv.excel):
        delimiter = max(",;\t", key=text.split("\n", 1)[0].count)

    return Chosen


def _moment(text: str, unit: float = 1.0) -> float:
    """Seconds: as they stand, or since 1970 for a date (UTC unless it says otherwise)."""
    try:
        return unit * float(text)
    except ValueError:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _in_video_time(name: str, fixes: list[GpsFix], started: datetime | None, duration_s: float) -> list[GpsFix]:
    fixes = sorted(fixes, key=lambda fix: fix.time_s)
    first, last = fixes[0].time_s, fixes[-1].time_s
    if first < duration_s:
        return fixes
    begin = started.timestamp() if started else math.nan
    # The length first: the date in a video is that of its end on some phones.
    if abs((last - first) - duration_s) <= max(SAME_LENGTH * duration_s, SAME_LENGTH_S):
        offset = first
    elif first - SAME_LENGTH_S <= begin <= last:
        offset = begin
    else:
        raise InputRejected(
            f"{name}: its times do not meet those of the video ({last - first:.0f} s against {duration_s:.0f} s);"
            " give times in seconds from the start of the video."
        )
    return [replace(fix, time_s=fix.time_s - offset) for fix in fixes]
