"""What the depth stage may be told."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class DepthSettings:
    """Multi-view plane sweep on the CPU. Time grows with pixels x planes x neighbours."""

    longest_side: int = 384
    """Size of the depth maps in pixels; images are never enlarged."""
    neighbours: int = 4
    """Neighbours an image is compared with; per pixel and plane the better half counts."""
    checks: int = 8
    """Neighbours whose depth is compared afterwards: cheap, so more than are matched."""
    min_planes: int = 48
    max_planes: int = 128
    """Bounds of the number of planes, which follows from the disparity between near and far."""
    depth_tolerance: float = 0.015
    """Two views agree about a surface when their depths differ by less than this share."""
    min_consistent: int = 2
    """Neighbours that must agree before a depth is kept (fewer where an image has fewer)."""
    monocular_side: int = 518
    """Shorter side (px) of the monocular network's input, where its export leaves the size open."""
    monocular_residual: float = 0.1
    """Its map of an image is refused when it misses the sparse points by more, relatively, in the median."""
    monocular_min_inliers: int = 30
    """It is refused, too, when fewer sparse points are met within that."""
    monocular_tolerance: float = 0.03
    """Views agree about filled depth within this share: such maps are coarser than measured ones."""
    threads: int | None = None
    """Images done at the same time; each needs about 60 MB. None: as many as there are cores, at most 8."""
    accepted_share: float = 0.6
    """Gate: share of the sparse points whose depth the map must meet within 5 %."""
    accepted_coverage: float = 0.3
    """Gate: mean share of the pixels with a depth."""
