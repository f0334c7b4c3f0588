"""The relational memory core: attention between memory slots at every step.

M' is the memory of the step before, (S, F): S slots of F = H·V features, for H heads of value
size V and key size K. e is the input, mapped to the width of a slot.

    R1   e = W_in x + b_in
    R2   X = [M'; e]                                            S + 1 rows
    for every block
      R3   Q, K, V = LN(W_qkv X + b_qkv)                        one layer norm over H(2K + V)
      R4   A = softmax(Q Kᵀ / √K)                               for every head
      R5   X ← LN(X + A V)                                      heads side by side, not projected
      R6   X ← LN(X + MLP(X))                                   ReLU between layers, the last linear
    R7   M̃ = X without its last row
    R8   [i, f] = W_g e + b_g + U_g tanh(M') + b_u
    R9   M = σ(i + b_i) ⊙ tanh(M̃) + σ(f + b_f) ⊙ M'

The blocks have their own attention and layer norms and share one MLP. Gates are F wide ("unit")
or one number a slot ("memory"). b_i and b_f are constants. The output is M, flattened; M₀ is the
identity, padded or cut to S × F.

Source: Santoro et al. 2018 (arXiv 1806.01822), equations 1 to 9, with the details of its authors'
published code: the layer norm in R3, no projection after R5, no output gate after R9.
"""

import math
from dataclasses import asdict, dataclass
from typing import Any, ClassVar, Literal, NamedTuple, final

import numpy as np
from array_api_compat import array_namespace, device
from jaxtyping import Float

from lstm_baseline.engine.activations import (
    d_relu,
    d_sigmoid,
    d_tanh,
    relu,
    sigmoid,
    softmax,
    softmax_backward,
    tanh,
)
from lstm_baseline.engine.cells.blocks import (
    LayerNormCache,
    affine,
    affine_backward,
    layer_norm,
    layer_norm_backward,
)
from lstm_baseline.engine.cells.cell import Cell
from lstm_baseline.engine.initializers import lecun_initializer
from lstm_baseline.engine.shapes import Array, Params, Sequences, Shapes, join_gates, split_gates


class RelationalState(NamedTuple):
    """The memory."""

    memory: Float[Array, "B S F"]


class BlockCache(NamedTuple):
    """Record of one attention block for its derivative."""

    X: Array
    """(B, S+1, F) the block's input."""
    qkv_norm: LayerNormCache
    Q: Array
    """(B, H, S+1, K)."""
    K: Array
    """(B, H, S+1, K)."""
    V: Array
    """(B, H, S+1, V)."""
    A: Array
    """(B, H, S+1, S+1) attention: row n says where row n looks."""
    attention_norm: LayerNormCache
    mlp: list[Array]
    """(B, S+1, F) the input of each MLP layer."""
    mlp_norm: LayerNormCache


class RelationalStep(NamedTuple):
    """Record of one step for its derivative."""

    M_prev: Array
    tanh_M_prev: Array
    blocks: list[BlockCache]
    i: Array
    """(B, S, F or 1) input gate σ(i + b_i)."""
    f: Array
    """(B, S, F or 1) forget gate σ(f + b_f)."""
    tanh_M_tilde: Array


@final
@dataclass(frozen=True)
class RelationalEquations(Cell[RelationalState, RelationalStep]):
    """The relational memory cell.

    Parameters: W_in (F, I), b_in (F); for block k W_qkv_k (H(2K+V), F), b_qkv_k, and gain_ and
    bias_ of qkv_k, attention_k, mlp_k; for MLP layer j W_mlp_j (F, F), b_mlp_j (F); W_g (2F, F),
    b_g (2F), U_g (2F, F), b_u (2F). Memory gates have 2 in place of 2F.
    """

    state_type: ClassVar[type[Any]] = RelationalState
    gate_fields: ClassVar[dict[str, str]] = {"forget gate": "f", "input gate": "i"}
    gates = ()
    input_weights = ("W_in", "b_in")
    recurrent_weights: ClassVar[tuple[str, ...]] = ("U_g",)

    num_slots: int
    num_heads: int
    head_size: int
    key_size: int
    num_blocks: int
    mlp_layers: int
    gate: Literal["unit", "memory"]
    forget_bias: float
    input_bias: float

    @property
    def slot_size(self) -> int:
        """Width of a memory slot, F = H·V."""
        return self.num_heads * self.head_size

    @property
    def qkv_size(self) -> int:
        """Width of queries, keys and values of all heads, H(2K + V)."""
        return self.num_heads * (2 * self.key_size + self.head_size)

    @property
    def num_gates(self) -> int:
        """Input and forget gates of one slot."""
        return 2 * self.slot_size if self.gate == "unit" else 2

    @property
    def output_size(self) -> int:
        """S·F, the memory flattened."""
        return self.num_slots * self.slot_size

    @property
    def config(self) -> dict[str, Any]:
        """All sizes and constants, as ``RelationalRNN`` takes them."""
        return asdict(self)

    def shapes(self, input_size: int) -> Shapes:
        """Return the shape of every parameter."""
        F, P, G = self.slot_size, self.qkv_size, self.num_gates
        shapes: Shapes = {"W_in": (F, input_size), "b_in": (F,)}
        for k in range(self.num_blocks):
            shapes |= {f"W_qkv_{k}": (P, F), f"b_qkv_{k}": (P,)}
            for norm, width in (("qkv", P), ("attention", F), ("mlp", F)):
                shapes |= {f"gain_{norm}_{k}": (width,), f"bias_{norm}_{k}": (width,)}
        for j in range(self.mlp_layers):
            shapes |= {f"W_mlp_{j}": (F, F), f"b_mlp_{j}": (F,)}
        return shapes | {"W_g": (G, F), "b_g": (G,), "U_g": (G, F), "b_u": (G,)}

    def initial_params(self, input_size: int, rng: np.random.Generator) -> Params:
        """Draw weights as the authors' code does; biases start at 0, layer-norm gains at 1."""
        return {
            name: lecun_initializer(shape, rng=rng, dtype=np.float64)
            if len(shape) == 2
            else np.full(shape, float(name.startswith("gain_")))
            for name, shape in self.shapes(input_size).items()
        }

    def flops_per_step(self, input_size: int) -> int:
        """Return the operations of R1, R3 to R6 and R8."""
        S, F = self.num_slots, self.slot_size
        attention = self.num_heads * (S + 1) ** 2 * (self.key_size + self.head_size)
        block = (S + 1) * F * self.qkv_size + attention + self.mlp_layers * (S + 1) * F * F
        gates = (1 + S) * F * self.num_gates
        return 2 * (input_size * F + self.num_blocks * block + gates)

    def input_part(self, params: Params, x: Sequences) -> Float[Array, "B T G"]:
        """Return R1 and the input's part of R8, side by side."""
        # R1
        e = affine(x, params["W_in"], params["b_in"])
        # R8, input part
        return join_gates([e, affine(e, params["W_g"], params["b_g"])])

    def step(
        self, params: Params, u_t: Float[Array, "B G"], state: RelationalState
    ) -> tuple[RelationalState, RelationalStep]:
        """Apply R2 to R9."""
        (M_prev,) = state
        xp = array_namespace(M_prev)
        e, gates_of_e = u_t[:, : self.slot_size], u_t[:, self.slot_size :]
        # R2
        X = xp.concat([M_prev, e[:, None, :]], axis=1)
        # R3 to R6
        blocks = []
        for k in range(self.num_blocks):
            X, block = self._block(params, k, X)
            blocks.append(block)
        # R7
        M_tilde = X[:, :-1, :]
        # R8
        tanh_M_prev = tanh(M_prev)
        gates_of_M = affine(tanh_M_prev, params["U_g"], params["b_u"])
        z_i, z_f = split_gates(gates_of_e[:, None, :] + gates_of_M, 2)
        # R9
        i = sigmoid(z_i + self.input_bias)
        f = sigmoid(z_f + self.forget_bias)
        tanh_M_tilde = tanh(M_tilde)
        M = i * tanh_M_tilde + f * M_prev
        return RelationalState(M), RelationalStep(M_prev, tanh_M_prev, blocks, i, f, tanh_M_tilde)

    def step_backward(
        self, params: Params, d_state: RelationalState, cache: RelationalStep, d_params: Params
    ) -> tuple[Float[Array, "B G"], RelationalState]:
        """Differentiate R9 to R2, in this order."""
        M_prev, tanh_M_prev, blocks, i, f, tanh_M_tilde = cache
        (d_M,) = d_state
        xp = array_namespace(d_M)
        # R9  M = σ(i + b_i) ⊙ tanh(M̃) + σ(f + b_f) ⊙ M'
        d_i = self._sum_to_gate(d_M * tanh_M_tilde)
        d_f = self._sum_to_gate(d_M * M_prev)
        d_M_tilde = d_M * i * d_tanh(tanh_M_tilde)
        d_M_prev = d_M * f
        # R8  [i, f] = W_g e + b_g + U_g tanh(M') + b_u
        d_gates = join_gates([d_i * d_sigmoid(i), d_f * d_sigmoid(f)])
        d_gates_of_e = xp.sum(d_gates, axis=1)
        d_tanh_M_prev = affine_backward(d_gates, tanh_M_prev, params, d_params, "U_g", "b_u")
        d_M_prev = d_M_prev + d_tanh_M_prev * d_tanh(tanh_M_prev)
        # R7  M̃ = X without its last row
        d_X = xp.concat([d_M_tilde, xp.zeros_like(d_M_tilde[:, :1, :])], axis=1)
        # R6 to R3
        for k in range(self.num_blocks - 1, -1, -1):
            d_X = self._block_backward(params, k, d_X, blocks[k], d_params)
        # R2  X = [M'; e]
        d_M_prev = d_M_prev + d_X[:, :-1, :]
        d_e = d_X[:, -1, :]
        return join_gates([d_e, d_gates_of_e]), RelationalState(d_M_prev)

    def input_part_backward(
        self,
        params: Params,
        d_u: Float[Array, "B T G"],
        x: Sequences,
        d_params: Params,
    ) -> Float[Array, "B T I"] | None:
        """Differentiate the input's part of R8, then R1, over all steps in one product."""
        d_e, d_gates_of_e = d_u[..., : self.slot_size], d_u[..., self.slot_size :]
        # R8, input part
        e = affine(x, params["W_in"], params["b_in"])
        d_e = d_e + affine_backward(d_gates_of_e, e, params, d_params, "W_g", "b_g")
        # R1  e = W_in x + b_in
        return affine_backward(d_e, x, params, d_params, "W_in", "b_in")

    def initial_state(self, params: Params, num_rows: int) -> RelationalState:
        """Return M₀, the identity of S rows, padded or cut to width F."""
        W = params["W_in"]
        xp = array_namespace(W)
        identity = xp.eye(self.num_slots, self.slot_size, dtype=W.dtype, device=device(W))
        return RelationalState(xp.tile(identity[None, :, :], (num_rows, 1, 1)))

    def attention(
        self, params: Params, x: Float[Array, "B 1 I"], state: RelationalState
    ) -> Float[Array, "B K H N N"]:
        """Return A of R4 for one step x and the state before it, of every block and head.

        There are N = S + 1 rows: the slots, then the input. Row n of A says where row n looks.
        """
        _, step = self.step(params, self.input_part(params, x)[:, 0, :], state)
        return array_namespace(x).stack([block.A for block in step.blocks], axis=1)

    def _block(
        self, params: Params, k: int, X: Float[Array, "B N F"]
    ) -> tuple[Float[Array, "B N F"], BlockCache]:
        """Apply R3 to R6."""
        # R3
        qkv, qkv_norm = layer_norm(
            affine(X, params[f"W_qkv_{k}"], params[f"b_qkv_{k}"]),
            params[f"gain_qkv_{k}"],
            params[f"bias_qkv_{k}"],
        )
        Q, K, V = self._split_qkv(qkv)
        # R4
        A = softmax(Q @ K.mT / math.sqrt(self.key_size))
        # R5
        X_1, attention_norm = layer_norm(
            X + _merge_heads(A @ V), params[f"gain_attention_{k}"], params[f"bias_attention_{k}"]
        )
        # R6
        mlp = [X_1]
        for j in range(self.mlp_layers):
            z = affine(mlp[j], params[f"W_mlp_{j}"], params[f"b_mlp_{j}"])
            mlp.append(z if j == self.mlp_layers - 1 else relu(z))
        X_2, mlp_norm = layer_norm(
            X_1 + mlp.pop(), params[f"gain_mlp_{k}"], params[f"bias_mlp_{k}"]
        )
        return X_2, BlockCache(X, qkv_norm, Q, K, V, A, attention_norm, mlp, mlp_norm)

    def _block_backward(
        self,
        params: Params,
        k: int,
        d_X_2: Float[Array, "B N F"],
        cache: BlockCache,
        d_params: Params,
    ) -> Float[Array, "B N F"]:
        """Differentiate R6 to R3, in this order."""
        X, qkv_norm, Q, K, V, A, attention_norm, mlp, mlp_norm = cache
        # R6  X ← LN(X + MLP(X))
        d_sum = layer_norm_backward(
            d_X_2, mlp_norm, params, d_params, f"gain_mlp_{k}", f"bias_mlp_{k}"
        )
        d_z = d_sum
        for j in range(self.mlp_layers - 1, -1, -1):
            d_a = affine_backward(d_z, mlp[j], params, d_params, f"W_mlp_{j}", f"b_mlp_{j}")
            d_z = d_a * d_relu(mlp[j]) if j > 0 else d_a
        d_X_1 = d_sum + d_z
        # R5  X ← LN(X + A V)
        d_sum = layer_norm_backward(
            d_X_1, attention_norm, params, d_params, f"gain_attention_{k}", f"bias_attention_{k}"
        )
        d_AV = _split_heads(d_sum, self.num_heads)
        d_A = d_AV @ V.mT
        d_V = A.mT @ d_AV
        # R4  A = softmax(Q Kᵀ / √K)
        d_scores = softmax_backward(d_A, A) / math.sqrt(self.key_size)
        d_Q = d_scores @ K
        d_K = d_scores.mT @ Q
        # R3  Q, K, V = LN(W_qkv X + b_qkv)
        d_qkv = _merge_heads(join_gates([d_Q, d_K, d_V]))
        d_pre = layer_norm_backward(
            d_qkv, qkv_norm, params, d_params, f"gain_qkv_{k}", f"bias_qkv_{k}"
        )
        d_X = affine_backward(d_pre, X, params, d_params, f"W_qkv_{k}", f"b_qkv_{k}")
        return d_sum + d_X

    def _split_qkv(self, qkv: Float[Array, "B N P"]) -> tuple[Array, Array, Array]:
        """Split (B, N, H(2K+V)) into Q, K (B, H, N, K) and V (B, H, N, V)."""
        heads = _split_heads(qkv, self.num_heads)
        size = self.key_size
        return heads[..., :size], heads[..., size : 2 * size], heads[..., 2 * size :]

    def _sum_to_gate(self, d: Float[Array, "B S F"]) -> Float[Array, "B S _"]:
        """Sum over the features that share a gate: none for unit gates, the slot for memory's."""
        return d if self.gate == "unit" else array_namespace(d).sum(d, axis=-1, keepdims=True)


def _split_heads(x: Float[Array, "B N P"], num_heads: int) -> Float[Array, "B H N _"]:
    """Split rows into heads, (B, N, H·D) -> (B, H, N, D)."""
    xp = array_namespace(x)
    num_rows, n, width = x.shape
    heads = xp.reshape(x, (num_rows, n, num_heads, width // num_heads))
    return xp.permute_dims(heads, (0, 2, 1, 3))


def _merge_heads(x: Float[Array, "B H N D"]) -> Float[Array, "B N _"]:
    """Put heads side by side, (B, H, N, D) -> (B, N, H·D)."""
    xp = array_namespace(x)
    num_rows, num_heads, n, width = x.shape
    return xp.reshape(xp.permute_dims(x, (0, 2, 1, 3)), (num_rows, n, num_heads * width))
