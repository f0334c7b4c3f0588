"""The relational RNN over whole sequences, with an optional readout."""

from dataclasses import asdict
from typing import Any, ClassVar, Literal, final

import numpy as np
import numpy.typing as npt

from lstm_baseline.engine.cells.relational import RelationalEquations
from lstm_baseline.engine.errors import InputError
from lstm_baseline.engine.initializers import lecun_initializer
from lstm_baseline.engine.inputs import RandomSource, as_generator, as_number, as_size
from lstm_baseline.engine.models.base import RecurrentModel, Shapes, readout_shapes
from lstm_baseline.engine.shapes import FloatArray

_MOST_LAYERS = 256
"""Of blocks and of MLP layers: each has arrays of its own, so a file must not ask for millions."""


@final
class RelationalRNN(RecurrentModel):
    """Relational memory core over (B, T, I).

    Equations R1 to R9 stand in ``cells/relational.py``. Weights start as in the authors' code:
    normal with deviation 1/√fan_in, cut at two deviations; biases 0, layer-norm gains 1.

    Parameters
    ----------
    input_size
        I.
    output_size
        O of a linear readout of the flattened memory; no readout when None.
    num_slots
        S, rows of the memory.
    num_heads, head_size
        H and V; a slot is F = H·V wide.
    key_size
        K; V when None.
    num_blocks
        Attention blocks a step.
    mlp_layers
        Layers of the MLP that the blocks share.
    gate
        "unit": F gates a slot; "memory": one.
    forget_bias, input_bias
        Constants b_f and b_i inside the gates.
    dtype
        float32 or float64.
    rng
        Generator or seed of the initial values; fresh entropy when None.
    engine
        "auto", "native" or "reference".

    Notes
    -----
    The state is (memory,), (B, S, F); the output without a readout is (B, T, S·F). The number of
    parameters before the readout does not depend on S.
    """

    input_weights: ClassVar[tuple[str, str]] = ("W_in", "b_in")
    width_argument: ClassVar[str] = "head_size"

    def __init__(
        self,
        input_size: int,
        output_size: int | None = None,
        *,
        num_slots: int = 4,
        num_heads: int = 4,
        head_size: int = 16,
        key_size: int | None = None,
        num_blocks: int = 1,
        mlp_layers: int = 2,
        gate: Literal["unit", "memory"] = "unit",
        forget_bias: float = 1.0,
        input_bias: float = 0.0,
        dtype: npt.DTypeLike = np.float32,
        rng: RandomSource = None,
        engine: str = "auto",
    ) -> None:
        equations = _equations(
            num_slots=num_slots,
            num_heads=num_heads,
            head_size=head_size,
            key_size=head_size if key_size is None else key_size,
            num_blocks=num_blocks,
            mlp_layers=mlp_layers,
            gate=gate,
            forget_bias=forget_bias,
            input_bias=input_bias,
        )
        rng = as_generator(rng)
        cell_params = {
            name: _initial_value(name, shape, rng)
            for name, shape in _cell_shapes(equations, as_size("input_size", input_size)).items()
        }
        self.equations = equations
        super().__init__(
            equations,
            cell_params,
            input_size,
            num_slots * equations.slot_size,
            output_size,
            dtype=dtype,
            rng=rng,
            engine=engine,
        )

    @classmethod
    def shapes(cls, input_size: int, output_size: int | None, **options: Any) -> Shapes:
        """Return the shape of every parameter, without making any, for a whole ``config``."""
        equations = _equations(**options)
        width = equations.num_slots * equations.slot_size
        cell = _cell_shapes(equations, as_size("input_size", input_size))
        return cell | readout_shapes(width, output_size)

    @property
    def config(self) -> dict[str, Any]:
        """Constructor arguments that give a model of the same shape, as plain JSON values."""
        return {
            "input_size": self.input_size,
            "output_size": self.output_size,
            **asdict(self.equations),
            "dtype": self.dtype.name,
        }

    @property
    def flops_per_step(self) -> int:
        """Floating-point operations in the matrix products of one step of one row, forward."""
        cell = self.equations
        S, F, qkv = cell.num_slots, cell.slot_size, _qkv_size(cell)
        attention = cell.num_heads * (S + 1) ** 2 * (cell.key_size + cell.head_size)
        block = (S + 1) * F * qkv + attention + cell.mlp_layers * (S + 1) * F * F
        gates = (1 + S) * F * _num_gates(cell)
        readout = (self.output_size or 0) * S * F
        return 2 * (self.input_size * F + cell.num_blocks * block + gates + readout)


def _equations(
    *,
    num_slots: int,
    num_heads: int,
    head_size: int,
    key_size: int,
    num_blocks: int,
    mlp_layers: int,
    gate: Literal["unit", "memory"],
    forget_bias: float,
    input_bias: float,
) -> RelationalEquations:
    """Check the options and return the cell that they describe."""
    if gate not in ("unit", "memory"):
        raise InputError(f"gate is {gate!r}; give 'unit' or 'memory'")
    return RelationalEquations(
        num_slots=as_size("num_slots", num_slots),
        num_heads=as_size("num_heads", num_heads),
        head_size=as_size("head_size", head_size),
        key_size=as_size("key_size", key_size),
        num_blocks=as_size("num_blocks", num_blocks, at_most=_MOST_LAYERS),
        mlp_layers=as_size("mlp_layers", mlp_layers, at_most=_MOST_LAYERS),
        gate=gate,
        forget_bias=as_number("forget_bias", forget_bias),
        input_bias=as_number("input_bias", input_bias),
    )


def _qkv_size(cell: RelationalEquations) -> int:
    """Width of queries, keys and values of all heads, H(2K + V)."""
    return cell.num_heads * (2 * cell.key_size + cell.head_size)


def _num_gates(cell: RelationalEquations) -> int:
    """Input and forget gates of one slot."""
    return 2 * cell.slot_size if cell.gate == "unit" else 2


def _cell_shapes(cell: RelationalEquations, input_size: int) -> Shapes:
    F, P, G = cell.slot_size, _qkv_size(cell), _num_gates(cell)
    shapes: Shapes = {"W_in": (F, input_size), "b_in": (F,)}
    for k in range(cell.num_blocks):
        shapes |= {f"W_qkv_{k}": (P, F), f"b_qkv_{k}": (P,)}
        for norm, width in (("qkv", P), ("attention", F), ("mlp", F)):
            shapes |= {f"gain_{norm}_{k}": (width,), f"bias_{norm}_{k}": (width,)}
    for j in range(cell.mlp_layers):
        shapes |= {f"W_mlp_{j}": (F, F), f"b_mlp_{j}": (F,)}
    return shapes | {"W_g": (G, F), "b_g": (G,), "U_g": (G, F), "b_u": (G,)}


def _initial_value(name: str, shape: tuple[int, ...], rng: np.random.Generator) -> FloatArray:
    if len(shape) == 2:
        return lecun_initializer(shape, rng=rng, dtype=np.float64)
    return np.full(shape, float(name.startswith("gain_")))
