"""Real spherical harmonics of degree 0 to 3 for 16 Gaussians at a time, and their gradients.

Basis order and signs are those of 3D Gaussian splatting files (Kerbl et al. 2023); the polynomials are the
standard real spherical harmonics (e.g. Sloan, "Efficient spherical harmonic evaluation", JCGT 2013).
"""

# mypy: ignore-errors
from __future__ import annotations

from reconstruction_pipeline.kernels.jit import inline
from reconstruction_pipeline.kernels.layout import SH
from reconstruction_pipeline.kernels.simd import full, load, store

C0 = 0.28209479177387814
C1 = 0.4886025119029199
C2_XY = 1.0925484305920792
C2_ZZ = 0.31539156525252005
C2_XX = 0.5462742152960396
C3_0 = 0.5900435899266435
C3_1 = 2.890611442640554
C3_2 = 0.4570457994644658
C3_3 = 0.3731763325901154
C3_5 = 1.445305721320277


@inline
def _add(colour, planes, stride, column, k, basis):
    """Colour plus coefficient k times its basis function."""
    at = (SH + 3 * k) * stride + column
    r, g, b = colour
    return (
        r + basis * load(planes, at),
        g + basis * load(planes, at + stride),
        b + basis * load(planes, at + 2 * stride),
    )


@inline
def evaluate(planes, stride, column, x, y, z, degree):
    """Colours (three vectors, without the offset 0.5) seen along unit direction x, y, z from the camera."""
    zero = full(0.0)
    c = _add((zero, zero, zero), planes, stride, column, 0, full(C0))
    if degree > 0:
        c = _add(c, planes, stride, column, 1, y * -C1)
        c = _add(c, planes, stride, column, 2, z * C1)
        c = _add(c, planes, stride, column, 3, x * -C1)
    if degree > 1:
        xx, yy, zz = x * x, y * y, z * z
        c = _add(c, planes, stride, column, 4, x * y * C2_XY)
        c = _add(c, planes, stride, column, 5, y * z * -C2_XY)
        c = _add(c, planes, stride, column, 6, (2.0 * zz - xx - yy) * C2_ZZ)
        c = _add(c, planes, stride, column, 7, x * z * -C2_XY)
        c = _add(c, planes, stride, column, 8, (xx - yy) * C2_XX)
        if degree > 2:
            c = _add(c, planes, stride, column, 9, y * (3.0 * xx - yy) * -C3_0)
            c = _add(c, planes, stride, column, 10, x * y * z * C3_1)
            c = _add(c, planes, stride, column, 11, y * (4.0 * zz - xx - yy) * -C3_2)
            c = _add(c, planes, stride, column, 12, z * (2.0 * zz - 3.0 * xx - 3.0 * yy) * C3_3)
            c = _add(c, planes, stride, column, 13, x * (4.0 * zz - xx - yy) * -C3_2)
            c = _add(c, planes, stride, column, 14, z * (xx - yy) * C3_5)
            c = _add(c, planes, stride, column, 15, x * (xx - 3.0 * yy) * -C3_0)
    return c


@inline
def _pull(planes, grads, stride, column, k, basis, g):
    """Store the gradient of coefficient k; return dL/d(basis k)."""
    at = (SH + 3 * k) * stride + column
    store(grads, at, basis * g[0])
    store(grads, at + stride, basis * g[1])
    store(grads, at + 2 * stride, basis * g[2])
    return g[0] * load(planes, at) + g[1] * load(planes, at + stride) + g[2] * load(planes, at + 2 * stride)


@inline
def backward(planes, grads, stride, column, x, y, z, degree, g):
    """Store the gradients of all 48 coefficients for colour gradients `g`; return dL/d(x, y, z)."""
    _pull(planes, grads, stride, column, 0, full(C0), g)
    dx, dy, dz = full(0.0), full(0.0), full(0.0)
    if degree > 0:
        dy -= C1 * _pull(planes, grads, stride, column, 1, y * -C1, g)
        dz += C1 * _pull(planes, grads, stride, column, 2, z * C1, g)
        dx -= C1 * _pull(planes, grads, stride, column, 3, x * -C1, g)
    if degree > 1:
        xx, yy, zz = x * x, y * y, z * z
        d = C2_XY * _pull(planes, grads, stride, column, 4, x * y * C2_XY, g)
        dx += d * y
        dy += d * x
        d = -C2_XY * _pull(planes, grads, stride, column, 5, y * z * -C2_XY, g)
        dy += d * z
        dz += d * y
        d = (2.0 * C2_ZZ) * _pull(planes, grads, stride, column, 6, (2.0 * zz - xx - yy) * C2_ZZ, g)
        dx -= d * x
        dy -= d * y
        dz += 2.0 * d * z
        d = -C2_XY * _pull(planes, grads, stride, column, 7, x * z * -C2_XY, g)
        dx += d * z
        dz += d * x
        d = (2.0 * C2_XX) * _pull(planes, grads, stride, column, 8, (xx - yy) * C2_XX, g)
        dx += d * x
        dy -= d * y
        if degree > 2:
            d = -C3_0 * _pull(planes, grads, stride, column, 9, y * (3.0 * xx - yy) * -C3_0, g)
            dx += 6.0 * d * x * y
            dy += 3.0 * d * (xx - yy)
            d = C3_1 * _pull(planes, grads, stride, column, 10, x * y * z * C3_1, g)
            dx += d * y * z
            dy += d * x * z
            dz += d * x * y
            d = -C3_2 * _pull(planes, grads, stride, column, 11, y * (4.0 * zz - xx - yy) * -C3_2, g)
            dx -= 2.0 * d * x * y
            dy += d * (4.0 * zz - xx - 3.0 * yy)
            dz += 8.0 * d * y * z
            d = C3_3 * _pull(planes, grads, stride, column, 12, z * (2.0 * zz - 3.0 * xx - 3.0 * yy) * C3_3, g)
            dx -= 6.0 * d * x * z
            dy -= 6.0 * d * y * z
            dz += d * (6.0 * zz - 3.0 * xx - 3.0 * yy)
            d = -C3_2 * _pull(planes, grads, stride, column, 13, x * (4.0 * zz - xx - yy) * -C3_2, g)
            dx += d * (4.0 * zz - 3.0 * xx - yy)
            dy -= 2.0 * d * x * y
            dz += 8.0 * d * x * z
            d = C3_5 * _pull(planes, grads, stride, column, 14, z * (xx - yy) * C3_5, g)
            dx += 2.0 * d * x * z
            dy -= 2.0 * d * y * z
            dz += d * (xx - yy)
            d = -C3_0 * _pull(planes, grads, stride, column, 15, x * (xx - 3.0 * yy) * -C3_0, g)
            dx += 3.0 * d * (xx - yy)
            dy -= 6.0 * d * x * y
    for row in range(SH + 3 * (degree + 1) * (degree + 1), SH + 48):
        store(grads, row * stride + column, full(0.0))
    return dx, dy, dz
