"""The delivered forms of the splats: small files, and a page that shows them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from reconstruction_pipeline.artifacts.base import Artifact


@dataclass(frozen=True)
class CompressedSplats(Artifact):
    """`scene.sog` (SOG v2), `scene.spz` (both y-down, numbers unconverted), `scene.glb` (y-up) and `viewer.html`.

    Artifacts of older versions have no `scene.spz` and no `scene.glb`.
    """

    KIND: ClassVar[str] = "compressed_splats"
    REQUIRED: ClassVar[tuple[str, ...]] = ("scene.sog", "viewer.html")
