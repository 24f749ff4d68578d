"""The presets' names, without their settings: what command lines and web pages need before anything is loaded."""

from enum import StrEnum


class PresetName(StrEnum):
    """What a scene may cost: on two cores about 1, 3 or 25 minutes."""

    fastest = "fastest"
    balanced = "balanced"
    quality = "quality"
