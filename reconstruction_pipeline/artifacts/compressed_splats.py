"""The delivered forms of the splats: small files, and a page that shows them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from reconstruction_pipeline.artifacts.base import Artifact


@dataclass(frozen=True)
class CompressedSplats(Artifact):
    """`scene.sog` (SOG v2; numbers unconverted, y-down) and `viewer.html` (one offline file)."""

    KIND: ClassVar[str] = "compressed_splats"
    REQUIRED: ClassVar[tuple[str, ...]] = ("scene.sog", "viewer.html")
