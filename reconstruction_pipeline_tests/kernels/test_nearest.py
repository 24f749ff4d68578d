from __future__ import annotations

import numpy as np
import pytest

from reconstruction_pipeline.kernels.nearest import nearest


@pytest.mark.parametrize(("count", "entries", "dims"), [(500, 37, 9), (1, 1, 1), (33, 64, 45), (64, 200, 24)])
def test_nearest_equals_a_full_search(count: int, entries: int, dims: int) -> None:
    rng = np.random.default_rng(4)
    points = rng.normal(size=(count, dims)).astype(np.float32)
    table = rng.normal(size=(entries, dims)).astype(np.float32)
    distances = ((points[:, None].astype(float) - table) ** 2).sum(axis=2)
    labels, errors = nearest(points, table)
    np.testing.assert_array_equal(labels, distances.argmin(axis=1))
    np.testing.assert_allclose(errors, distances.min(axis=1), rtol=1e-4, atol=1e-4)


def test_of_equal_entries_the_first_is_taken() -> None:
    table = np.zeros((300, 5), np.float32)
    table[100:] = 1.0
    labels, errors = nearest(np.array([[0.1] * 5, [0.9] * 5], np.float32), table)
    assert labels.tolist() == [0, 100]
    np.testing.assert_allclose(errors, [0.05, 0.05], atol=1e-6)


def test_the_result_does_not_depend_on_threads() -> None:
    import numba

    rng = np.random.default_rng(5)
    points, table = rng.normal(size=(2000, 45)).astype(np.float32), rng.normal(size=(256, 45)).astype(np.float32)
    results = []
    before = numba.get_num_threads()
    try:
        for threads in (1, before):
            numba.set_num_threads(threads)
            results.append(nearest(points, table))
    finally:
        numba.set_num_threads(before)
    for one, all_threads in zip(*results, strict=True):
        np.testing.assert_array_equal(one, all_threads)
