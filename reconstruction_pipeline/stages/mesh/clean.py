"""Removing what is not surface, filling pinholes, and fewer triangles."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Vertices = npt.NDArray[np.float64]
Faces = npt.NDArray[np.int32]

MIN_FACES = 100
MIN_SHARE = 0.01


def component_of_faces(faces: Faces, vertices: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int64]]:
    """The connected component of every face (F,), and the number of faces of every component that has any."""
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    if len(faces) == 0:
        return np.empty(0, np.int32), np.empty(0, np.int64)
    a, b = faces[:, [0, 1]].ravel(), faces[:, [1, 2]].ravel()
    graph = coo_matrix((np.ones(len(a), np.int8), (a, b)), shape=(vertices, vertices))
    _, of_vertex = connected_components(graph, directed=False)
    _, of_face, sizes = np.unique(of_vertex[faces[:, 0]], return_inverse=True, return_counts=True)
    return of_face.astype(np.int32), sizes


def drop_small_components(vertices: Vertices, faces: Faces, share: float = MIN_SHARE) -> tuple[Vertices, Faces]:
    """Keep components of at least MIN_FACES faces and that `share` of the largest one's."""
    component, sizes = component_of_faces(faces, len(vertices))
    if len(sizes) == 0:
        return vertices, faces
    keep = sizes >= min(max(MIN_FACES, share * sizes.max()), sizes.max())
    return compact(vertices, faces[keep[component]])


def without_strips(vertices: Vertices, faces: Faces, rings: int) -> tuple[Vertices, Faces]:
    """Without what is narrower than about twice `rings` faces: an opening, by faces that touch the border or a gap.

    A surface that is seen from one side ends in fringes and shreds where views begin to disagree. What is closed has no
    border, however thin it is.
    """
    kept = np.ones(len(faces), np.bool_)
    outside = np.zeros(len(vertices), np.bool_)
    outside[np.concatenate(border_edges(faces))] = True
    for _ in range(rings):
        kept &= ~outside[faces].any(axis=1)
        outside[faces[~kept]] = True
    core = np.zeros(len(vertices), np.bool_)
    for _ in range(rings):
        core[:] = False
        core[faces[kept]] = True
        kept |= core[faces].any(axis=1)
    return compact(vertices, faces[kept]) if kept.any() else (vertices, faces)


def border_edges(faces: Faces) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Starts and ends (E,) of the directed edges that only one face has."""
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).astype(np.int64)
    low, high = edges.min(axis=1), edges.max(axis=1)
    key = low * (int(edges.max(initial=0)) + 1) + high
    _, inverse, counts = np.unique(key, return_inverse=True, return_counts=True)
    border = edges[counts[inverse] == 1].astype(np.int32)
    return border[:, 0], border[:, 1]


def compact(vertices: Vertices, faces: Faces) -> tuple[Vertices, Faces]:
    """Without faces that have no area or repeat one, and without vertices that no face uses."""
    distinct = (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])
    faces = faces[distinct]
    corners = vertices[faces]
    area = np.linalg.norm(np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0]), axis=1)
    faces = faces[area > 1e-10 * (np.median(area) if len(area) else 1.0)]
    _, first = np.unique(np.sort(faces, axis=1), axis=0, return_index=True)
    faces = faces[np.sort(first)]
    used, renumbered = np.unique(faces, return_inverse=True)
    return vertices[used], renumbered.reshape(-1, 3).astype(np.int32)


def decimate(vertices: Vertices, faces: Faces, max_faces: int) -> tuple[Vertices, Faces]:
    """At most about `max_faces`, by quadric error (Garland and Heckbert 1997)."""
    import fast_simplification

    if len(faces) <= max_faces:
        return vertices, faces
    # Around zero and in single precision: coordinates far from the origin would lose digits.
    middle = vertices.mean(axis=0)
    points, triangles = fast_simplification.simplify(
        (vertices - middle).astype(np.float32), faces, target_count=max_faces, agg=5
    )
    return compact(points.astype(np.float64) + middle, triangles.astype(np.int32))


def smooth(vertices: Vertices, faces: Faces, rounds: int) -> Vertices:
    """Taubin's filter (1995): a step that evens out and a step back that keeps the volume, `rounds` times."""
    from scipy.sparse import coo_matrix

    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
    both = np.concatenate([edges, edges[:, ::-1]])
    adjacent = coo_matrix((np.ones(len(both)), (both[:, 0], both[:, 1])), shape=(len(vertices),) * 2).tocsr()
    count = np.maximum(np.asarray(adjacent.sum(axis=1)), 1)
    for _ in range(rounds):
        for step in (0.5, -0.52):
            vertices = vertices + step * (adjacent @ vertices / count - vertices)
    return vertices


def fill_small_holes(vertices: Vertices, faces: Faces, max_edges: int) -> tuple[Vertices, Faces]:
    """Close border loops of 3 to `max_edges` edges by a fan around their centre; larger openings stay open."""
    loops = [loop for loop in border_loops(faces) if 3 <= len(loop) <= max_edges]
    if not loops:
        return vertices, faces
    added_vertices: list[npt.NDArray[np.float64]] = []
    added_faces: list[tuple[int, int, int]] = []
    for loop in loops:
        center = len(vertices) + len(added_vertices)
        added_vertices.append(vertices[loop].mean(axis=0))
        # The border runs along its faces; the fan runs against it, so that all faces have one sense.
        added_faces += [(b, a, center) for a, b in zip(loop, loop[1:] + loop[:1], strict=True)]
    return np.vstack([vertices, added_vertices]), np.vstack([faces, np.array(added_faces, np.int32)])


def border_loops(faces: Faces) -> list[list[int]]:
    """Closed loops of directed edges that only one face has; loops that meet at a vertex are left out."""
    border = np.column_stack(border_edges(faces))
    starts, times = np.unique(border[:, 0], return_counts=True)
    unique = set(starts[times == 1].tolist())
    following = {int(a): int(b) for a, b in border if int(a) in unique}
    loops, seen = [], set()
    for start in following:
        loop, vertex = [], start
        while vertex in following and vertex not in seen:
            seen.add(vertex)
            loop.append(vertex)
            vertex = following[vertex]
        if loop and vertex == start:
            loops.append(loop)
    return loops


def vertex_normals(vertices: Vertices, faces: Faces) -> npt.NDArray[np.float32]:
    """Unit normals (V, 3), weighted by the faces' areas."""
    corners = vertices[faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    total = np.column_stack([np.bincount(faces.ravel(), np.repeat(normals[:, k], 3), len(vertices)) for k in range(3)])
    return (total / np.maximum(np.linalg.norm(total, axis=1, keepdims=True), 1e-30)).astype(np.float32)
