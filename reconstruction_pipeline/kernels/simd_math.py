"""Elementary functions and lane permutations on `f32x16`: exp2, log2, sqrt, reciprocal, transposes and sums."""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from reconstruction_pipeline.kernels.jit import inline
from reconstruction_pipeline.kernels.simd import (
    APPROXIMATE,
    FLAGS,
    FLOATS,
    I32,
    INTS,
    LANES,
    constant,
    element_pointer,
    f32x16,
    i32x16,
    maximum,
    minimum,
)

LOG2_E = np.float32(1.4426950408889634)
LN_2 = np.float32(0.6931471805599453)

# 1.5 * 2^23: adding it rounds a float of magnitude below 2^22 to an integer held in the low mantissa bits.
_ROUNDER = 12582912.0
# Minimax polynomial of 2^f for |f| <= 1/2 (relative error 7.5e-8), fitted by Lawson's iteration.
_EXP2 = (
    1.0000000716546555,
    0.6931469670638647,
    0.24022119723933977,
    0.05550713274961074,
    0.009675541330679892,
    0.0013276471519575203,
)


def _polynomial(builder: Any, x: Any, coefficients: tuple[float, ...]) -> Any:
    value = constant(coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        value = builder.fadd(builder.fmul(value, x, flags=FLAGS), constant(coefficient), flags=FLAGS)
    return value


@intrinsic
def exp2_bounded(typingctx: Any, x: Any) -> Any:
    """2^x for |x| < 126; lanes outside give unspecified numbers (the rasteriser masks them)."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        shifted = builder.fadd(args[0], constant(_ROUNDER))
        fraction = builder.fsub(args[0], builder.fsub(shifted, constant(_ROUNDER)))
        exponent = builder.shl(builder.bitcast(shifted, INTS), constant(23, I32))
        mantissa = builder.bitcast(_polynomial(builder, fraction, _EXP2), INTS)
        return builder.bitcast(builder.add(mantissa, exponent), FLOATS)

    return f32x16(x), codegen


@inline
def exp2(x: Any) -> Any:
    """2^x with the argument clamped to [-125, 125] on both sides; NaN gives 2^125."""
    return exp2_bounded(maximum(minimum(x, 125.0), -125.0))  # type: ignore[call-arg]


@intrinsic
def _split_float(typingctx: Any, x: Any) -> Any:
    """(exponent e, mantissa m in [sqrt(1/2), sqrt(2))) with x = m 2^e, for positive normal x."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        offset = constant(0x3F3504F3, I32)  # bits of sqrt(1/2)
        above = builder.sub(builder.bitcast(args[0], INTS), offset)
        exponent = builder.ashr(above, constant(23, I32))
        mantissa = builder.add(builder.and_(above, constant(0x007FFFFF, I32)), offset)
        pair = (builder.sitofp(exponent, FLOATS), builder.bitcast(mantissa, FLOATS))
        return context.make_tuple(builder, sig.return_type, pair)

    return types.UniTuple(f32x16, 2)(x), codegen


@inline
def log2(x: Any) -> Any:
    """Base-2 logarithm of positive normal numbers, from the series of atanh((m-1)/(m+1))."""
    exponent, mantissa = _split_float(x)  # type: ignore[call-arg, var-annotated]
    s = (mantissa - 1.0) / (mantissa + 1.0)
    s2 = s * s
    series = s * (((s2 * 0.32059889797 + 0.4121985831) * s2 + 0.57707801635) * s2 + 0.96179669392)
    return exponent + (series * s2 + s * 2.88539008177)


def _llvm_function(name: str) -> Any:
    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        kind = ir.FunctionType(FLOATS, [FLOATS])
        return builder.call(cgutils.get_or_insert_function(builder.module, kind, f"llvm.{name}.v16f32"), args)

    return codegen


@intrinsic
def sqrt(typingctx: Any, x: Any) -> Any:
    """Lane-wise square root."""
    return f32x16(x), _llvm_function("sqrt")


@intrinsic
def floor(typingctx: Any, x: Any) -> Any:
    """Lane-wise floor."""
    return f32x16(x), _llvm_function("floor")


@intrinsic
def reciprocal(typingctx: Any, x: Any) -> Any:
    """1/x for finite x, by the approximate instruction and a Newton step where the processor has it."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.fdiv(constant(1.0), args[0], flags=APPROXIMATE)

    return f32x16(x), codegen


@intrinsic
def to_int(typingctx: Any, x: Any) -> Any:
    """Truncation to 32-bit integers; lanes beyond their range are unspecified."""
    return i32x16(x), lambda context, builder, sig, args: builder.fptosi(args[0], INTS)


@intrinsic
def float_bits(typingctx: Any, x: Any) -> Any:
    """The bit patterns of the lanes, as integers."""
    return i32x16(x), lambda context, builder, sig, args: builder.bitcast(args[0], INTS)


def _mixing_indices(distance: int) -> tuple[Any, Any]:
    """Shuffle indices of one transpose stage: exchange the lanes whose index has bit `distance`."""
    lane = np.arange(LANES)
    low = np.where(lane & distance, LANES + (lane ^ distance), lane)
    high = np.where(lane & distance, LANES + lane, lane ^ distance)
    return constant(low, I32), constant(high, I32)


def _transpose(builder: Any, rows: list[Any]) -> list[Any]:
    """16x16 transpose as four stages of two-source shuffles."""
    for distance in (1, 2, 4, 8):
        low, high = _mixing_indices(distance)
        mixed = list(rows)
        for k in range(LANES):
            if not k & distance:
                a, b = rows[k], rows[k | distance]
                mixed[k] = builder.shuffle_vector(a, b, low)
                mixed[k | distance] = builder.shuffle_vector(a, b, high)
        rows = mixed
    return rows


@intrinsic
def store_transposed(typingctx: Any, array: Any, index: Any, vectors: Any) -> Any:
    """Write a tuple of 16 vectors so that lane k of vector j lands at `array[index + 16 k + j]`."""
    if not isinstance(vectors, types.UniTuple) or len(vectors) != LANES:
        return None

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        rows = [builder.extract_value(args[2], k) for k in range(LANES)]
        for k, row in enumerate(_transpose(builder, rows)):
            at = builder.add(args[1], ir.Constant(args[1].type, LANES * k))
            builder.store(row, element_pointer(context, builder, sig.args[0], args[0], at, FLOATS)).align = 4
        return context.get_dummy_value()

    return types.none(array, types.intp, vectors), codegen


@intrinsic
def load_transposed(typingctx: Any, array: Any, index: Any) -> Any:
    """A tuple of 16 vectors; lane k of vector j comes from `array[index + 16 k + j]`."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        rows = []
        for k in range(LANES):
            at = builder.add(args[1], ir.Constant(args[1].type, LANES * k))
            rows.append(builder.load(element_pointer(context, builder, sig.args[0], args[0], at, FLOATS)))
            rows[-1].align = 4
        return context.make_tuple(builder, sig.return_type, _transpose(builder, rows))

    return types.UniTuple(f32x16, LANES)(array, types.intp), codegen


@intrinsic
def sums(typingctx: Any, vectors: Any) -> Any:
    """Lane k of the result is the sum over the lanes of `vectors[k]` (a tuple of at most 16; others are zero).

    A tree: each stage adds halves of two vectors at once, so that n sums cost about 3n operations.
    """

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        zero = constant(0.0)
        count = len(sig.args[0])
        rows = [builder.extract_value(args[0], k) if k < count else zero for k in range(LANES)]
        for distance in (8, 4, 2, 1):
            low, high = _mixing_indices(distance)
            half = len(rows) // 2
            rows = [
                zero
                if rows[k] is zero and rows[k + half] is zero
                else builder.fadd(
                    builder.shuffle_vector(rows[k], rows[k + half], low),
                    builder.shuffle_vector(rows[k], rows[k + half], high),
                    flags=FLAGS,
                )
                for k in range(half)
            ]
        return rows[0]

    return f32x16(vectors), codegen


@intrinsic
def sum_lanes(typingctx: Any, x: Any) -> Any:
    """Sum of the sixteen lanes, as a tree."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        value = args[0]
        for distance in (8, 4, 2, 1):
            other = builder.shuffle_vector(value, value, constant(np.arange(LANES) ^ distance, I32))
            value = builder.fadd(value, other, flags=FLAGS)
        return builder.extract_element(value, I32(0))

    return types.float32(x), codegen
