"""The promises of every model of the contract, as a suite of tests to be subclassed.

In a test file of your own:

    from lstm_baseline.testing import ModelConformance

    class TestMyModel(ModelConformance):
        input_size = 3

        def make_model(self, seed):
            return MyModel(input_size=3, output_size=2, hidden_size=5, rng=seed, dtype="float64")

and pytest runs every check. Nothing here needs pytest: each method whose name begins with ``test_``
raises an AssertionError that says what is wrong.
"""

import inspect
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import SkipTest

import numpy as np

from lstm_baseline.contestants.checks import check_gradients_fit, check_params
from lstm_baseline.engine.errors import InputError
from lstm_baseline.engine.shapes import FloatArray, NDArray
from lstm_baseline.own_code import unchanged
from lstm_baseline.testing.gradient_check import check_gradients
from lstm_baseline.training import Trainable

_B, _T = 3, 5
_LENGTHS = np.array([5, 1, 3])


class ModelConformance(ABC):
    """Checks of a model; a subclass says how it is made.

    Asked of all models: ``params``, ``forward(x, return_sequences, lengths=)``,
    ``forward_with_cache(x, return_sequences, lengths=, rng=)``, ``backward(d_outputs, cache)``.
    Held to it where ``forward`` takes them: ``initial_state``, ``return_state``; and ``step``,
    ``backward(…, d_state)``, rows of length 0 where the model has them.
    """

    input_size: int = 3
    """I of the model that ``make_model`` makes."""
    tolerance: float = 1e-10
    """Largest difference between two ways to the same number, in float64."""
    gradient_tolerance: float = 1e-6
    """Largest error of a gradient, in parts of its array's largest."""
    rows_without_steps: bool = True
    """True if a row may have length 0."""

    @abstractmethod
    def make_model(self, seed: int) -> Trainable:
        """Return an untrained model in float64, its initial weights of the seed alone."""

    def test_params_are_arrays_by_name(self) -> None:
        """Parameters are what optimizers and checkpoints can hold."""
        with _asserting():
            check_params(self.make_model(0))

    def test_a_seed_decides_the_weights(self) -> None:
        """One seed gives the same bits, another gives others."""
        first, twin, other = (self._values(self.make_model(seed)) for seed in (0, 0, 1))
        _demand(np.array_equal(first, twin), "one seed gives different parameters")
        _demand(not np.array_equal(first, other), "two seeds give the same parameters")

    def test_shapes(self) -> None:
        """Outputs are (B, T, O) or (B, O), for one row and one step too."""
        for num_rows, num_steps in ((_B, _T), (1, _T), (_B, 1), (1, 1)):
            model, x = self._moved(), self._x(num_rows, num_steps)
            every, last = model.forward(x, True), model.forward(x, False)
            _demand(
                every.shape == (num_rows, num_steps, *last.shape[1:]) and last.ndim == 2,
                f"x {x.shape} gives {every.shape} with return_sequences and {last.shape} without",
            )
            for sequences, expected in ((True, every), (False, last)):
                outputs, _ = model.forward_with_cache(x, sequences)
                self._same(outputs, expected, "forward_with_cache without rng and forward")

    def test_the_last_output_is_the_last_of_the_sequence(self) -> None:
        """Both ways to ask agree, at each row's own end."""
        model, x = self._moved(), self._x()
        self._same(model.forward(x, False), model.forward(x, True)[:, -1], "the last outputs")
        every = model.forward(x, True, lengths=_LENGTHS)
        ends = every[np.arange(_B), _LENGTHS - 1]
        last = model.forward(x, False, lengths=_LENGTHS)
        self._same(last, ends, "the last outputs of ragged rows")

    def test_rows_do_not_depend_on_each_other(self) -> None:
        """A row alone gives what it gives among others."""
        model, x = self._moved(), self._x()
        whole = model.forward(x, True)
        for row in range(_B):
            self._same(model.forward(x[row : row + 1], True)[0], whole[row], "a row by itself")

    def test_lengths(self) -> None:
        """A row of n steps gives what its first n steps give, whatever stands behind them."""
        model, x = self._moved(), self._x()
        valid = np.arange(_T) < _LENGTHS[:, None]
        padded = np.where(valid[..., None], x, np.nan)
        every = model.forward(padded, True, lengths=_LENGTHS)
        _demand(bool(np.isfinite(every[valid]).all()), "NaN in the padding reaches the outputs")
        last = model.forward(padded, False, lengths=_LENGTHS)
        for row, length in enumerate(_LENGTHS):
            alone = model.forward(x[row : row + 1, :length], True)[0]
            self._same(every[row, :length], alone, f"a row of {length} steps and its steps alone")
            self._same(last[row], alone[-1], f"the last output of {length} steps and that alone")
        outputs, cache = model.forward_with_cache(padded, True, lengths=_LENGTHS)
        d_outputs = np.where(valid[..., None], np.ones_like(outputs), 0)
        gradients = model.backward(d_outputs, cache)
        finite = all(np.isfinite(gradient).all() for gradient in gradients.params.values())
        _demand(finite, "NaN in the padding reaches the gradients")
        if hasattr(gradients, "x"):
            _demand(not gradients.x[~valid].any(), "the gradient of x is not 0 in the padding")

    def test_rows_without_steps(self) -> None:
        """A row of length 0 leaves the others as they are."""
        if not self.rows_without_steps:
            raise SkipTest("the model has no rows without steps")
        model, x = self._moved(), self._x()
        lengths = np.array([_T, 0, _T])
        for sequences in (True, False):
            outputs = model.forward(x, sequences, lengths=lengths)
            self._same(outputs[[0, 2]], model.forward(x[[0, 2]], sequences), "rows beside length 0")
            _demand(bool(np.isfinite(outputs).all()), "a row of length 0 gives NaN or infinity")
            outputs, cache = model.forward_with_cache(x, sequences, lengths=lengths)
            gradients = model.backward(np.ones_like(outputs), cache).params
            finite = all(np.isfinite(gradient).all() for gradient in gradients.values())
            _demand(finite, "a row of length 0 gives gradients of NaN or infinity")

    def test_a_sequence_may_come_in_chunks(self) -> None:
        """The state after one chunk starts the next."""
        self._skip_unless_offered("initial_state", "return_state")
        model: Any = self._moved()
        x = self._x()
        whole, *end = model.forward(x, True, True)
        first, *state = model.forward(x[:, :2], True, True)
        second, *state = model.forward(x[:, 2:], True, True, initial_state=tuple(state))
        self._same(np.concatenate([first, second], axis=1), whole, "chunks and the whole")
        for part, expected in zip(state, end, strict=True):
            self._same(part, expected, "states after chunks and after the whole")

    def test_steps_agree_with_forward(self) -> None:
        """Streaming gives what the whole sequence gives, and leaves the state it is given."""
        model: Any = self._moved()
        if not hasattr(model, "step"):
            raise SkipTest("the model has no step")
        x: FloatArray = self._x()
        state: Any = None
        whole = model.forward(x, True)
        for t in range(_T):
            parts: dict[int, NDArray] = dict(enumerate(map(np.asarray, state or ())))
            with _asserting(), unchanged("step", x_t=x[:, t], state=parts):
                y_t, state = model.step(x[:, t], state)
            self._same(y_t, whole[:, t], f"step {t} and forward")

    def test_nothing_given_is_changed(self) -> None:
        """Neither x, lengths, gradients of outputs, states nor parameters change in a pass."""
        model: Any = self._moved()
        x, lengths = self._x(), _LENGTHS.copy()
        state: dict[int, NDArray] = {}
        options: dict[str, Any] = {"lengths": lengths}
        if self._offers("initial_state", "return_state"):
            _, *parts = model.forward(x, True, True)
            state = dict(enumerate(parts))
            options["initial_state"] = tuple(parts)
        given = {"x": x, "lengths": lengths, "params": model.params, "initial_state": state}
        with _asserting(), unchanged("forward", **given):
            model.forward(x, True, **options)
        with _asserting(), unchanged("forward_with_cache", **given):
            outputs, cache = model.forward_with_cache(x, True, **options)
        d_outputs = np.ones_like(outputs)
        with _asserting(), unchanged("backward", d_outputs=d_outputs, **given):
            gradients = model.backward(d_outputs, cache)
            getattr(gradients, "x", None)

    def test_the_same_call_gives_the_same_bits(self) -> None:
        """Nothing is drawn but from the rng, and nothing is kept from call to call."""
        model, x = self._moved(), self._x()
        passes = []
        for _ in range(2):
            evaluated = model.forward(x, True).copy()
            outputs, cache = model.forward_with_cache(x, True, rng=np.random.default_rng(3))
            outputs = outputs.copy()
            gradients = model.backward(np.ones_like(outputs), cache).params
            passes.append([evaluated, outputs, *(gradients[name].copy() for name in model.params)])
        for name, first, second in zip(
            ("forward", "forward_with_cache", *model.params), *passes, strict=True
        ):
            _demand(np.array_equal(first, second), f"{name} gives other bits the second time")

    def test_a_cache_is_its_own(self) -> None:
        """Another forward pass between does not change what backward gives."""
        model, x = self._moved(), self._x()
        outputs, cache = model.forward_with_cache(x, True)
        expected = {n: g.copy() for n, g in model.backward(outputs, cache).params.items()}
        outputs, cache = model.forward_with_cache(x, True)
        outputs = outputs.copy()
        model.forward_with_cache(2 * x, True)
        model.forward(-x, True)
        for name, gradient in model.backward(outputs, cache).params.items():
            self._same(gradient, expected[name], f"gradients of {name} after another pass")

    def test_outputs_follow_params(self) -> None:
        """An optimizer moves ``params`` in place, and the model with them."""
        model, x = self._moved(), self._x()
        before = model.forward(x, True).copy()
        for value in model.params.values():
            value += 0.1
        changed = not np.array_equal(model.forward(x, True), before)
        _demand(changed, "outputs stay the same when params are changed in place")

    def test_gradients_fit_the_params(self) -> None:
        """Gradients have the names, shapes and dtype of what they belong to."""
        model = self._moved()
        outputs, cache = model.forward_with_cache(self._x(), True)
        gradients = model.backward(np.ones_like(outputs), cache)
        with _asserting():
            check_gradients_fit(model, gradients)

    def test_gradients_are_derivatives(self) -> None:
        """Every gradient agrees with central differences, in every form of the call."""
        ragged = np.array([_T, 0 if self.rows_without_steps else 1, 3])
        for num_rows, num_steps, lengths in ((_B, _T, None), (_B, _T, ragged), (1, 1, None)):
            for sequences in (True, False):
                model: Any = self._moved()
                x = self._x(num_rows, num_steps)
                options: dict[str, Any] = {}
                if self._offers("initial_state", "return_state"):
                    _, *state = model.forward(x, True, True)
                    options["initial_state"] = tuple(part + 0.1 for part in state)
                    taken = inspect.signature(model.backward).parameters
                    options["final_state"] = "d_state" in taken
                errors = check_gradients(
                    model,
                    x,
                    return_sequences=sequences,
                    lengths=lengths,
                    max_entries=5,
                    **options,
                )
                wrong = {n: e for n, e in errors.items() if not e < self.gradient_tolerance}
                listed = ", ".join(f"{name} by {error:.1e}" for name, error in wrong.items())
                _demand(not wrong, f"gradients differ from central differences: {listed}")

    def _moved(self) -> Trainable:
        """Return a model whose parameters stand at no place of symmetry, as zero biases do."""
        model, rng = self.make_model(0), np.random.default_rng(0)
        for value in model.params.values():
            value += 0.3 * rng.standard_normal(value.shape)
        return model

    def _x(self, num_rows: int = _B, num_steps: int = _T) -> FloatArray:
        return np.random.default_rng(1).standard_normal((num_rows, num_steps, self.input_size))

    def _values(self, model: Trainable) -> NDArray:
        return np.concatenate([np.ravel(value) for value in model.params.values()])

    def _offers(self, *names: str) -> bool:
        taken = inspect.signature(self.make_model(0).forward).parameters
        return all(name in taken for name in names)

    def _skip_unless_offered(self, *names: str) -> None:
        if not self._offers(*names):
            raise SkipTest(f"forward takes no {' and '.join(names)}")

    def _same(self, given: NDArray, expected: NDArray, what: str) -> None:
        np.testing.assert_allclose(
            given, expected, rtol=0, atol=self.tolerance, err_msg=f"{what} differ"
        )


@contextmanager
def _asserting() -> Iterator[None]:
    """Turn the refusal of a check into a failed test."""
    try:
        yield
    except InputError as error:
        raise AssertionError(str(error)) from error


def _demand(holds: bool, otherwise: str) -> None:
    if not holds:
        raise AssertionError(otherwise)
