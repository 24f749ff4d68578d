"""Dents go, edges stay."""

import numpy as np
import pytest

from reconstruction_pipeline.stages.mesh.denoise import border_vertices, denoise, face_geometry

CELLS = 40


def roof(noise: float, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(dented vertices, true vertices, faces) of z = |x| over [-1, 1]^2: two slopes that meet at 90 degrees."""
    line = np.linspace(-1, 1, CELLS + 1)
    x, y = (a.ravel() for a in np.meshgrid(line, line))
    i = (np.arange(CELLS)[:, None] * (CELLS + 1) + np.arange(CELLS)).ravel()
    faces = np.concatenate(
        [np.column_stack([i, i + 1, i + CELLS + 1]), np.column_stack([i + 1, i + CELLS + 2, i + CELLS + 1])]
    )
    true = np.column_stack([x, y, np.abs(x)])
    dents = np.random.default_rng(seed).normal(size=true.shape) * noise * 2 / CELLS
    return true + dents, true, faces.astype(np.int32)


def off_normals(vertices: np.ndarray, true: np.ndarray, faces: np.ndarray) -> np.ndarray:
    cosine = np.sum(face_geometry(vertices, faces)[0] * face_geometry(true, faces)[0], axis=1)
    return np.degrees(np.arccos(np.clip(cosine, -1, 1)))


def test_dents_go_and_the_ridge_stays() -> None:
    dented, true, faces = roof(0.15)
    before = off_normals(dented, true, faces)
    after = off_normals(denoise(dented, faces, 20, 0.35), true, faces)
    assert np.median(after) < 0.35 * np.median(before)
    middle = true[faces].mean(axis=1)
    ridge = (np.abs(middle[:, 0]) < 1.5 * 2 / CELLS) & (np.abs(middle[:, 1]) < 0.9)
    assert np.median(after[ridge]) < 6, "a rounded ridge would be off by tens of degrees"


def test_a_border_stays_where_it_is() -> None:
    dented, _, faces = roof(0.15)
    border = border_vertices(faces, len(dented))
    moved = denoise(dented, faces, 5, 0.35)
    np.testing.assert_array_equal(moved[border], dented[border])
    assert border.sum() == 4 * CELLS and not np.array_equal(moved[~border], dented[~border])


@pytest.mark.parametrize("rounds", [0, 3])
def test_what_is_flat_stays(rounds: int) -> None:
    _, true, faces = roof(0)
    np.testing.assert_allclose(denoise(true, faces, rounds, 0.35), true, atol=1e-4)
