"""Which images see the same surface from a useful angle: neighbours for stereo and for agreement checks."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.artifacts.colmap import ColmapModel

BEST_ANGLE_DEG = 8.0
"""Below it depth is imprecise, above it appearance and occlusion differ; the score falls off on both sides."""
_SPREAD_BELOW, _SPREAD_ABOVE = 4.0, 10.0
_CANDIDATES = 16
_MIN_SHARED = 8


def select_neighbours(model: ColmapModel, count: int) -> list[list[int]]:
    """For every image of the model, up to `count` indices of others, the best first.

    A pair scores the sum over its shared sparse points of a weight of the angle between the two rays
    (the idea is MVSNet's view selection, Yao et al. 2018) and of the ratio of the distances. Further
    neighbours lose what they repeat of the direction of those already chosen, so that what one side
    cannot see behind an edge, another can. An image that shares too few points gets fewer, or none.
    """
    n = len(model.images)
    seen = np.zeros((n, len(model.xyz)), bool)
    for i, image in enumerate(model.images):
        seen[i, image.point_rows] = True
    shared = seen.astype(np.float32) @ seen.T.astype(np.float32)
    np.fill_diagonal(shared, 0)
    centers = model.centers
    result = []
    for i in range(n):
        most = np.argsort(-shared[i], kind="stable")[:_CANDIDATES]
        candidates = [int(j) for j in most if shared[i, j] >= _MIN_SHARED]
        scores = {j: _pair_score(model.xyz[seen[i] & seen[j]], centers[i], centers[j]) for j in candidates}
        result.append(_diverse(scores, centers - centers[i], count))
    return result


def _pair_score(points: npt.NDArray[np.float64], a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> float:
    """Sum over the points (N, 3) of how useful it is to see them from both centres."""
    to_a, to_b = a - points, b - points
    far_a, far_b = np.linalg.norm(to_a, axis=1), np.linalg.norm(to_b, axis=1)
    cosine = np.einsum("ij,ij->i", to_a, to_b) / np.maximum(far_a * far_b, 1e-12)
    off = np.degrees(np.arccos(np.clip(cosine, -1, 1))) - BEST_ANGLE_DEG
    weight = np.exp(-0.5 * (off / np.where(off < 0, _SPREAD_BELOW, _SPREAD_ABOVE)) ** 2)
    return float(np.sum(weight * np.minimum(far_a, far_b) / np.maximum(np.maximum(far_a, far_b), 1e-12)))


def _diverse(scores: dict[int, float], baselines: npt.NDArray[np.float64], count: int) -> list[int]:
    """Greedy choice by score, halved for a neighbour in the very direction of one already chosen."""
    chosen: list[int] = []
    directions = baselines / np.maximum(np.linalg.norm(baselines, axis=1, keepdims=True), 1e-12)
    while len(chosen) < count and len(chosen) < len(scores):
        best, best_score = -1, -1.0
        for j, score in scores.items():
            if j in chosen:
                continue
            repeats = max((float(directions[j] @ directions[k]) for k in chosen), default=0.0)
            value = score * (1.0 - 0.5 * max(repeats, 0.0))
            if value > best_score:
                best, best_score = j, value
        chosen.append(best)
    return chosen
