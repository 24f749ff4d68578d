"""Delivery: the trained scene cleaned up, made into small files that are measured again, and the page that shows it.

`stage` is the whole of it, `codecs` reads and writes the formats, `convert` turns one into another. None is imported
here: whoever needs the settings alone does not wait for the kernels.
"""

from reconstruction_pipeline.stages.compression.settings import CompressionSettings

__all__ = ["CompressionSettings"]
