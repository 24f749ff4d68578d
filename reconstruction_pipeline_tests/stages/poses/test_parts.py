"""Two parts of a made scene in worlds of their own: what links them, and when that is not enough."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from reconstruction_pipeline.artifacts.colmap import Camera, rotation_of
from reconstruction_pipeline.stages.poses.geometry import Similarity
from reconstruction_pipeline.stages.poses.masks import distort
from reconstruction_pipeline.stages.poses.matches import MatchGraph, PairMatches
from reconstruction_pipeline.stages.poses.parts import Part, View, bring_together, find_links, weighted

CAMERA = Camera("SIMPLE_RADIAL", 1000, 750, (900.0, 500.0, 375.0, 0.03))
POINTS = 120
# From the second part's world to the first's.
TRUE = Similarity(0.4, rotation_of((0.8, 0.1, 0.5, -0.3)), np.array([3.0, -1.0, 7.0]))


def view(x: float, xyz: np.ndarray, rng: np.random.Generator) -> View:
    """A camera at (x, 0, 0) that looks along z; keypoint k is point k, half a pixel off."""
    translation = np.array([-x, 0.0, 0.0])
    local = xyz + translation
    xy = distort(CAMERA, local[:, :2] / local[:, 2:]) + rng.normal(0, 0.5, (len(xyz), 2))
    return View(CAMERA, np.eye(3), translation, xy, np.arange(len(xyz)))


def elsewhere(part: Part) -> Part:
    """The part in another world: TRUE brings it back."""
    views = {}
    for name, old in part.views.items():
        views[name] = replace(
            old,
            rotation=old.rotation @ TRUE.rotation,
            translation=(old.rotation @ TRUE.translation + old.translation) / TRUE.scale,
        )
    return Part(views, (part.xyz - TRUE.translation) @ TRUE.rotation / TRUE.scale)


def halves(seed: int = 0, off: float = 0.01) -> tuple[Part, Part]:
    """Five cameras each, side by side; points are known to `off` of their depth."""
    rng = np.random.default_rng(seed)
    xyz = rng.uniform([-2, -2, 5], [4, 2, 9], (POINTS, 3))
    first = {f"{k}.jpg": view(0.3 * k, xyz, rng) for k in range(5)}
    second = {f"{k}.jpg": view(0.3 * k, xyz, rng) for k in range(5, 10)}
    blurred = [xyz * (1 + rng.normal(0, off, (POINTS, 1))) for _ in range(2)]
    return Part(first, blurred[0]), elsewhere(Part(second, blurred[1]))


def matches(pairs: list[tuple[str, str]], wrong: int = 0) -> MatchGraph:
    """Pairs of images in which keypoint k is keypoint k, but for the last `wrong`."""
    verified = []
    for first, second in pairs:
        rows = np.arange(POINTS)
        others = rows.copy()
        others[POINTS - wrong :] = np.roll(others[POINTS - wrong :], 7)
        verified.append(PairMatches(first, second, rows, others, np.zeros((POINTS, 2)), np.zeros((POINTS, 2))))
    return MatchGraph(frozenset(pairs), tuple(verified))


def test_each_pair_of_points_is_one_link_whoever_says_so() -> None:
    ours, theirs = halves()
    links = find_links(ours, theirs, matches([("3.jpg", "5.jpg"), ("4.jpg", "5.jpg")]))
    assert len(links) == POINTS
    assert links.saying(np.ones(POINTS, bool)) == 2
    assert len(find_links(ours, theirs, matches([("0.jpg", "1.jpg")]))) == 0, "a pair within one part links nothing"


@pytest.mark.parametrize("wrong", [0, 48])
def test_the_similarity_is_found_among_wrong_links(wrong: int) -> None:
    ours, theirs = halves()
    together = bring_together(find_links(ours, theirs, matches([("4.jpg", "5.jpg"), ("3.jpg", "6.jpg")], wrong)))
    assert together is not None
    similarity, inliers = together
    assert similarity.scale == pytest.approx(TRUE.scale, rel=0.01)
    assert np.degrees(np.arccos((np.trace(similarity.rotation.T @ TRUE.rotation) - 1) / 2)) < 1.5
    assert POINTS - wrong - 5 <= inliers.sum() <= POINTS - wrong + 5


def test_images_that_both_have_are_links_too() -> None:
    ours, theirs = halves()

    def shared(*names: str) -> Part:
        moved = elsewhere(replace(ours, views={name: ours.views[name] for name in names}))
        return replace(theirs, views={**theirs.views, **moved.views})

    assert bring_together(find_links(ours, shared("4.jpg"), matches([]))) is None, "one image is not enough"
    together = bring_together(find_links(ours, shared("3.jpg", "4.jpg"), matches([])))
    assert together is not None and together[0].scale == pytest.approx(TRUE.scale, rel=0.01)


def test_too_little_in_common_is_not_enough() -> None:
    ours, theirs = halves()
    assert bring_together(find_links(ours, theirs, matches([]))) is None
    assert bring_together(find_links(ours, theirs, matches([("4.jpg", "5.jpg")]))) is None, "one pair of images"
    pairs = [("4.jpg", "5.jpg"), ("3.jpg", "6.jpg")]
    assert bring_together(find_links(ours, theirs, matches(pairs, POINTS))) is None, "nothing but wrong matches"
    views = {name: replace(old, rows=np.where(old.rows < 20, old.rows, -1)) for name, old in theirs.views.items()}
    few = replace(theirs, views=views)
    assert bring_together(find_links(ours, few, matches(pairs))) is None, "20 points"
    bent = replace(theirs, xyz=theirs.xyz * [1.0, 1.0, 3.0])
    assert bring_together(find_links(ours, bent, matches(pairs))) is None, "another shape"


def test_weights_count() -> None:
    rng = np.random.default_rng(3)
    source = rng.normal(size=(20, 3))
    target = TRUE.points(source)
    target[0] += 5.0
    weights = np.ones(20)
    weights[0] = 1e-9
    assert weighted(source, target, weights).scale == pytest.approx(TRUE.scale, rel=1e-6)
