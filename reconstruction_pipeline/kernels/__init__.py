"""SIMD kernels shared by the stages: differentiable Gaussian rasterisation, losses and optimisation on the CPU.

Nothing is imported here; take what is needed from the modules (`rasterizer.Rasterizer` is the main one).
"""

import os

# OpenMP's threads spin between parallel regions unless told otherwise, which on a shared machine takes the
# cores from whoever works. Must be set before the library is loaded; a user's own choice stands.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
