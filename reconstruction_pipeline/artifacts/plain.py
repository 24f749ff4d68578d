"""Numbers as JSON and Dagster know them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np


def plain(value: Any, keep: Callable[[str], bool] = lambda key: True) -> Any:
    """JSON's own types: NumPy becomes Python, NaN and infinities become None, keys that `keep` refuses are left out."""
    if isinstance(value, Mapping):
        return {str(key): plain(item, keep) for key, item in value.items() if keep(str(key))}
    if isinstance(value, np.ndarray):
        return plain(value.tolist(), keep)
    if isinstance(value, (list, tuple)):
        return [plain(item, keep) for item in value]
    if isinstance(value, np.generic):
        return plain(value.item(), keep)
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return value if value is None or isinstance(value, (bool, int, str)) else str(value)
