"""Which image pairs to match: neighbours in time, and images that look alike wherever they are."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]
Pairs = set[tuple[int, int]]

WORDS = 48
SAMPLES = 20_000
# A return of the camera: frames on either side that must look alike too, how alike they must be over how alike views
# that overlap are, and places looked up for each frame.
LOOP_REACH, LOOP_SHARE, LOOPS = 2, 0.6, 2


def sequential_pairs(count: int, overlap: int) -> Pairs:
    """Each image with the next `overlap` ones, then with ones at doubling distances, as far as twice that."""
    steps = [*range(1, overlap + 1)]
    far = overlap
    while far < 4 * overlap:
        far *= 2
        steps.append(far)
    return {(i, i + step) for i in range(count) for step in steps if i + step < count}


def exhaustive_pairs(count: int) -> Pairs:
    """Every pair once."""
    return {(i, j) for i in range(count) for j in range(i + 1, count)}


def similar_pairs(signatures: Array, neighbours: int, min_distance: int = 1) -> Pairs:
    """Each image with its `neighbours` most similar ones at least `min_distance` places away.

    `signatures`: (N, D) unit rows.
    """
    count = len(signatures)
    similarity = signatures @ signatures.T
    index = np.arange(count)
    similarity[np.abs(index[:, None] - index[None]) < min_distance] = -np.inf
    pairs: Pairs = set()
    for i in range(count):
        for j in np.argsort(-similarity[i])[:neighbours]:
            if np.isfinite(similarity[i, j]):
                pairs.add((min(i, int(j)), max(i, int(j))))
    return pairs


def loop_pairs(signatures: Array, overlap: int) -> Pairs:
    """Images of a video with those far away in time that look like their own neighbours: the camera came back.

    `signatures`: (N, D) unit rows in order of time. Similarity is averaged over a few steps forwards on both sides
    and over as many backwards, whichever is larger: a place is a sequence of views, seen in either direction, and one
    pair that looks alike is none (Milford and Wyeth, "SeqSLAM", ICRA 2012). At most LOOPS places for each image.
    """
    count, far = len(signatures), 4 * overlap
    if count <= far:
        return set()
    similarity = (signatures @ signatures.T).astype(np.float64)
    steps = np.arange(-LOOP_REACH, LOOP_REACH + 1)
    index = np.arange(count)
    along = np.zeros((2, count, count))
    for step in steps:
        here, there = np.clip(index + step, 0, count - 1), np.clip(index - step, 0, count - 1)
        along[0] += similarity[np.ix_(here, here)]
        along[1] += similarity[np.ix_(here, there)]
    alike = along.max(axis=0) / len(steps)
    # How alike are views that overlap, here? Those a few frames apart do.
    near = np.array([alike[i, np.clip([i - overlap, i + overlap], 0, count - 1)].max() for i in index])
    pairs: Pairs = set()
    for i in range(count):
        taken: list[int] = []
        for j in np.argsort(-alike[i], kind="stable"):
            if len(taken) == LOOPS or alike[i, j] < LOOP_SHARE * near[i]:
                break
            if abs(i - j) > far and all(abs(int(j) - k) > overlap for k in taken):
                taken.append(int(j))
        pairs |= {(min(i, j), max(i, j)) for j in taken}
    return pairs


def signatures(descriptors: list[npt.NDArray[np.uint8]], seed: int = 0) -> Array:
    """One unit vector per image from its SIFT descriptors (M, 128), over words learnt from these images.

    VLAD with intra-normalisation: Jégou et al., "Aggregating local descriptors into a compact image
    representation", CVPR 2010; Arandjelović and Zisserman, "All about VLAD", CVPR 2013.
    """
    rng = np.random.default_rng(seed)
    everything = np.concatenate([d.reshape(-1, 128) for d in descriptors]) if descriptors else np.zeros((0, 128))
    if len(everything) < WORDS:
        return np.zeros((len(descriptors), WORDS * 128), np.float32)
    sample = everything[rng.permutation(len(everything))[:SAMPLES]].astype(np.float32)
    words = _kmeans(sample, rng)
    return np.stack([_vlad(d.reshape(-1, 128).astype(np.float32), words) for d in descriptors])


def _kmeans(points: Array, rng: np.random.Generator, iterations: int = 8) -> Array:
    words = points[rng.permutation(len(points))[:WORDS]].copy()
    for _ in range(iterations):
        nearest = _nearest(points, words)
        for word in range(WORDS):
            members = points[nearest == word]
            if len(members):
                words[word] = members.mean(axis=0)
    return words


def _nearest(points: Array, words: Array) -> npt.NDArray[np.intp]:
    return np.argmin((words**2).sum(axis=1) - 2 * points @ words.T, axis=1)


def _vlad(points: Array, words: Array) -> Array:
    result = np.zeros_like(words)
    if len(points):
        nearest = _nearest(points, words)
        np.add.at(result, nearest, points - words[nearest])
    result /= np.maximum(np.linalg.norm(result, axis=1, keepdims=True), 1e-9)
    flat = result.ravel()
    return np.asarray(flat / max(float(np.linalg.norm(flat)), 1e-9), np.float32)
