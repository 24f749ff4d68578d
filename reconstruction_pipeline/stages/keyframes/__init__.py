"""From a capture to its keyframes: the sharpest frame of each stretch of motion, upright, in sRGB."""

from reconstruction_pipeline.stages.keyframes.settings import KeyframeSettings
from reconstruction_pipeline.stages.keyframes.stage import select_keyframes

__all__ = ["KeyframeSettings", "select_keyframes"]
