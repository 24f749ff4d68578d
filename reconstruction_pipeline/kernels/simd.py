"""Sixteen float32 lanes as a numba type.

`f32x16` is an LLVM `<16 x float>`, `mask16` a `<16 x i1>`, `i32x16` a `<16 x i32>`.  They exist only inside compiled
code.  LLVM maps them to one AVX-512 register, two AVX2 ones or four SSE ones, so that kernels written once with them
run well everywhere; numba's auto-vectoriser, in contrast, gives up on masked loops.

Operators: `+ - * /` and unary `-` between vectors and scalars (scalars are broadcast); `< <= > >=` give masks;
`& | ~` combine masks.  Memory is addressed as (flat C-contiguous array, element index): no bounds, no wrap-around.
"""

from __future__ import annotations

import operator
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.imputils import lower_builtin
from numba.core.typing.templates import ConcreteTemplate, infer_global, signature
from numba.extending import intrinsic, models, register_model

LANES = 16
FLAGS = ("contract", "nsz")
# With these LLVM may use the approximate reciprocal and one Newton step (about 2e-7 relative).
APPROXIMATE = ("contract", "nsz", "arcp", "ninf")

FLOAT = ir.FloatType()
I32 = ir.IntType(32)
FLOATS = ir.VectorType(FLOAT, LANES)
INTS = ir.VectorType(I32, LANES)
BITS = ir.VectorType(ir.IntType(1), LANES)


class VectorType(types.Type):
    """A numba type whose value is one LLVM vector."""


f32x16 = VectorType(name="f32x16")
i32x16 = VectorType(name="i32x16")
mask16 = VectorType(name="mask16")
_LLVM = {f32x16: FLOATS, i32x16: INTS, mask16: BITS}


@register_model(VectorType)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, dmm: Any, fe_type: VectorType) -> None:
        super().__init__(dmm, fe_type, _LLVM[fe_type])


def constant(values: Any, element: ir.Type = FLOAT) -> ir.Constant:
    """A vector literal of 16 values (or of one, repeated)."""
    row = np.broadcast_to(np.asarray(values), (LANES,)).tolist()
    return ir.Constant(ir.VectorType(element, LANES), [ir.Constant(element, v) for v in row])


def splat(builder: ir.IRBuilder, value: Any, numba_type: types.Type, kind: VectorType = f32x16) -> Any:
    """LLVM value of `value` as a vector of `kind`, broadcasting Python or numba scalars."""
    if numba_type is kind:
        return value
    element = _LLVM[kind].element
    if isinstance(numba_type, types.Float) and element == FLOAT:
        scalar = value if value.type == FLOAT else builder.fptrunc(value, FLOAT)
    elif isinstance(numba_type, types.Integer) and element == FLOAT:
        scalar = builder.sitofp(value, FLOAT)
    elif isinstance(numba_type, types.Integer) and element == I32:
        scalar = builder.trunc(value, I32) if value.type.width > 32 else value
    else:
        raise TypeError(f"cannot broadcast {numba_type} to {kind}")
    first = builder.insert_element(ir.Constant(_LLVM[kind], ir.Undefined), scalar, I32(0))
    return builder.shuffle_vector(first, ir.Constant(_LLVM[kind], ir.Undefined), constant(0, I32))


_SCALARS = (types.float32, types.float64, types.int64)


def _register_binary(symbols: tuple[Any, ...], emit: Any, result: VectorType) -> None:
    cases = [signature(result, f32x16, f32x16)]
    cases += [signature(result, f32x16, s) for s in _SCALARS] + [signature(result, s, f32x16) for s in _SCALARS]
    _register(symbols, cases, lambda b, a: emit(b, *a))


def _register(symbols: tuple[Any, ...], signatures: list[Any], emit: Any) -> None:
    """Type and lower each operator symbol for the given signatures; `emit(builder, operands)`."""
    template = type("VectorOperator", (ConcreteTemplate,), {"cases": signatures})
    for symbol in symbols:
        infer_global(symbol)(template)
        for case in signatures:
            kind = mask16 if mask16 in case.args else f32x16

            def lower(context: Any, builder: Any, sig: Any, args: Any, kind: Any = kind) -> Any:
                return emit(builder, [splat(builder, v, t, kind) for v, t in zip(args, sig.args, strict=True)])

            lower_builtin(symbol, *case.args)(lower)


_register_binary((operator.add, operator.iadd), lambda b, x, y: b.fadd(x, y, flags=FLAGS), f32x16)
_register_binary((operator.sub, operator.isub), lambda b, x, y: b.fsub(x, y, flags=FLAGS), f32x16)
_register_binary((operator.mul, operator.imul), lambda b, x, y: b.fmul(x, y, flags=FLAGS), f32x16)
_register_binary((operator.truediv, operator.itruediv), lambda b, x, y: b.fdiv(x, y, flags=FLAGS), f32x16)
for _symbol, _name in ((operator.lt, "<"), (operator.le, "<="), (operator.gt, ">"), (operator.ge, ">=")):
    _register_binary((_symbol,), lambda b, x, y, name=_name: b.fcmp_ordered(name, x, y), mask16)
_register((operator.neg,), [signature(f32x16, f32x16)], lambda b, a: b.fneg(a[0]))
_MASKS = [signature(mask16, mask16, mask16)]
_register((operator.and_, operator.iand), _MASKS, lambda b, a: b.and_(a[0], a[1]))
_register((operator.or_, operator.ior), _MASKS, lambda b, a: b.or_(a[0], a[1]))
_register((operator.invert,), [signature(mask16, mask16)], lambda b, a: b.not_(a[0]))


def element_pointer(context: Any, builder: Any, array_type: Any, array: Any, index: Any, to: Any) -> Any:
    """Typed LLVM pointer to element `index` of a numba array value."""
    data = context.make_array(array_type)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), to.as_pointer())


def _is_float_array(array: Any) -> bool:
    return isinstance(array, types.Array) and array.dtype == types.float32


def _is_int_array(array: Any) -> bool:
    return isinstance(array, types.Array) and array.dtype in (types.int32, types.uint32)


@intrinsic
def load(typingctx: Any, array: Any, index: Any) -> Any:
    """Sixteen consecutive floats from `array[index:]` (any alignment)."""
    if not _is_float_array(array):
        return None

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        value = builder.load(element_pointer(context, builder, sig.args[0], args[0], args[1], FLOATS))
        value.align = 4
        return value

    return f32x16(array, types.intp), codegen


@intrinsic
def store(typingctx: Any, array: Any, index: Any, vector: Any) -> Any:
    """Sixteen consecutive floats to `array[index:]`; numbers are broadcast."""
    if not _is_float_array(array):
        return None

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        value = splat(builder, args[2], sig.args[2])
        builder.store(value, element_pointer(context, builder, sig.args[0], args[0], args[1], FLOATS)).align = 4
        return context.get_dummy_value()

    return types.none(array, types.intp, vector), codegen


@intrinsic
def store_ints(typingctx: Any, array: Any, index: Any, vector: Any) -> Any:
    """Sixteen consecutive 32-bit integers to `array[index:]`."""
    if not _is_int_array(array) or vector is not i32x16:
        return None

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        builder.store(args[2], element_pointer(context, builder, sig.args[0], args[0], args[1], INTS)).align = 4
        return context.get_dummy_value()

    return types.none(array, types.intp, vector), codegen


@intrinsic
def get(typingctx: Any, array: Any, index: Any) -> Any:
    """`array[index]` without numba's negative-index handling, which costs a branch in hot loops."""
    if not isinstance(array, types.Array):
        return None

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        data = context.make_array(sig.args[0])(context, builder, args[0]).data
        return context.unpack_value(builder, sig.args[0].dtype, builder.gep(data, [args[1]]))

    return array.dtype(array, types.intp), codegen


@intrinsic
def put(typingctx: Any, array: Any, index: Any, value: Any) -> Any:
    """`array[index] = value` without numba's negative-index handling."""
    if not isinstance(array, types.Array):
        return None

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        data = context.make_array(sig.args[0])(context, builder, args[0]).data
        context.pack_value(builder, sig.args[0].dtype, args[2], builder.gep(data, [args[1]]))
        return context.get_dummy_value()

    return types.none(array, types.intp, array.dtype), codegen


@intrinsic
def full(typingctx: Any, value: Any) -> Any:
    """A vector with all lanes equal to the number `value`."""
    return f32x16(value), lambda context, builder, sig, args: splat(builder, args[0], sig.args[0])


@intrinsic
def full_ints(typingctx: Any, value: Any) -> Any:
    """An integer vector with all lanes equal to `value`."""
    return i32x16(value), lambda context, builder, sig, args: splat(builder, args[0], sig.args[0], i32x16)


@intrinsic
def column_lanes(typingctx: Any) -> Any:
    """0 1 2 3 0 1 2 3 …: x of each lane in a 4x4 block."""
    return f32x16(), lambda context, builder, sig, args: constant(np.arange(LANES) % 4 * 1.0)


@intrinsic
def row_lanes(typingctx: Any) -> Any:
    """0 0 0 0 1 1 1 1 …: y of each lane in a 4x4 block."""
    return f32x16(), lambda context, builder, sig, args: constant(np.arange(LANES) // 4 * 1.0)


@intrinsic
def select(typingctx: Any, mask: Any, yes: Any, no: Any) -> Any:
    """Per lane: `yes` where `mask`, else `no` (vectors or numbers)."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        kind = i32x16 if i32x16 in sig.args else f32x16
        return builder.select(args[0], *(splat(builder, args[k], sig.args[k], kind) for k in (1, 2)))

    return (i32x16 if i32x16 in (yes, no) else f32x16)(mask, yes, no), codegen


def _extremum(name: str) -> Any:
    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        x, y = (splat(builder, v, t) for v, t in zip(args, sig.args, strict=True))
        return builder.select(builder.fcmp_ordered(name, x, y), x, y)

    return codegen


@intrinsic
def minimum(typingctx: Any, x: Any, y: Any) -> Any:
    """Lane-wise minimum; y where x is NaN."""
    return f32x16(x, y), _extremum("<")


@intrinsic
def maximum(typingctx: Any, x: Any, y: Any) -> Any:
    """Lane-wise maximum; y where x is NaN."""
    return f32x16(x, y), _extremum(">")


@intrinsic
def mask_bits(typingctx: Any, mask: Any) -> Any:
    """The mask as an integer, lane k in bit k."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.zext(builder.bitcast(args[0], ir.IntType(LANES)), ir.IntType(64))

    return types.int64(mask), codegen


@intrinsic
def mask_of_bits(typingctx: Any, bits: Any) -> Any:
    """The inverse of `mask_bits`."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.bitcast(builder.trunc(args[0], ir.IntType(LANES)), BITS)

    return mask16(types.int64), codegen


@intrinsic
def or_where(typingctx: Any, mask: Any, words: Any, bit: Any) -> Any:
    """Integer lanes `words | bit` where `mask`, else `words`."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.select(args[0], builder.or_(args[1], splat(builder, args[2], sig.args[2], i32x16)), args[1])

    return i32x16(mask, words, types.int64), codegen


@intrinsic
def any_lane(typingctx: Any, mask: Any) -> Any:
    """True if the mask has a lane set."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return cgutils.is_not_null(builder, builder.bitcast(args[0], ir.IntType(LANES)))

    return types.boolean(mask), codegen


@intrinsic
def trailing_zeros(typingctx: Any, word: Any) -> Any:
    """Index of the lowest set bit of a non-zero integer."""

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        return builder.cttz(args[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.int64), codegen


@intrinsic
def fetch_and_add(typingctx: Any, array: Any, index: Any, value: Any) -> Any:
    """Atomically add to an int64 array's element and return what it was: a shared work counter."""
    if not (isinstance(array, types.Array) and array.dtype == types.int64):
        return None

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        pointer = element_pointer(context, builder, sig.args[0], args[0], args[1], ir.IntType(64))
        return builder.atomic_rmw("add", pointer, args[2], "monotonic")

    return types.int64(array, types.intp, types.int64), codegen


def _prefetch(write: int) -> Any:
    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        byte = ir.IntType(8).as_pointer()
        kind = ir.FunctionType(ir.VoidType(), [byte, I32, I32, I32])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0")
        pointer = element_pointer(context, builder, sig.args[0], args[0], args[1], ir.IntType(8))
        builder.call(function, [pointer, I32(write), I32(3), I32(1)])
        return context.get_dummy_value()

    return codegen


@intrinsic
def prefetch(typingctx: Any, array: Any, index: Any) -> Any:
    """Ask for the cache line of `array[index]`, to be read soon; any index is safe."""
    return types.none(array, types.intp), _prefetch(0)


@intrinsic
def prefetch_for_write(typingctx: Any, array: Any, index: Any) -> Any:
    """Ask for the cache line of `array[index]`, to be written soon; any index is safe."""
    return types.none(array, types.intp), _prefetch(1)
