"""Placing a scene on Earth by the GPS positions of its images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from reconstruction_pipeline.artifacts.colmap import ColmapModel
from reconstruction_pipeline.artifacts.gps import GpsFix
from reconstruction_pipeline.artifacts.verdict import Gate
from reconstruction_pipeline.kernels.geodesy import LocalFrame
from reconstruction_pipeline.stages.poses.geometry import Similarity
from reconstruction_pipeline.stages.poses.similarity_fit import Fit, fit_similarity

Array = npt.NDArray[np.float64]

# What a phone or a camera in the open knows, metres, where it does not say; drones and survey devices say more.
ACCURACY_M = 4.0
BEST_ACCURACY_M = 0.02
MIN_IMAGES = 5
# The way must be this many times as long as GPS is uncertain; else scale and heading are noise.
MIN_EXTENT = 4.0
MAX_RMSE_M = 5.0
# And the residual at most this share of the extent: a wrong scene fits a small one too.
MAX_RMSE_SHARE = 0.25
MIN_INLIERS = 0.6
WALK = "Film a longer way in the open, and wait until the device has a GPS fix."


@dataclass(frozen=True)
class Georeference:
    """`similarity` takes the upright scene to metres (x east, y down, z north of the origin), or is None with the
    reason in the gate. `metrics` and `gates` hold no location; `document` does, and the residual of each image.
    """

    similarity: Similarity | None
    metrics: dict[str, Any]
    gates: tuple[Gate, ...]
    document: dict[str, Any] | None = None


def georeference(
    model: ColmapModel, fixes: Sequence[GpsFix], tilt_deg: float, scale: float | None = None
) -> Georeference:
    """Fit the upright `model` to the fixes of its images (`name`), or say why that cannot be.

    `tilt_deg`: how well its gravity is known. `scale`: metres per unit where something else than GPS tells.
    The origin becomes the middle of the scene, so that coordinates stay small.
    """
    by_name = {fix.name: fix for fix in fixes}
    names = [image.name for image in model.images if image.name in by_name]
    if not fixes:
        return Georeference(None, {}, ())
    metrics: dict[str, Any] = {"gps_images": len(names), "georeferenced": False}
    if len(names) < MIN_IMAGES:
        said = f"{len(names)} placed images have GPS positions; at least {MIN_IMAGES} are needed for a metric scene."
        return _refused(metrics, said, len(names), MIN_IMAGES)
    geodetic = np.array([(by_name[n].latitude, by_name[n].longitude, by_name[n].altitude_m) for n in names])
    said_m = np.array([by_name[n].accuracy_m for n in names])
    sigma = np.maximum(np.where(np.isfinite(said_m), said_m, ACCURACY_M), BEST_ACCURACY_M)
    has_height = bool(np.isfinite(geodetic[:, 2]).any())
    origin = _frame(
        np.nanmedian(geodetic, axis=0) if has_height else np.array([*np.median(geodetic[:, :2], axis=0), 0.0])
    )
    measured = _y_down(origin, geodetic)
    extent = _extent(measured[:, [0, 2]])
    metrics["gps_extent_m"] = round(extent, 2)
    noise = float(np.median(sigma))
    if extent < MIN_EXTENT * noise:
        said = f"The camera moved {extent:.1f} m, which GPS, good to about {noise:.1f} m, cannot measure; no metres."
        return _refused(metrics, said, extent, MIN_EXTENT * noise)
    centers = np.array([image.center for image in model.images if image.name in by_name])
    fit = fit_similarity(centers, measured, sigma, tilt_deg, scale)
    if fit is not None and len(model.xyz):
        # Once more around the middle of the scene.
        east, down, north = np.median(fit.similarity.points(model.xyz), axis=0)
        origin = _frame(origin.geodetic(np.array([[east, north, -down]]))[0])
        measured = _y_down(origin, geodetic)
        fit = fit_similarity(centers, measured, sigma, tilt_deg, scale)
    if fit is None:
        return _refused(metrics, "The GPS positions of the images are all one; no metres.", 0, None)
    return _judged(fit, metrics, names, origin, extent, has_height)


def _judged(
    fit: Fit, metrics: dict[str, Any], names: list[str], origin: LocalFrame, extent: float, has_height: bool
) -> Georeference:
    squares = (fit.residuals[:, [0, 2]] ** 2).sum(axis=1)
    share = float(fit.inliers.mean())
    # A glitch of the receiver is no fault of the scene.
    rmse = float(np.sqrt(squares[fit.inliers].mean())) if fit.inliers.any() else float(np.sqrt(squares.mean()))
    metrics |= {
        "gps_rmse_m": round(float(np.sqrt(squares.mean())), 3),
        "gps_inlier_rmse_m": round(rmse, 3),
        "gps_median_error_m": round(float(np.median(np.linalg.norm(fit.residuals[:, [0, 2]], axis=1))), 3),
        "gps_rmse_height_m": round(float(np.sqrt((fit.residuals[:, 1] ** 2).mean())), 3) if has_height else None,
        "gps_outliers": int((~fit.inliers).sum()),
    }
    limit = min(MAX_RMSE_M, MAX_RMSE_SHARE * extent)
    worst = [names[i] for i in np.argsort(-np.linalg.norm(fit.residuals, axis=1))[:3]]
    if rmse > limit or share < MIN_INLIERS:
        said = (
            f"Camera positions and GPS disagree by {rmse:.1f} m (at most {limit:.1f} m), most at {', '.join(worst)};"
            " one of them is wrong, so the scene has no metres."
        )
        return _refused(metrics, said, rmse, limit)
    metrics["georeferenced"] = True
    message = f"{int(fit.inliers.sum())} of {len(names)} images lie within {rmse:.2f} m RMSE of their GPS positions."
    document = {
        "frame": "local tangent plane: x east, y down, z north",
        "unit": "metre",
        "ellipsoid": "WGS84",
        "origin": {
            "latitude": origin.latitude,
            "longitude": origin.longitude,
            "altitude_m": origin.height_m if has_height else None,
        },
        "residuals_m": [
            {"name": name, "east": east, "up": -down, "north": north, "inlier": bool(inlier)}
            for name, (east, down, north), inlier in zip(
                names, fit.residuals.round(4).tolist(), fit.inliers, strict=True
            )
        ],
    }
    return Georeference(fit.similarity, metrics, (Gate("georeferenced", True, "warn", message, rmse, limit),), document)


def _refused(metrics: dict[str, Any], said: str, value: float, threshold: float | None) -> Georeference:
    return Georeference(None, metrics, (Gate("georeferenced", False, "warn", said, value, threshold, WALK),))


def _frame(at: Array) -> LocalFrame:
    return LocalFrame(float(at[0]), float(at[1]), float(at[2]))


def _y_down(origin: LocalFrame, geodetic: Array) -> Array:
    """(N, 3) east, down, north; the height NaN where it is not known."""
    height = np.where(np.isfinite(geodetic[:, 2]), geodetic[:, 2], origin.height_m)
    east, north, up = origin.enu(np.column_stack([geodetic[:, :2], height])).T
    return np.column_stack([east, np.where(np.isfinite(geodetic[:, 2]), -up, math.nan), north])


def _extent(ground: Array) -> float:
    """Between the two positions furthest apart, without the furthest tenth of outliers. (N, 2) in metres."""
    away = np.linalg.norm(ground - np.median(ground, axis=0), axis=1)
    kept = ground[away <= np.quantile(away, 0.9)]
    return float(np.linalg.norm(kept[:, None] - kept[None], axis=-1).max())
