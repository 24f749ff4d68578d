"""Parts of one capture that were reconstructed apart: what both know, and how one lies in the other's world.

Sub-models of one database know the same keypoints. A keypoint that is a point of both, in an image that both have or
through a verified match between an image of one and an image of the other, links two points in space; a similarity
that brings linked points together puts one part into the other's world. COLMAP's own merger needs several images in
common, which parts that broke at a weak link seldom have.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.artifacts.colmap import Camera
from reconstruction_pipeline.stages.poses.geometry import Similarity
from reconstruction_pipeline.stages.poses.lens import focal_lengths, normalised
from reconstruction_pipeline.stages.poses.matches import MatchGraph

Array = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]

# Linked points agree when each lies this near the other's keypoint: pixels at a longest side of 1000. Wider than for
# one model, as both parts have drifted by themselves.
TOLERANCE_PX = 8.0
# Ratio of depths, seen from the image of either side.
DEPTH_RATIO = 1.3
# Fewer links than this, or this share of all, may be a thing that only looks the same; so may those that fewer pairs
# of images say (each at least PAIR_LINKS of them).
MIN_LINKS, MIN_SHARE, MIN_PAIRS, PAIR_LINKS = 25, 0.4, 2, 5
HYPOTHESES, SCORED = 512, 400
REFINEMENTS = 5


@dataclass(frozen=True)
class View:
    """A placed image: x_cam = rotation @ x + translation. `xy` (K, 2) are its keypoints in pixels, `rows` (K,) the
    rows of their points, -1 for none.
    """

    camera: Camera
    rotation: Array
    translation: Array
    xy: Array
    rows: Rows


@dataclass(frozen=True)
class Part:
    """A sub-model: images by name, and points (P, 3)."""

    views: dict[str, View]
    xyz: Array


@dataclass(frozen=True)
class Side:
    """One side of N links: points (N, 3) in the world of that part, and how one image of it sees each of them.

    `rays` (N, 2) are undistorted coordinates on the plane z = 1, `limits` (N,) tolerances there.
    """

    xyz: Array
    rotations: Array
    translations: Array
    rays: Array
    limits: Array

    def some(self, rows: npt.NDArray[np.intp]) -> Side:
        """Some of the links."""
        return Side(self.xyz[rows], self.rotations[rows], self.translations[rows], self.rays[rows], self.limits[rows])

    def seen(self, xyz: Array) -> npt.NDArray[np.bool_]:
        """(..., N) whether points (..., N, 3) in this part's world are where the images see the linked ones."""
        local = np.einsum("nij,...nj->...ni", self.rotations, xyz) + self.translations
        depth = (np.einsum("nij,nj->ni", self.rotations, self.xyz) + self.translations)[:, 2]
        ahead = local[..., 2] > 1e-9
        ratio = local[..., 2] / np.maximum(depth, 1e-9)
        plane = local[..., :2] / np.where(ahead, local[..., 2], 1.0)[..., None]
        near = np.linalg.norm(plane - self.rays, axis=-1) < self.limits
        return np.asarray(ahead & near & (ratio < DEPTH_RATIO) & (ratio > 1 / DEPTH_RATIO))


@dataclass(frozen=True)
class Links:
    """N pairs of points that are the same thing. `said` (M, 2): the number of a link, and of a pair of images that says
    so.
    """

    ours: Side
    theirs: Side
    said: Rows

    def __len__(self) -> int:
        return len(self.ours.xyz)

    def saying(self, links: npt.NDArray[np.bool_]) -> int:
        """How many pairs of images say at least PAIR_LINKS of these links (N,)."""
        return int((np.bincount(self.said[links[self.said[:, 0]], 1]) >= PAIR_LINKS).sum())


def find_links(ours: Part, theirs: Part, graph: MatchGraph) -> Links:
    """All links between two parts, each pair of points once."""
    found = []
    for number, (a, b, keys_a, keys_b) in enumerate(_meetings(ours, theirs, graph)):
        rows_a, rows_b = a.rows[keys_a], b.rows[keys_b]
        both = (rows_a >= 0) & (rows_b >= 0)
        if both.any():
            found.append((a, b, keys_a[both], keys_b[both], np.full(int(both.sum()), number, np.int64)))
    if not found:
        return Links(_side(ours, []), _side(theirs, []), np.zeros((0, 2), np.int64))
    rows = np.concatenate([np.column_stack([a.rows[ka], b.rows[kb]]) for a, b, ka, kb, _ in found])
    _, first, link = np.unique(rows, axis=0, return_index=True, return_inverse=True)
    return Links(
        _side(ours, [(a, keys) for a, _, keys, _, _ in found]).some(first),
        _side(theirs, [(b, keys) for _, b, _, keys, _ in found]).some(first),
        np.column_stack([link.ravel(), np.concatenate([numbers for *_, numbers in found])]),
    )


def _meetings(ours: Part, theirs: Part, graph: MatchGraph) -> Iterator[tuple[View, View, Rows, Rows]]:
    """Pairs of views, one of each part, with the numbers of the keypoints that are the same in both."""
    for name in sorted(ours.views.keys() & theirs.views.keys()):
        everything = np.arange(len(ours.views[name].rows))
        yield ours.views[name], theirs.views[name], everything, everything
    for pair in graph.verified:
        for a, b, keys_a, keys_b in (
            (pair.first, pair.second, pair.rows_first, pair.rows_second),
            (pair.second, pair.first, pair.rows_second, pair.rows_first),
        ):
            if a in ours.views and b in theirs.views:
                yield ours.views[a], theirs.views[b], keys_a, keys_b


def _side(part: Part, seen: list[tuple[View, Rows]]) -> Side:
    if not seen:
        none = np.zeros((0, 3))
        return Side(none, np.zeros((0, 3, 3)), none, np.zeros((0, 2)), np.zeros(0))
    return Side(
        np.concatenate([part.xyz[view.rows[keys]] for view, keys in seen]),
        np.concatenate([np.broadcast_to(view.rotation, (len(keys), 3, 3)) for view, keys in seen]),
        np.concatenate([np.broadcast_to(view.translation, (len(keys), 3)) for view, keys in seen]),
        np.concatenate([normalised(view.camera, view.xy[keys]) for view, keys in seen]),
        np.concatenate([np.full(len(keys), _limit(view.camera)) for view, keys in seen]),
    )


def _limit(camera: Camera) -> float:
    pixels = TOLERANCE_PX * max(max(camera.width, camera.height) / 1000.0, 0.5)
    return pixels / float(np.mean(focal_lengths(camera)))


def bring_together(links: Links, seed: int = 0) -> tuple[Similarity, npt.NDArray[np.bool_]] | None:
    """The similarity from their world to ours that most links agree with, and which do (N,); None when too few do.

    Hypotheses from three links each (RANSAC: Fischler and Bolles, 1981; Umeyama, PAMI 1991); a link agrees when each
    of its points is seen where the other part sees it, at a similar depth.
    """
    if len(links) < MIN_LINKS:
        return None
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.permutation(len(links))[:SCORED])
    ours, theirs = links.ours.some(rows), links.theirs.some(rows)
    chosen = rng.integers(0, len(rows), (HYPOTHESES, 3))
    scales, rotations, shifts = similarities(theirs.xyz[chosen], ours.xyz[chosen])
    votes = _agree(ours, theirs, scales, rotations, shifts).sum(axis=1)
    best = int(np.argmax(votes))
    found = Similarity(float(scales[best]), rotations[best], shifts[best])
    inliers = _agreeing(links, found)
    for _ in range(REFINEMENTS):
        if inliers.sum() < 3:
            return None
        # Far points are known less well.
        depth = np.linalg.norm(_centers(links.ours) - links.ours.xyz, axis=1)[inliers]
        better = weighted(links.theirs.xyz[inliers], links.ours.xyz[inliers], 1.0 / np.maximum(depth, 1e-9) ** 2)
        kept = _agreeing(links, better)
        if kept.sum() <= inliers.sum():
            break
        found, inliers = better, kept
    enough = inliers.sum() >= max(MIN_LINKS, MIN_SHARE * len(links))
    return (found, inliers) if enough and links.saying(inliers) >= MIN_PAIRS else None


def _agreeing(links: Links, similarity: Similarity) -> npt.NDArray[np.bool_]:
    return np.asarray(
        _agree(
            links.ours,
            links.theirs,
            np.array([similarity.scale]),
            similarity.rotation[None],
            similarity.translation[None],
        )[0]
    )


def _agree(ours: Side, theirs: Side, scales: Array, rotations: Array, shifts: Array) -> npt.NDArray[np.bool_]:
    """(H, N) for similarities from their world to ours: scales (H,), rotations (H, 3, 3), shifts (H, 3)."""
    there = scales[:, None, None] * np.einsum("hij,nj->hni", rotations, theirs.xyz) + shifts[:, None]
    size = np.maximum(scales, 1e-12)[:, None, None]
    back = np.einsum("hji,hnj->hni", rotations, ours.xyz[None] - shifts[:, None]) / size
    return np.asarray(ours.seen(there) & theirs.seen(back))


def _centers(side: Side) -> Array:
    return np.asarray(-np.einsum("nji,nj->ni", side.rotations, side.translations))


def similarities(source: Array, target: Array, weights: Array | None = None) -> tuple[Array, Array, Array]:
    """Least squares of target = scale * rotation @ source + shift, for each of H sets of points (H, M, 3).

    `weights` (M,) are shared. Returns scales (H,), rotations (H, 3, 3), shifts (H, 3). Umeyama, "Least-squares
    estimation of transformation parameters between two point patterns", PAMI 1991.
    """
    share = np.ones(source.shape[1]) if weights is None else weights
    share = (share / share.sum())[None, :, None]
    middle, aim = (share * source).sum(axis=1, keepdims=True), (share * target).sum(axis=1, keepdims=True)
    a, b = source - middle, target - aim
    u, s, vt = np.linalg.svd(np.einsum("hmi,hmj->hij", share * b, a))
    signs = np.ones_like(s)
    signs[:, 2] = np.sign(np.linalg.det(u @ vt))
    rotations = np.einsum("hij,hj,hjk->hik", u, signs, vt)
    scales = (s * signs).sum(axis=1) / np.maximum((share * a**2).sum(axis=(1, 2)), 1e-18)
    shifts = aim[:, 0] - scales[:, None] * np.einsum("hij,hj->hi", rotations, middle[:, 0])
    return scales, rotations, shifts


def weighted(source: Array, target: Array, weights: Array) -> Similarity:
    """The similarity from `source` (M, 3) to `target` (M, 3) with weights (M,)."""
    scales, rotations, shifts = similarities(source[None], target[None], weights)
    return Similarity(float(scales[0]), rotations[0], shifts[0])
