"""Pictures inside the page: re-encoded small, as data URIs, without what cameras write beside the pixels."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Picture:
    """A picture of `width` x `height` px with its text for those who do not see it; `badge` is a short mark on it."""

    uri: str
    width: int
    height: int
    alt: str
    caption: str = ""
    badge: str = ""
    tone: str = ""

    @property
    def panorama(self) -> bool:
        """Whether it is so wide that it wants a row of its own."""
        return self.width > 2.2 * self.height


def picture(path: Path, alt: str, caption: str = "", *, badge: str = "", tone: str = "", longest: int = 960) -> Picture:
    """Load a picture, reduce its longer side to `longest` px and drop EXIF, GPS and device data by re-encoding.

    Raises `OSError` when the file is no readable picture.
    """
    from PIL import Image, ImageOps

    with Image.open(path) as opened:
        opened.draft("RGB", (longest, longest))
        image = ImageOps.exif_transpose(opened).convert("RGB")
    image.thumbnail((longest, longest), Image.Resampling.LANCZOS)
    image.info.clear()
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80 if longest > 400 else 72, optimize=True, progressive=True)
    uri = "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
    return Picture(uri, *image.size, alt, caption, badge, tone)


def spread(paths: list[Path], most: int) -> list[Path]:
    """At most `most` of them, evenly spaced, first and last included."""
    if len(paths) <= most:
        return paths
    return [paths[round(i * (len(paths) - 1) / (most - 1))] for i in range(most)]
