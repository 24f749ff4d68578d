"""Pictures inside the page: re-encoded small, as data URIs, without what cameras write beside the pixels."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from PIL import Image

Item = TypeVar("Item")


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


def opened(path: Path, longest: int) -> Image.Image:
    """A picture upright in RGB, its longer side at most `longest` px; raises `OSError` when it is not readable."""
    from PIL import Image, ImageOps

    with Image.open(path) as file:
        file.draft("RGB", (longest, longest))
        image = ImageOps.exif_transpose(file).convert("RGB")
    image.thumbnail((longest, longest), Image.Resampling.LANCZOS)
    return image


def encode(image: Image.Image, alt: str, caption: str = "", *, badge: str = "", tone: str = "") -> Picture:
    """The pixels as a data URI."""
    uri = "data:image/jpeg;base64," + base64.b64encode(_jpeg(image)).decode()
    return Picture(uri, *image.size, alt, caption, badge, tone)


def save(image: Image.Image, path: Path) -> None:
    """The pixels as a file."""
    path.write_bytes(_jpeg(image))


def _jpeg(image: Image.Image) -> bytes:
    """The pixels as JPEG and nothing else: no EXIF, no GPS, no device."""
    image.info.clear()
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80 if max(image.size) > 400 else 72, optimize=True, progressive=True)
    return buffer.getvalue()


def picture(path: Path, alt: str, caption: str = "", *, badge: str = "", tone: str = "", longest: int = 960) -> Picture:
    """A file for the page; raises `OSError` when it is no readable picture."""
    return encode(opened(path, longest), alt, caption, badge=badge, tone=tone)


def spread(items: list[Item], most: int) -> list[Item]:
    """At most `most` of them, evenly spaced, first and last included."""
    if len(items) <= most:
        return items
    return [items[round(i * (len(items) - 1) / (most - 1))] for i in range(most)]
