"""Types of the compiled core, which the files ``bind_*.cpp`` make; ``module.cpp`` lists them.

Float arrays of one call have one dtype, float32 or float64, and are contiguous, as are all others;
``lengths`` are int64. A TypeError says which argument is otherwise. What is None stands for zeros,
or for a piece that is not there. Shapes follow the legend of ``engine/shapes.py``; P is the size of
a projected state, and H without a projection.
"""

from collections.abc import Callable
from typing import Any, final

from lstm_baseline.engine.shapes import FloatArray, IntArray, NDArray

@final
class LSTMInputGradient:
    """Gradients of the pre-activations of an LSTM, a variant or a GRU, kept for that of x."""

    def d_x(self, W: FloatArray) -> FloatArray:
        """Return the gradient of x, (B, T, I), from W (G, I)."""

    def by_token(self, tokens: IntArray, num_tokens: int) -> FloatArray:
        """Return the sums of the gradients of W x + b over each token's places, (V, G)."""

@final
class LSTMCache:
    """What backward needs of an LSTM's forward pass."""

    def backward(
        self, U: FloatArray, d_y: FloatArray | None, d_h: FloatArray | None, d_c: FloatArray | None
    ) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray, LSTMInputGradient]:
        """Return d_W, d_U, d_b, the gradients of the first h and c, and what gives that of x."""

    def stored(self, which: int) -> FloatArray:
        """Return f, i, c̃, o or tanh c (0 to 4) at every step, (B, T, H)."""

@final
class LSTMVariantCache:
    """What backward needs of a variant's forward pass."""

    def backward(
        self,
        params: list[FloatArray | None],
        d_y: FloatArray | None,
        d_h: FloatArray | None,
        d_c: FloatArray | None,
    ) -> tuple[list[FloatArray | None], FloatArray, FloatArray, LSTMInputGradient]:
        """Return gradients of the parameters and the first h and c, and what gives that of x."""

    def stored(self, which: int, params: list[FloatArray | None]) -> FloatArray:
        """Return a gate at every step, (B, T, H), counted as the cell has them; η comes last."""

@final
class GRUCache:
    """What backward needs of a GRU's forward pass."""

    def backward(
        self, U: FloatArray, d_y: FloatArray | None, d_h: FloatArray | None
    ) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray, FloatArray, LSTMInputGradient]:
        """Return d_W, d_U, d_b, d_b_u, the gradient of the first h, and what gives that of x."""

    def stored(self, which: int) -> FloatArray:
        """Return r, z, n or q (0 to 3) at every step, (B, T, H)."""

@final
class RelationalInputGradient:
    """The gradient of e, kept for that of x."""

    def d_x(self, W_in: FloatArray) -> FloatArray:
        """Return the gradient of x, (B, T, I), from W_in (F, I)."""

@final
class RelationalCache:
    """What backward needs of a relational memory's forward pass."""

    def backward(
        self, params: list[FloatArray], d_y: FloatArray | None, d_memory: FloatArray | None
    ) -> tuple[list[FloatArray], FloatArray, RelationalInputGradient]:
        """Return the parameters' gradients, that of the first memory, and what gives that of x."""

    def gates(self) -> tuple[FloatArray, FloatArray]:
        """Return i and f at every step, (B, T, S, F or 1)."""

@final
class FrozenLSTM:
    """A plain LSTM whose weights are packed once."""

    def step(self, x_t: Any, state: Any = None) -> tuple[FloatArray, Any]:
        """Return y_t (B, O or H) and the state after the step; what does not fit is converted."""

    def forward(
        self,
        x: FloatArray,
        return_sequences: bool,
        return_state: bool,
        state: tuple[FloatArray, FloatArray] | None,
        lengths: IntArray | None,
    ) -> FloatArray | tuple[FloatArray, FloatArray, FloatArray]:
        """Return the outputs and, with ``return_state``, the last h and c."""

def lstm_forward(
    x: FloatArray,
    h: FloatArray | None,
    c: FloatArray | None,
    W: FloatArray,
    U: FloatArray,
    b: FloatArray,
    tokens: IntArray | None,
    table: FloatArray | None,
    lengths: IntArray | None,
    keep: bool,
) -> tuple[FloatArray, FloatArray, FloatArray, LSTMCache | None]:
    """Return y (B, T, H), the last h and c, (B, H) each, and with ``keep`` the cache."""

def sum_by_token(rows: FloatArray, tokens: IntArray, num_tokens: int) -> FloatArray:
    """Return the sums of the rows (N, O) of each token, (V, O), in the order of the rows."""

ACTIVATIONS: tuple[str, ...]
"""Activations of gates in the order of their numbers."""

LSTM_VARIANT_PARAMS: tuple[str, ...]
"""Parameters of the LSTM's variants in the order in which the core takes them."""

def lstm_variant_forward(
    x: FloatArray,
    h: FloatArray | None,
    c: FloatArray | None,
    params: list[FloatArray | None],
    coupled: bool,
    clip: float | None,
    activations: list[tuple[int, float, float]],
    keeps_z: bool,
    recurrent: FloatArray | None,
    zoneout_h: NDArray | float | None,
    zoneout_c: NDArray | float | None,
    tokens: IntArray | None,
    table: FloatArray | None,
    lengths: IntArray | None,
    keep: bool,
) -> tuple[FloatArray, FloatArray, FloatArray, LSTMVariantCache | None]:
    """Return y (B, T, P), the last h (B, P) and c (B, H), and with ``keep`` the cache.

    An activation is its number, α and β. Zoneout is a rate, or what was drawn: bool, (B, T, P) of h
    and (B, T, H) of c.
    """

def gru_forward(
    x: FloatArray,
    h: FloatArray | None,
    W: FloatArray,
    U: FloatArray,
    b: FloatArray,
    b_u: FloatArray,
    tokens: IntArray | None,
    table: FloatArray | None,
    lengths: IntArray | None,
    keep: bool,
) -> tuple[FloatArray, FloatArray, GRUCache | None]:
    """Return y (B, T, H), the last h (B, H), and with ``keep`` the cache."""

def relational_forward(
    x: FloatArray,
    memory: FloatArray,
    params: list[FloatArray],
    num_slots: int,
    num_heads: int,
    head_size: int,
    key_size: int,
    num_blocks: int,
    mlp_layers: int,
    unit_gates: bool,
    forget_bias: float,
    input_bias: float,
    lengths: IntArray | None,
    keep: bool,
) -> tuple[FloatArray, FloatArray, RelationalCache | None]:
    """Return y (B, T, S·F), the last memory (B, S, F), and with ``keep`` the cache."""

def freeze_lstm(
    W: FloatArray,
    U: FloatArray,
    b: FloatArray,
    W_out: FloatArray | None,
    b_out: FloatArray | None,
    state_type: type[tuple[FloatArray, FloatArray]],
    convert: Callable[[Any, Any], tuple[FloatArray, Any]],
) -> FrozenLSTM:
    """Return an LSTM that no longer learns.

    ``state_type`` is the named tuple of its states; ``convert`` brings a step's arguments that do
    not fit into a form that does, or raises.
    """

def cross_entropy(logits: FloatArray, targets: IntArray, /) -> tuple[float, FloatArray] | None:
    """Return the sum of all rows' losses and their mean's gradient; None if these do not fit."""

def sum_of_squares(arrays: list[Any], /) -> float | None:
    """Return Σ g² over all arrays; None if one is not as the kernels read it."""

def adam_update(
    g: list[Any],
    m: list[Any],
    v: list[Any],
    p: list[Any],
    kept: list[float],
    beta_1: float,
    beta_2: float,
    rate: float,
    epsilon: float,
    /,
) -> bool:
    """Update m, v and p in place; return False and change nothing if an array does not fit.

    ``kept`` has for each parameter what it is multiplied by before the step: 1 without decay.
    """

def rmsprop_update(
    g: list[Any],
    v: list[Any],
    p: list[Any],
    alpha: float,
    rate: float,
    epsilon: float,
    /,
) -> bool:
    """Update v and p in place; return False and change nothing if an array does not fit."""

def instruction_sets() -> list[str]:
    """Instruction sets that run here, fastest first."""

def instruction_set() -> str:
    """Return the instruction set in use."""

def use_instruction_set(name: str, /) -> bool:
    """Use an instruction set; False if this machine does not run it."""

def calls(name: str, /) -> int:
    """Return how many forward passes an instruction set has run."""

def get_num_threads() -> int:
    """Return how many threads a call takes at most."""

def set_num_threads(number: int, /) -> None:
    """Set how many threads a call takes at most."""
