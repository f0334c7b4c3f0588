"""Tokens in front of the first layer: a table with a row for each, and its derivative.

    E1   x_t = E[k_t]                    E (V, D), k_t the token of step t
    E2   d_E[k] = Σ d_x_t over all t with k_t = k

Without a table of its own a model takes a token as a one-hot row: W x is then a column of W, which
``cells/blocks.py`` takes without making the row.
"""

from typing import Any, NamedTuple

import numpy as np

from lstm_baseline.engine.cells.blocks import sum_by_token
from lstm_baseline.engine.core import training_core
from lstm_baseline.engine.errors import InputError
from lstm_baseline.engine.inputs import as_size
from lstm_baseline.engine.shapes import FloatArray, IntArray, Params

TABLE = "embedding"
"""Name of the table among a model's parameters."""


class Tokens(NamedTuple):
    """How a model takes tokens."""

    embedding_size: int | None = None
    """D; None for one-hot rows."""
    tied: bool = False
    """Whether the readout's weights are the table: y = E h + b_out.

    Source: Press and Wolf 2017 (arXiv 1608.05859); Inan, Khosravi and Socher 2017 (arXiv
    1611.01462).
    """

    @classmethod
    def checked(cls, **given: Any) -> "Tokens":
        """Return what a user's arguments describe.

        Raises
        ------
        InputError
            If a value is not valid, or weights are to be tied without a table.
        """
        taken = cls(**given)
        if taken.embedding_size is None:
            if taken.tied:
                raise InputError(
                    "tied is True, and there is no embedding to share; give embedding_size"
                )
            return cls()
        return cls(as_size("embedding_size", taken.embedding_size), bool(taken.tied))

    def check(self, num_tokens: int, width: int, output_size: int | None) -> None:
        """Refuse tied weights of different shapes.

        Raises
        ------
        InputError
            If the readout's weights (O, width) are not of the table's shape (V, D).
        """
        shape, table = (output_size, width), (num_tokens, self.embedding_size)
        if self.tied and shape != table:
            raise InputError(
                f"tied shares the embedding {table} with the readout, whose weights are {shape}; "
                "give output_size = input_size, and embedding_size = the outputs of the last layer"
            )


PLAIN = Tokens()


def initial_table(num_tokens: int, tokens: Tokens, rng: np.random.Generator) -> FloatArray:
    """Draw the table: normal, with variance 1, or 1/D where it is the readout's weights too.

    So inputs have the variance that Xavier-uniform input weights assume, as PyTorch's do, and
    logits start near 0.
    """
    assert tokens.embedding_size is not None
    size = tokens.embedding_size
    table = rng.standard_normal((num_tokens, size))
    return table / np.sqrt(size) if tokens.tied else table


def look_up(params: Params, tokens: IntArray) -> FloatArray:
    """Return E1, (B, T, D)."""
    rows: FloatArray = params[TABLE].take(tokens, axis=0)
    return rows


def look_up_backward(d_x: FloatArray, tokens: IntArray, num_tokens: int) -> FloatArray:
    """Return E2, (V, D)."""
    rows, core = d_x.reshape(-1, d_x.shape[-1]), training_core()
    scatter = sum_by_token if core is None else core.sum_by_token  # the same sums, faster
    d_table: FloatArray = scatter(np.ascontiguousarray(rows), tokens, num_tokens)
    return d_table
