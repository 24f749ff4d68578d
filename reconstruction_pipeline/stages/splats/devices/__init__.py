"""What trains: the same loop, losses, strategy and checkpoints on our CPU kernels or on CUDA through gsplat."""

from reconstruction_pipeline.stages.splats.devices.base import Device, Rasterizer
from reconstruction_pipeline.stages.splats.devices.choose import Choice, choose_device, open_device

__all__ = ["Choice", "Device", "Rasterizer", "choose_device", "open_device"]
