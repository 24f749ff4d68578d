"""WGS84: between geodetic coordinates and local east, north, up.

Formulas of the ellipsoid: NIMA TR8350.2; the way back to latitude by Bowring's method (Survey Review 23, 1976), exact
to micrometres near the ground.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float64]

SEMI_MAJOR_M = 6378137.0
FLATTENING = 1 / 298.257223563
ECCENTRICITY2 = FLATTENING * (2 - FLATTENING)


def ecef_of(geodetic: Array) -> Array:
    """(N, 3) metres, earth-centred, earth-fixed, from (N, 3) latitude and longitude in degrees and height in metres."""
    latitude, longitude = np.radians(geodetic[:, 0]), np.radians(geodetic[:, 1])
    height = geodetic[:, 2]
    normal = SEMI_MAJOR_M / np.sqrt(1 - ECCENTRICITY2 * np.sin(latitude) ** 2)
    across = (normal + height) * np.cos(latitude)
    along = (normal * (1 - ECCENTRICITY2) + height) * np.sin(latitude)
    return np.column_stack([across * np.cos(longitude), across * np.sin(longitude), along])


def geodetic_of(ecef: Array) -> Array:
    """(N, 3) latitude and longitude in degrees and height in metres, from (N, 3) ECEF metres."""
    x, y, z = ecef.T
    across = np.hypot(x, y)
    minor = SEMI_MAJOR_M * (1 - FLATTENING)
    second2 = ECCENTRICITY2 / (1 - ECCENTRICITY2)
    reduced = np.arctan2(z * SEMI_MAJOR_M, across * minor)
    latitude = np.arctan2(
        z + second2 * minor * np.sin(reduced) ** 3, across - ECCENTRICITY2 * SEMI_MAJOR_M * np.cos(reduced) ** 3
    )
    root = np.sqrt(1 - ECCENTRICITY2 * np.sin(latitude) ** 2)
    # Right at the poles as well, where dividing by cos(latitude) is not.
    height = across * np.cos(latitude) + z * np.sin(latitude) - SEMI_MAJOR_M * root
    return np.column_stack([np.degrees(latitude), np.degrees(np.arctan2(y, x)), height])


@dataclass(frozen=True)
class LocalFrame:
    """East, north, up in metres around (latitude, longitude) in degrees and height in metres over the ellipsoid."""

    latitude: float
    longitude: float
    height_m: float

    def enu(self, geodetic: Array) -> Array:
        """(N, 3) east, north, up of (N, 3) geodetic coordinates."""
        return np.asarray((ecef_of(geodetic) - self._origin()) @ self._axes().T)

    def geodetic(self, enu: Array) -> Array:
        """(N, 3) geodetic coordinates of (N, 3) east, north, up."""
        return geodetic_of(enu @ self._axes() + self._origin())

    def _origin(self) -> Array:
        return ecef_of(np.array([[self.latitude, self.longitude, self.height_m]]))[0]

    def _axes(self) -> Array:
        """Rows: east, north, up in ECEF."""
        phi, lam = np.radians(self.latitude), np.radians(self.longitude)
        return np.array(
            [
                [-np.sin(lam), np.cos(lam), 0.0],
                [-np.sin(phi) * np.cos(lam), -np.sin(phi) * np.sin(lam), np.cos(phi)],
                [np.cos(phi) * np.cos(lam), np.cos(phi) * np.sin(lam), np.sin(phi)],
            ]
        )
