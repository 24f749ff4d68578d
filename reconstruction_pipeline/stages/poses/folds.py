"""Two places taken for one: wrong poses that every other figure calls excellent.

Where a scene repeats itself (opposite sides of a building, equal rooms), structure from motion may lay one part on
top of another, with small reprojection errors. What gives it away is what the model had to ignore:

- *Broken matches*: pairs of images that share the most matches of all, and that the poses put where these matches
  cannot be. Matches are cheap to fake for a repeated thing seen beside others; an image's best ones are not.
- *Missing matches*: pairs that by the poses look at the same points from nearly the same place, and in which not one
  thing was found again, although both were compared, or are compared now: a test held out from the reconstruction.

Missing correspondences as evidence: Zach, Klopschitz, Pollefeys, "Disambiguating visual relations using loop
constraints", CVPR 2010; Heinly, Dunn, Frahm, "Correcting for duplicate scene structure in sparse 3D reconstruction",
ECCV 2014. Conflicts on the covisibility graph: Wilson, Snavely, "Network principles for SfM: disambiguating repeated
structures with local context", ICCV 2013.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from reconstruction_pipeline.artifacts.colmap import ColmapModel
from reconstruction_pipeline.stages.poses.consistency import PairAgreement, agreements
from reconstruction_pipeline.stages.poses.matches import MatchGraph
from reconstruction_pipeline.stages.poses.overlap import Overlap

# Fewer verified matches than this may be a repeated detail by chance.
MIN_MATCHES = 30
# Of the best pair of either image; real neighbours reach it, a thing seen twice among others does not.
STRONG = 0.25
# Of a pair's matches that the poses allow: genuine scenes keep over 0.9, broken pairs under 0.2.
BROKEN = 0.35
# Verified matches below which a pair does not match.
NO_MATCH = 15
# Of the points of the poorer image: fewer shared means that the two never met.
SHARED = 0.02
# So many pairs, and this share of those tested, make a fold.
MIN_CONFLICTS, CONFLICT_SHARE = 3, 0.01
MISSING_SHARE = 0.1
# Images that fit nowhere are dropped while they are this few.
STRAY_SHARE = 0.05


@dataclass(frozen=True)
class FoldEvidence:
    """Pairs by name. `strays`: images whose best matches all contradict their poses; few enough to be left out."""

    strong: int
    broken: tuple[tuple[str, str], ...]
    overlapping: int
    missing: tuple[tuple[str, str], ...]
    strays: tuple[str, ...]

    @property
    def folded(self) -> bool:
        """Whether the contradictions are too many for a right model."""
        broken = len(self.broken) >= max(MIN_CONFLICTS, CONFLICT_SHARE * self.strong)
        missing = len(self.missing) >= max(MIN_CONFLICTS, MISSING_SHARE * self.overlapping)
        return broken or missing

    def images(self) -> list[str]:
        """Names of the images in conflict, the most often named first."""
        count = Counter(name for pair in (*self.broken, *self.missing) for name in pair)
        return sorted(count, key=lambda name: (-count[name], name))


def find_folds(model: ColmapModel, graph: MatchGraph, overlaps: Sequence[Overlap]) -> FoldEvidence:
    """Weigh all matches against the poses. `overlaps`: see `overlap.predicted_overlaps`, of pairs that were tried."""
    measured = strong_pairs(agreements(model, graph, MIN_MATCHES))
    strays = _strays(measured, [image.name for image in model.images])
    kept = [pair for pair in measured if pair.first not in strays and pair.second not in strays]
    broken = tuple((pair.first, pair.second) for pair in kept if pair.share < BROKEN)
    matches = {_key(pair.first, pair.second): len(pair.xy_first) for pair in graph.verified}
    tested = [o for o in overlaps if _key(o.first, o.second) in graph.tried and not {o.first, o.second} & strays]
    missing = tuple(
        (o.first, o.second)
        for o in tested
        if matches.get(_key(o.first, o.second), 0) < NO_MATCH and o.shared < SHARED * o.fewest
    )
    return FoldEvidence(len(kept), broken, len(tested), missing, tuple(sorted(strays)))


def strong_pairs(pairs: Sequence[PairAgreement]) -> list[PairAgreement]:
    """Those with at least STRONG of the matches of the best pair of either image."""
    best: dict[str, int] = {}
    for pair in pairs:
        for name in (pair.first, pair.second):
            best[name] = max(best.get(name, 0), pair.count)
    return [pair for pair in pairs if pair.count >= STRONG * min(best[pair.first], best[pair.second])]


def _key(first: str, second: str) -> tuple[str, str]:
    return min(first, second), max(first, second)


def _strays(pairs: Sequence[PairAgreement], names: Sequence[str]) -> set[str]:
    """Images that hardly any of their strong pairs agree with, if these are few."""
    # The neighbours of a stray look bad as well: the worst first, and its pairs count no more.
    strays: set[str] = set()
    remaining = list(pairs)
    while True:
        total, agreeing = Counter[str](), Counter[str]()
        for pair in remaining:
            for name in (pair.first, pair.second):
                total[name] += 1
                agreeing[name] += pair.share >= BROKEN
        share = {name: agreeing[name] / total[name] for name in total}
        worst = min(sorted(share), key=lambda name: share[name], default=None)
        if worst is None or share[worst] >= 0.5:
            break
        strays.add(worst)
        remaining = [pair for pair in remaining if worst not in (pair.first, pair.second)]
    few = len(strays) <= max(1, int(np.floor(STRAY_SHARE * len(names))))
    return strays if few else set()
