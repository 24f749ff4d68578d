"""What only a GPU would refuse, found without one: arrays of the host among the device's, and waits nobody meant.

Tensors that came to the device carry a mark, and a watcher sees every call of torch. On CPU tensors a numpy array or
an unmarked tensor among marked ones would work; on CUDA it is an error.
"""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map

from reconstruction_pipeline.kernels import layout
from reconstruction_pipeline.stages.splats import schedule, state, steps
from reconstruction_pipeline.stages.splats.devices import torch_loss
from reconstruction_pipeline.stages.splats.devices.cuda import CudaDevice
from reconstruction_pipeline.stages.splats.initialisation import Points, initial_gaussians
from reconstruction_pipeline.stages.splats.settings import TrainSettings
from reconstruction_pipeline.stages.splats.targets import Target
from reconstruction_pipeline_tests.kernels.gaussian_reference import turned_view
from reconstruction_pipeline_tests.stages.splats.torch_rasterization import rasterization

WAITS = {"__float__", "__int__", "__bool__", "__index__", "__array__", "item", "tolist", "numpy", "cpu", "nonzero"}
SETTINGS = TrainSettings(
    steps=40, seconds=None, max_splats=1000, refine_every=2, depth_weight=0.1, depth_every=1, opacity_reg=0.01,
    scale_reg=0.01, grow_start=0.0, growth_limit=1.05, max_elongation=5.0, device="cpu",
)  # fmt: skip


class OnDevice(torch.Tensor):
    """A tensor that a GPU would hold."""


class Watch(TorchFunctionMode):
    """Fails where kinds are mixed; `waits` are the calls that would wait for a GPU."""

    def __init__(self):
        super().__init__()
        self.waits = []

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        name, leaves = getattr(func, "__name__", str(func)), tree_leaves((args, kwargs))
        there = any(isinstance(leaf, OnDevice) for leaf in leaves)
        if there:
            tensors = [leaf for leaf in leaves if isinstance(leaf, torch.Tensor) and not isinstance(leaf, OnDevice)]
            mixed = [leaf for leaf in leaves if isinstance(leaf, np.ndarray)] + [t for t in tensors if t.dim()]
            assert not mixed, f"{name} mixes arrays of the host with the device's"
        to_host = name == "to" and "cpu" in args[1:]
        if there and (name in WAITS or to_host):
            self.waits.append(name)
        with torch._C.DisableTorchFunctionSubclass():
            result = func(*args, **kwargs)
        sent = kwargs.get("device") is not None or (
            name == "to" and any(isinstance(arg, torch.device) for arg in args[1:])
        )
        return tree_map(marked, result) if (there or sent) and not to_host else result


def marked(value):
    unmarked = isinstance(value, torch.Tensor) and not isinstance(value, OnDevice)
    return value.as_subclass(OnDevice) if unmarked else value


def unwatched(*args, **kwargs):
    with torch._C.DisableTorchFunction():
        return tree_map(marked, rasterization(*args, **kwargs))


@pytest.fixture
def watch():
    torch_loss._taps.cache_clear()
    with Watch() as watcher:
        yield watcher
    torch_loss._taps.cache_clear()


@pytest.fixture
def run():
    """A state, its scratch and a plan: 300 Gaussians, three targets of all kinds."""
    rng = np.random.default_rng(0)
    view = turned_view(24, 20)
    points = Points(rng.normal(size=(300, 3)) * 0.5 + (0, 0, 4), rng.integers(0, 256, (300, 3)).astype(np.uint8))
    device = CudaDevice("cpu", unwatched)
    start = state.new_state(initial_gaussians(points, SETTINGS), 400, 3, True, 0)

    def make():
        picture, plane = rng.integers(0, 256, (20, 24, 3)).astype(np.uint8), np.ones((20, 24), np.float32)
        put = device.put
        whole = Target(view, put(picture), None, None, put(4.0 * plane))
        masked = replace(whole, weight=put(plane))
        cut = replace(whole, image=put(picture // 2), alpha=put((128 * plane).astype(np.uint8)))
        scratch = steps.Scratch(device, put(layout.aligned_zeros(start.planes.shape)), [whole, masked, cut], 1.0)
        return start.on(device), scratch, schedule.plan(SETTINGS, 24, 20, schedule.InitialPoints(300))

    return make


def test_training_keeps_to_the_device_and_waits_once_a_step(watch, run):
    trained, scratch, plan = run()
    trained.exposure.active = False
    for step in range(9):
        watch.waits.clear()
        steps.gradient_step(trained, scratch, SETTINGS, 0.3, collect=step >= 6)
        assert watch.waits == ["__float__"]
    assert trained.contribution_views == 3 and float(trained.tallies[state.CONTRIBUTION].sum()) > 0
    trained.planes[layout.OPACITY, :5] = -9.0  # dead: they are moved
    before = trained.count
    for _ in range(3):
        steps.refine(trained, scratch.device, plan, SETTINGS, 0.5)
    assert trained.count > before
    trained.exposure.active = True
    assert np.isfinite(steps.gradient_step(trained, scratch, SETTINGS, 0.5))
    host = trained.off(scratch.device)
    for name in ("planes", "m", "v", "tallies"):
        assert type(getattr(host, name)) is np.ndarray and isinstance(getattr(trained, name), OnDevice)


def test_the_watcher_sees_what_a_gpu_would_refuse(watch):
    there, wait = torch.zeros(4, device=torch.device("cpu")), watch.waits
    assert isinstance(there, OnDevice) and not isinstance(torch.zeros(4), OnDevice)
    with pytest.raises(AssertionError, match="add mixes"):
        torch.add(there, torch.ones(4))
    with pytest.raises(AssertionError, match="mixes"):
        there[np.array([1, 2])] = 0.0
    assert not wait and float(there.sum()) == 0.0 and wait == ["__float__"]
