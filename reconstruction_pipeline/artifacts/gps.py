"""GPS positions that came with a capture, as a small CSV beside its files."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from reconstruction_pipeline.artifacts.errors import InvalidArtifact

COLUMNS = ("name", "time_s", "latitude", "longitude", "altitude_m", "accuracy_m")


@dataclass(frozen=True)
class GpsFix:
    """One position: of a picture (`name`), or of a moment of the video (`time_s`, seconds from its start).

    WGS84 degrees; `altitude_m` is NaN where unknown, its zero level does not matter. `accuracy_m` is the deviation
    in the horizontal, NaN where the device did not say.
    """

    latitude: float
    longitude: float
    altitude_m: float = math.nan
    accuracy_m: float = math.nan
    name: str = ""
    time_s: float = math.nan

    @property
    def sound(self) -> bool:
        """Whether it can be a position on Earth; devices write zeros until they know better."""
        inside = abs(self.latitude) <= 90 and abs(self.longitude) <= 180
        return inside and (abs(self.latitude) > 1e-9 or abs(self.longitude) > 1e-9)


def write_gps(path: Path, fixes: Iterable[GpsFix]) -> None:
    """Write every digit: the sixth of a degree is a tenth of a metre."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for fix in fixes:
            numbers = (fix.time_s, fix.latitude, fix.longitude, fix.altitude_m, fix.accuracy_m)
            writer.writerow([fix.name, *("" if math.isnan(value) else repr(value) for value in numbers)])


def read_gps(path: Path) -> list[GpsFix]:
    """What `write_gps` wrote; empty when there is no such file. Raises `InvalidArtifact` when it is damaged."""
    if not path.is_file():
        return []
    try:
        with path.open(newline="") as file:
            return [
                GpsFix(
                    latitude=float(row["latitude"]),
                    longitude=float(row["longitude"]),
                    altitude_m=float(row["altitude_m"] or "nan"),
                    accuracy_m=float(row["accuracy_m"] or "nan"),
                    name=row["name"],
                    time_s=float(row["time_s"] or "nan"),
                )
                for row in csv.DictReader(file)
            ]
    except (KeyError, TypeError, ValueError) as error:
        raise InvalidArtifact(f"{path}: the GPS table is damaged ({error}); run the stage again.") from error
