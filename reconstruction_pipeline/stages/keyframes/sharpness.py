"""How sharp an image is, in two senses: relative to its neighbours in time, and absolutely."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

# Grey levels; below it an image is a flat field and its "sharpness" would be that of the noise.
FLAT_STD = 2.0


def sharpness(gray: npt.NDArray[np.uint8]) -> float:
    """Variance of the Laplacian of the grey image (H, W) after removing mean and contrast.

    The normalisation makes it independent of exposure; texture still enters, so values are only
    comparable between frames that see nearly the same thing. 0 for an image without contrast.
    """
    image = gray.astype(np.float32)
    deviation = float(image.std())
    if deviation < FLAT_STD:
        return 0.0
    return float(cv2.Laplacian((image - image.mean()) / deviation, cv2.CV_32F, ksize=1).var())


def blur_extent(gray: npt.NDArray[np.uint8], window: int = 11) -> float:
    """Perceptual blur, 0 (sharp) to 1: how little of the neighbour differences a further blur removes.

    The worse of the two image axes, so that motion blur along either is seen.
    Crété et al., "The blur effect: perception and estimation with a new no-reference perceptual blur
    metric", SPIE 2007.
    """
    image = gray.astype(np.float32)
    worst = 0.0
    for axis, kernel in ((1, (window, 1)), (0, (1, window))):
        variation = np.abs(np.diff(image, axis=axis))
        blurred = np.abs(np.diff(cv2.blur(image, kernel), axis=axis))
        total = float(variation.sum())
        if total > 0:
            worst = max(worst, 1.0 - float(np.maximum(variation - blurred, 0).sum()) / total)
    return worst
