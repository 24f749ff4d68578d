"""SIMD kernels shared by the stages: differentiable Gaussian rasterisation, losses and optimisation on the CPU.

Nothing is imported here; take what is needed from the modules (`rasterizer.Rasterizer` is the main one).
"""
