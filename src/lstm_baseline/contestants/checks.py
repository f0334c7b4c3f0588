"""Checks of the rules that a contestant must keep; ``check_challenger`` runs them in order.

Every check raises an InputError that says in one line what was found. Comparisons between two calls
with the same arguments are exact. Where shapes differ, sums may have another order, and numbers may
differ by 1e-4 of the largest.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple, Self

import numpy as np

from lstm_baseline.engine.errors import InputError
from lstm_baseline.engine.shapes import FloatArray, IntArray, NDArray, Params
from lstm_baseline.own_code import calling, unchanged
from lstm_baseline.tasks import Batch, Task
from lstm_baseline.tasks.metrics import valid_steps
from lstm_baseline.training import Adam, Trainable, clip_by_global_norm
from lstm_baseline.training.loop import EVALUATION_ROWS
from lstm_baseline.training.losses import LOSSES

_NUM_ROWS = 4
_NUM_STEPS_TRAINED = 3
_SAME = 1e-4
"""Share of the largest output by which sums in another order may differ."""
_SAME_WHEN_TRAINED = 1e-2
"""The same in half of the rows of a trained model: it may have learned to magnify."""
_ROWS_ALONE = 9
"""Number of rows of a trained model's, spread over all, that are given alone."""

_DISPLACEMENTS = (3e-2, 1e-2, 3e-3, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5)
"""Shares of a parameter's size by which it is moved to measure a slope."""
_SLOPES_AGREE, _SLOPE_HAS_SETTLED = 0.1, 0.05
_NUM_DIRECTIONS = 3


class Sample(NamedTuple):
    """A few rows of a task; the last row is shorter if the task has lengths."""

    x: NDArray
    lengths: IntArray | None
    per_step: bool
    output_size: int

    @classmethod
    def of(cls, task: Task) -> Self:
        """Return the first rows that training sees."""
        batch = task.train_batch(0, _NUM_ROWS, 0)
        lengths = batch.lengths
        if lengths is not None:
            lengths = lengths.copy()
            lengths[-1] = max(1, min(lengths[-1], batch.x.shape[1] - 1))
        return cls(batch.x.copy(), lengths, task.per_step, task.output_size)

    @classmethod
    def of_test(cls, task: Task, seed: int) -> Self:
        """Return as many test rows as are evaluated at a time."""
        batch = task.test(seed).rows(slice(EVALUATION_ROWS))
        return cls(batch.x.copy(), batch.lengths, task.per_step, task.output_size)

    @property
    def output_shape(self) -> tuple[int, ...]:
        """Shape of the outputs, (B, T, O) or (B, O)."""
        return (*self.x.shape[: 2 if self.per_step else 1], self.output_size)

    def live(self, outputs: FloatArray) -> FloatArray:
        """Return outputs with zeros at the steps that do not count."""
        if self.lengths is None or not self.per_step:
            return outputs
        kept: FloatArray = np.where(valid_steps(self.x, self.lengths)[..., None], outputs, 0)
        return kept


def check_params(model: Any) -> None:
    """Refuse parameters that an optimizer cannot update or a checkpoint cannot hold."""
    params = model.params
    if not isinstance(params, dict) or not params:
        shown = "empty" if isinstance(params, dict) else f"a {type(params).__name__}"
        raise InputError(f"params is {shown}; give a dict of NumPy arrays by name")
    for name, value in params.items():
        if not isinstance(name, str) or not isinstance(value, np.ndarray):
            raise InputError(f"params[{name!r}] is a {type(value).__name__}; give a NumPy array")
        if value.dtype not in (np.dtype(np.float32), np.dtype(np.float64)) or value.ndim == 0:
            raise InputError(
                f"params[{name!r}] is {value.dtype} of shape {value.shape}; give float32 or "
                "float64 with at least one axis"
            )
        if not np.isfinite(value).all():
            raise InputError(f"params[{name!r}] holds NaN or infinity at the start")
    dtypes = {value.dtype.name for value in params.values()}
    if len(dtypes) > 1:
        raise InputError(f"params are {' and '.join(sorted(dtypes))}; give one dtype")
    if not sum(value.size for value in params.values()):
        raise InputError("params has no number in it; there is nothing to train")


def check_outputs(model: Trainable, call: str, outputs: Any, shape: tuple[int, ...]) -> None:
    """Refuse outputs that are not finite arrays of the given shape in the parameters' dtype."""
    _check_array(f"{call}'s output", outputs, shape, _dtype(model))


def check_gradients_fit(model: Trainable, gradients: Any) -> None:
    """Refuse gradients that are not finite arrays like the parameters, name by name."""
    found = getattr(gradients, "params", None)
    if not isinstance(found, dict):
        raise InputError(
            f"backward returned a {type(gradients).__name__} without a dict params; "
            "give an object with the gradients by name in params"
        )
    for word, names in (
        ("lack", model.params.keys() - found.keys()),
        ("have unknown", found.keys() - model.params.keys()),
    ):
        if names:
            raise InputError(f"backward's gradients {word} {', '.join(sorted(map(str, names)))}")
    for name, value in model.params.items():
        _check_array(f"backward's gradient of {name}", found[name], value.shape, value.dtype)


def check_construction(make: Callable[[int], Trainable]) -> Trainable:
    """Return a challenger, if the seed and nothing else decides its initial parameters."""
    with calling("the constructor"):
        model, twin, other = make(0), make(0), make(1)
    for made in (model, twin, other):
        check_params(made)
    if not _same_params(model.params, twin.params):
        raise InputError(
            "parameters differ between two challengers of one seed; draw them from the argument "
            "rng and nothing else, or in a torch module from PyTorch's own generator"
        )
    if _same_params(model.params, other.params):
        raise InputError(
            "parameters are the same under every seed; draw them from the argument rng, or in a "
            "torch module from PyTorch's own generator, and set no seed"
        )
    return model


def check_forward(model: Trainable, sample: Sample) -> None:
    """Refuse wrong outputs, and outputs that differ the second time."""
    with unchanged("forward", x=sample.x, lengths=sample.lengths, params=model.params):
        outputs = _forward(model, sample)
    check_outputs(model, "forward", outputs, sample.output_shape)
    # A copy, because the outputs may be memory of the model that the next call overwrites.
    outputs = outputs.copy()
    if not np.array_equal(outputs, _forward(model, sample)):
        raise InputError(
            "forward gives other outputs when called again; it must drop out nothing, draw "
            "nothing, and keep no state from call to call"
        )


def check_independence(model: Trainable, sample: Sample, *, trained: bool = False) -> None:
    """Refuse outputs that depend on other rows, on padding, or on later steps.

    In a trained model rounding may grow from step to step; so half of the rows must differ, of
    those whose padding or later steps are changed.
    """
    x, lengths = sample.x, sample.lengths
    outputs = sample.live(_forward(model, sample)).copy()
    largest = float(np.abs(outputs).max(initial=0.0))

    def differ(found: FloatArray, expected: FloatArray, rows: NDArray | None = None) -> bool:
        apart = np.abs(found - expected).reshape(len(expected), -1).max(axis=1)
        if not trained:
            return bool(apart.max() > _SAME * largest)
        apart = apart if rows is None else apart[rows]
        return bool(len(apart) and np.median(apart) > _SAME_WHEN_TRAINED * largest)

    chosen = np.linspace(len(x) - 1, 0, _ROWS_ALONE if trained else 1).round().astype(int)
    found_alone = []
    for row in chosen:
        one = slice(row, row + 1)
        alone = sample._replace(x=x[one], lengths=None if lengths is None else lengths[one])
        found = _forward(model, alone, "forward with one row")
        check_outputs(model, "forward with one row", found, alone.output_shape)
        found_alone.append(alone.live(found).copy())
    if differ(np.concatenate(found_alone), outputs[chosen]):
        raise InputError(
            "a row's output depends on other rows; is the first axis taken for time "
            "(batch_first), or is something averaged over the batch?"
        )
    other = _other_inputs(x)
    if lengths is not None:
        live = valid_steps(x, lengths)
        padded = np.where(live if x.ndim == 2 else live[..., None], x, other)
        found = sample.live(_forward(model, sample._replace(x=padded)))
        if differ(found, outputs, np.asarray(~live.all(axis=1))):
            raise InputError("outputs depend on the padding; heed lengths")
    if sample.per_step and x.shape[1] > 1:
        half = x.shape[1] // 2
        changed = np.concatenate([x[:, :half], other[:, half:]], axis=1)
        found = sample.live(_forward(model, sample._replace(x=changed)))
        longer = np.full(len(x), True) if lengths is None else lengths > half
        if differ(found[:, :half], outputs[:, :half], longer):
            raise InputError(
                "outputs depend on later steps, which no other contestant sees; on a task with a "
                "target at every step a challenger must be causal"
            )


def _other_inputs(x: NDArray) -> NDArray:
    """Return inputs of which none is that of x, but where x holds a single token."""
    draws = np.random.default_rng(0)
    if x.ndim != 2:
        numbers: NDArray = draws.standard_normal(x.shape).astype(x.dtype)
        return numbers
    known = int(x.max()) + 1
    if known == 1:
        return x
    return (x + draws.integers(1, known, size=x.shape, dtype=x.dtype)) % known


def check_backward(model: Trainable, sample: Sample) -> None:
    """Refuse wrong gradients, and passes that change their arguments or affect later calls."""
    given = {"x": sample.x, "lengths": sample.lengths, "params": model.params}
    evaluated = np.array(_forward(model, sample))
    with unchanged("forward_with_cache", **given):
        outputs, _ = _forward_with_cache(model, sample)
    check_outputs(model, "forward_with_cache", outputs, sample.output_shape)
    first = outputs.copy()
    outputs, cache = _forward_with_cache(model, sample)
    if not np.array_equal(first, outputs):
        raise InputError(
            "forward_with_cache gives other outputs for the same rng; draw from the rng that it "
            "is given and nothing else, or in a torch module from PyTorch's own generator"
        )
    d_outputs = sample.live(np.ones_like(outputs))
    with unchanged("backward", d_outputs=d_outputs, **given):
        gradients = _backward(model, d_outputs, cache)
    check_gradients_fit(model, gradients)
    if not any(gradient.any() for gradient in gradients.params.values()):
        raise InputError("backward gives zero for every parameter")
    if not np.array_equal(evaluated, _forward(model, sample)):
        raise InputError(
            "forward gives other outputs after a training pass, though params are the same; a "
            "checkpoint holds params and no running averages"
        )


def check_twins(make: Callable[[int], Trainable], sample: Sample) -> None:
    """Refuse outputs or gradients that differ between two challengers of one seed."""
    found = []
    for _ in range(2):
        model = make(0)
        evaluated = np.array(_forward(model, sample))
        outputs, cache = _forward_with_cache(model, sample)
        outputs = np.array(outputs)
        weights = _weights(sample, outputs)
        found.append((evaluated, outputs, _backward(model, weights, cache).params))
    (evaluated, outputs, gradients), (evaluated_2, outputs_2, gradients_2) = found
    if not np.array_equal(evaluated, evaluated_2):
        raise InputError("forward differs between two challengers of one seed")
    if not np.array_equal(outputs, outputs_2):
        raise InputError("forward_with_cache differs between two challengers of one seed")
    if not _same_params(gradients, gradients_2):
        raise InputError("backward gives other gradients for the same outputs of the same seed")


def check_params_are_live(model: Trainable, sample: Sample) -> None:
    """Refuse a model whose outputs do not follow ``params`` when these are changed in place."""
    before = np.array(_forward(model, sample))
    with _moved(model, 0.1, seed=0):
        after = np.array(_forward(model, sample))
        # Parameters that start at zero may hide a dependence on other rows or later steps.
        check_independence(model, sample)
    if np.array_equal(before, after):
        raise InputError(
            "outputs stay the same when params are changed in place; params must be the very "
            "arrays that forward reads"
        )
    if not np.array_equal(before, _forward(model, sample)):
        raise InputError("outputs differ once params are restored; keep no copy of params")


def check_derivative(model: Trainable, sample: Sample) -> None:
    """Refuse a backward that is not the derivative of ``forward_with_cache``.

    The loss is Σ w ⊙ outputs, with random weights w and always the same rng. Each parameter is
    moved by itself along random directions d. Its slope (L(p + δd) − L(p − δd)) / 2δ must agree
    with gradient · d within a tenth of the larger one. δ gets smaller until they agree or rounding
    takes over; then it is an error if the last two slopes agree with each other. In float32 they
    may not agree, close to the corner of a ReLU or where a layer norm magnifies.

    A network may start with each unit at its corner. So parameters are moved a little beforehand,
    and a disagreement at one place only is no error.
    """
    found = _find_wrong_gradient(model, sample, place=1)
    if found is not None and _find_wrong_gradient(model, sample, place=2) is not None:
        raise InputError(f"backward is not the derivative of forward_with_cache: {found}")


def check_training(make: Callable[[int], Trainable], sample: Sample, task: Task) -> None:
    """Refuse a challenger whose parameters differ after the same few training steps done twice.

    The second time ``forward`` is called between the steps, as validation calls it.
    """
    batches = [task.train_batch(step, _NUM_ROWS, 0) for step in range(_NUM_STEPS_TRAINED)]
    first, second = make(0), make(0)
    _train(first, batches, task)
    _train(second, batches, task, between=lambda: _forward(second, sample))
    if not _same_params(first.params, second.params):
        raise InputError(
            f"{_NUM_STEPS_TRAINED} training steps from one seed end at other parameters the "
            "second time; let nothing but params, inputs and rng decide a pass"
        )


def _train(
    model: Trainable,
    batches: list[Batch],
    task: Task,
    between: Callable[[], Any] = lambda: None,
) -> None:
    optimizer = Adam(model.params)
    for step, batch in enumerate(batches):
        with calling("a training step"):
            outputs, cache = model.forward_with_cache(
                batch.x, task.per_step, lengths=batch.lengths, rng=np.random.default_rng([0, step])
            )
            lengths = batch.lengths if task.per_step else None
            loss, d_outputs = LOSSES[task.loss](outputs, batch.y, lengths)
            gradients, norm = clip_by_global_norm(model.backward(d_outputs, cache).params, 1.0)
        if not np.isfinite([loss, norm]).all():
            raise InputError(f"training step {step} has loss {loss} and gradient norm {norm}")
        optimizer.update(gradients, 1e-3)
        between()


def _check_array(what: str, value: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> None:
    if not isinstance(value, np.ndarray):
        raise InputError(f"{what} is a {type(value).__name__}; give a NumPy array")
    if value.shape != shape:
        raise InputError(f"{what} has shape {value.shape}; expected {shape}")
    if value.dtype != dtype:
        raise InputError(f"{what} is {value.dtype}; expected {dtype}, as params are")
    if not np.isfinite(value).all():
        raise InputError(f"{what} is not finite")


def _forward(model: Trainable, sample: Sample, call: str = "forward") -> FloatArray:
    with calling(call):
        outputs: FloatArray = model.forward(sample.x, sample.per_step, lengths=sample.lengths)
    return outputs


def _forward_with_cache(model: Trainable, sample: Sample) -> tuple[FloatArray, Any]:
    with calling("forward_with_cache"):
        outputs, cache = model.forward_with_cache(
            sample.x, sample.per_step, lengths=sample.lengths, rng=np.random.default_rng(0)
        )
    return outputs, cache


def _backward(model: Trainable, d_outputs: FloatArray, cache: Any) -> Any:
    with calling("backward"):
        return model.backward(d_outputs, cache)


def _weights(sample: Sample, outputs: FloatArray) -> FloatArray:
    """Return random weights of outputs, zero at the steps that do not count."""
    rng = np.random.default_rng(1)
    return sample.live(rng.standard_normal(outputs.shape).astype(outputs.dtype))


def _dtype(model: Trainable) -> np.dtype[Any]:
    dtype: np.dtype[Any] = next(iter(model.params.values())).dtype
    return dtype


def _same_params(some: Params, others: Params) -> bool:
    return some.keys() == others.keys() and all(
        np.array_equal(value, others[name]) for name, value in some.items()
    )


def _root_mean_square(values: NDArray) -> float:
    return float(np.sqrt(np.mean(np.square(values, dtype=np.float64)))) if values.size else 0.0


@contextmanager
def _moved(model: Trainable, share: float, seed: int) -> Iterator[None]:
    """Move all parameters in place by a share of their typical size, and finally back."""
    rng = np.random.default_rng(seed)
    before = {name: value.copy() for name, value in model.params.items()}
    typical = _root_mean_square(np.concatenate([v.ravel() for v in before.values()])) or 1.0
    for value in model.params.values():
        value += share * typical * rng.standard_normal(value.shape)
    try:
        yield
    finally:
        for name, value in model.params.items():
            value[...] = before[name]


def _rounding(model: Trainable, loss: Callable[[], float]) -> float:
    """Return the largest change of the loss that rounding may cause.

    It is ten times the change that a few units in the last place of all parameters make. That
    change counts as at least two units of the loss's own, for outputs that it does not reach.
    """
    at, epsilon = loss(), float(np.finfo(_dtype(model)).eps)
    found = 2 * epsilon * max(1.0, abs(at))
    for seed in range(3):
        with _moved(model, 4 * epsilon, seed):
            found = max(found, abs(loss() - at))
    return 10 * found


def _find_wrong_gradient(model: Trainable, sample: Sample, place: int) -> str | None:
    """Return a description of a wrong gradient at a place near the start, or None."""
    rng = np.random.default_rng(place)
    with _moved(model, 0.1, seed=place):
        outputs, cache = _forward_with_cache(model, sample)
        weights = _weights(sample, outputs)
        gradients = _backward(model, weights, cache).params
        gradients = {name: value.astype(np.float64) for name, value in gradients.items()}

        def loss() -> float:
            outputs, _ = _forward_with_cache(model, sample)
            return float(np.sum(weights * outputs, dtype=np.float64))

        rounding = _rounding(model, loss)
        typical = _root_mean_square(np.concatenate([p.ravel() for p in model.params.values()]))
        for name, value in model.params.items():
            scale = max(_root_mean_square(value), typical)
            for _ in range(_NUM_DIRECTIONS):
                direction = scale * rng.standard_normal(value.shape)
                claimed = float(np.sum(gradients[name] * direction))
                # A direction may be nearly orthogonal to the gradient; on average it gives this.
                usual = scale * float(np.sqrt(np.sum(np.square(gradients[name]))))
                measured = _settled_slope(value, direction, claimed, usual, loss, rounding)
                if measured is not None:
                    return (
                        f"along one direction the gradient of {name} gives {claimed:.3g}, and "
                        f"differences {measured:.3g}"
                    )
    return None


def _settled_slope(
    value: NDArray,
    direction: FloatArray,
    claimed: float,
    usual: float,
    loss: Callable[[], float],
    rounding: float,
) -> float | None:
    """Return the slope of the loss along a direction if it surely differs from the claimed one."""
    start = value.copy()
    slopes: list[float] = []
    try:
        for delta in _DISPLACEMENTS:
            losses = []
            for signed in (delta, -delta):
                value[...] = start + signed * direction
                losses.append(loss())
            slope = (losses[0] - losses[1]) / (2 * delta)
            size = max(abs(slope), abs(claimed), usual)
            if not abs(slope - claimed) > _SLOPES_AGREE * size:
                return None
            if rounding / delta > _SLOPE_HAS_SETTLED * size:
                break
            slopes.append(slope)
    finally:
        value[...] = start
    if len(slopes) < 2:
        return None
    one, other = slopes[-2:]
    settled = abs(one - other) <= _SLOPE_HAS_SETTLED * max(abs(one), abs(other), usual)
    return other if settled else None
