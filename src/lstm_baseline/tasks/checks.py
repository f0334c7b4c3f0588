"""Checks of the rules that a task must keep; ``check_task`` runs them in order.

Every check raises an InputError that says in one line what was found. What may be meant so is told
as a note.

No check sees whether the rules of the ladder are the best ones that a reader would try, nor every
leak; ``leaks.py`` says which.
"""

import hashlib
import json
import os
import pickle
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from lstm_baseline.engine.errors import InputError
from lstm_baseline.engine.shapes import NDArray
from lstm_baseline.own_code import calling, check_can_be_found, is_own, name_of, unchanged
from lstm_baseline.tasks.base import GeneratedTask, Predictor, Rung
from lstm_baseline.tasks.ladder import best_heuristic, best_oracle, is_better
from lstm_baseline.tasks.leaks import check_leak, check_overlap
from lstm_baseline.tasks.metrics import (
    ACCURACY,
    BITS_PER_CHARACTER,
    CROSS_ENTROPY,
    LOSS_METRICS,
    MEAN_SQUARED_ERROR,
    NEGATIVE_LOG_LIKELIHOOD,
    Batch,
    Metric,
    valid_steps,
)
from lstm_baseline.tasks.own_task import what_is_lacking
from lstm_baseline.tasks.registry import TASKS, make_task

NUM_ROWS = 2000
"""Training samples that are looked at."""
SLOW = 3.0
"""Seconds for 10,000 samples beyond which a note says so."""

_FEW, _STEP, _SEED = 64, 3, 5
"""Rows, step and seed of the batch that is drawn again and again."""
_PERFECT = 1e-6
"""Part of the way from chance to the perfect score that rounding may cost an oracle."""
_LONGEST_NAME = 60
_OF_CLASSES = (ACCURACY, CROSS_ENTROPY, BITS_PER_CHARACTER)


class Streams(NamedTuple):
    """Samples of a task's three streams, all of seed 0."""

    train: Batch
    validation: Batch
    test: Batch
    seconds: float
    """Time that 10,000 samples take."""


def check_task(task: GeneratedTask) -> list[str]:
    """Refuse a task that would spoil a race, and return notes on what may be meant otherwise.

    Attributes must be stated, and ``config`` must define the task: made again from it, and in
    another process, it draws the same samples. The seed must decide everything, and a training
    batch is a function of step, size and seed alone. Shapes, dtypes and labels must be those that
    the task states, and numbers finite. Training, validation and test may not share samples, unless
    there are only few. x may not show the answer at the step where it is asked for. The ladder must
    have a rule of chance; an oracle must be perfect (the best rule, where the task is ``noisy``),
    and every other rule worse.

    Notes are about the answer standing at another step of every row, an answer of the oracle's that
    needs later steps, a constant answer that beats the ladder, samples that repeat, and slow
    samples.

    Parameters
    ----------
    task
        The task.

    Raises
    ------
    InputError
        If a check fails; the message describes the first failure.
    """
    name = name_of(type(task)) if is_own(type(task)) else task.name
    try:
        # Numerical warnings are no failure; numbers that are not finite are refused.
        with np.errstate(all="ignore"):
            check_attributes(task)
            streams = check_streams(task)
            check_seeds(task, check_config(task))
            check_other_process(task)
            check_extras(task, streams.test)
            notes = [
                *check_leak(task, streams.train),
                *check_overlap(*streams[:3]),
                *check_ladder(task, streams),
            ]
    except InputError as error:
        raise InputError(f"{name}: {error}") from error
    if streams.seconds > SLOW:
        notes.append(
            f"10,000 samples take {streams.seconds:.0f} s; draw them without a loop over rows, or "
            "training waits for them"
        )
    return [f"{name}: {note}" for note in notes]


def check_attributes(task: GeneratedTask) -> None:
    """Refuse attributes of the wrong kind, and a metric that does not fit the loss."""
    if lacking := what_is_lacking(task):
        raise InputError(lacking)
    for attribute in ("name", "summary"):
        value = getattr(task, attribute)
        if not isinstance(value, str) or not value.strip():
            raise InputError(f"{attribute} is {value!r}; give a text")
    if len(task.name) > _LONGEST_NAME:
        raise InputError(f"name has {len(task.name)} letters; give at most {_LONGEST_NAME}")
    if task.name in TASKS and is_own(type(task)):
        raise InputError(f"name is {task.name!r}, a task of this package; give one of its own")
    sizes = ("input_size", "output_size", "validation_size", "test_size", "ladder_size")
    for attribute, least in zip(sizes, (1, 1, 2, 2, 2), strict=True):
        value = getattr(task, attribute)
        if not isinstance(value, int) or isinstance(value, bool) or value < least:
            raise InputError(f"{attribute} is {value!r}; give a whole number from {least} on")
    for attribute in ("per_step", "noisy", "tokens"):
        if not isinstance(value := getattr(task, attribute), bool):
            raise InputError(f"{attribute} is {value!r}; give True or False")
    if task.loss not in LOSS_METRICS:
        raise InputError(f"loss is {task.loss!r}; give one of: {', '.join(LOSS_METRICS)}")
    if not isinstance(task.metric, Metric):
        raise InputError(
            f"metric is {task.metric!r}; give one of lstm_baseline.tasks, as ACCURACY or "
            "MEAN_SQUARED_ERROR, or a Metric of your own"
        )
    classes = task.loss == "cross_entropy"
    if classes and task.output_size < 2:
        raise InputError(f"output_size is {task.output_size}; give two classes at least")
    fitting = {
        "cross_entropy": _OF_CLASSES,
        "mean_squared_error": (MEAN_SQUARED_ERROR,),
        "binary_cross_entropy": (NEGATIVE_LOG_LIKELIHOOD,),
    }
    others = [m for loss, metrics in fitting.items() if loss != task.loss for m in metrics]
    if task.metric in others:
        raise InputError(f"the metric {task.metric.name} does not fit the loss {task.loss}")


def check_config(task: GeneratedTask) -> GeneratedTask:
    """Refuse a task that ``config`` does not define; return the one that is made again."""
    check_can_be_found(type(task))
    with calling("config"):
        config = task.config()
    try:
        text = json.dumps(config, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InputError(
            f"arguments can be finite numbers, text, booleans, lists and tables: {error}"
        ) from None
    given: dict[str, Any] = json.loads(text)
    arguments = {key: value for key, value in given.items() if key != "task"}
    again = make_task(given["task"], **arguments)
    if json.loads(json.dumps(again.config())) != given:
        raise InputError(
            f"made again from its config {text} it has another, {json.dumps(again.config())}; an "
            "attribute keeps what the constructor was given"
        )
    sizes = ("validation_size", "test_size", "ladder_size")
    if not _same(_batch(task), _batch(again)) or any(
        getattr(task, size) != getattr(again, size) for size in sizes
    ):
        raise InputError(
            f"made again from its config {text} it draws other samples; what decides must be an "
            "argument of the constructor, and each draw come from the rng or the seed"
        )
    try:
        pickle.loads(pickle.dumps(task))
    except Exception as error:
        raise InputError(
            f"it cannot be sent to worker processes ({error}); keep no functions and open files as "
            "attributes"
        ) from error
    return again


def check_streams(task: GeneratedTask) -> Streams:
    """Refuse samples of the wrong form, and targets that never differ."""
    with calling("train_batch with one row"):
        check_batch(task, "train_batch with one row", task.train_batch(0, 1, 0), 1)
    with calling("train_batch"):
        train = task.train_batch(0, NUM_ROWS, 0)
    check_batch(task, "train_batch", train, NUM_ROWS)
    with calling("validation"):
        validation = task.validation(0)
    check_batch(task, "validation", validation, task.validation_size)
    started = time.perf_counter()
    with calling("test"):
        test = task.test(0)
    seconds = (time.perf_counter() - started) * 10_000 / task.test_size
    check_batch(task, "test", test, task.test_size)
    counted = _targets(task, train)
    if (counted == counted[0]).all():
        raise InputError(f"y is always {counted[0]}, so there is nothing to learn")
    return Streams(train, validation, test, seconds)


def check_batch(task: GeneratedTask, what: str, batch: Batch, size: int) -> None:
    """Refuse a batch of the wrong types, shapes or dtypes, and numbers and labels out of range."""
    if not isinstance(batch, Batch):
        raise InputError(f"{what} returned a {type(batch).__name__}; give a Batch(x, y)")
    x, y, lengths = batch.x, batch.y, batch.lengths
    if not task.tokens and isinstance(x, np.ndarray) and x.dtype.kind in "iu":
        raise InputError(
            f"x of {what} is {x.dtype}; state tokens = True if these are tokens (B, steps), whole "
            "numbers below input_size, or give numbers (B, steps, features), .astype(np.float32)"
        )
    if task.tokens:
        if not _is_whole(x):
            kind = x.dtype if isinstance(x, np.ndarray) else f"a {type(x).__name__}"
            raise InputError(f"x of {what} is {kind}; give tokens as an array of whole numbers")
    else:
        _check_array(f"x of {what}", x, np.dtype(np.float32))
    features = () if task.tokens else (task.input_size,)
    if (
        x.ndim != 2 + len(features)
        or x.shape[0] != size
        or x.shape[1] < 1
        or (x.shape[2:] != features)
    ):
        expected_x = ", ".join(map(str, (size, "steps", *features)))
        raise InputError(f"x of {what} has shape {x.shape}; expected ({expected_x})")
    steps = x.shape[1:2] if task.per_step else ()
    if task.loss == "cross_entropy":
        if not _is_whole(y):
            kind = y.dtype if isinstance(y, np.ndarray) else f"a {type(y).__name__}"
            raise InputError(f"y of {what} is {kind}; give classes as an array of whole numbers")
        expected: tuple[int, ...] = (size, *steps)
    else:
        if not (task.loss == "binary_cross_entropy" and _is_whole(y)):
            _check_array(f"y of {what}", y, np.dtype(np.float32))
        expected = (size, *steps, task.output_size)
    if y.shape != expected:
        raise InputError(f"y of {what} has shape {y.shape}; expected {expected}")
    _check_lengths(what, lengths, size, x.shape[1])
    _check_mask(task, what, batch)
    asked = _targets(task, batch)
    if task.loss == "cross_entropy" and (asked.min() < 0 or asked.max() >= task.output_size):
        raise InputError(
            f"y of {what} runs from {asked.min()} to {asked.max()}; with an output_size of "
            f"{task.output_size} classes are 0 to {task.output_size - 1}"
        )
    if task.loss == "binary_cross_entropy" and (asked.min() < 0 or asked.max() > 1):
        raise InputError(
            f"y of {what} runs from {asked.min()} to {asked.max()}; labels are from 0 to 1"
        )
    shown = x[valid_steps(x, lengths)]
    if task.tokens and (shown.min() < 0 or shown.max() >= task.input_size):
        raise InputError(
            f"x of {what} runs from {shown.min()} to {shown.max()}; with an input_size of "
            f"{task.input_size} tokens are 0 to {task.input_size - 1}; what is past a row's end is "
            "told by lengths"
        )


def _check_lengths(what: str, lengths: Any, size: int, num_steps: int) -> None:
    if lengths is None:
        return
    if not isinstance(lengths, np.ndarray) or lengths.dtype.kind not in "iu":
        raise InputError(f"lengths of {what} is no array of whole numbers")
    if lengths.shape != (size,) or lengths.min() < 1 or lengths.max() > num_steps:
        raise InputError(
            f"lengths of {what} has shape {lengths.shape} and runs from {lengths.min()} to "
            f"{lengths.max()}; give one for each row, ({size},), from 1 to {num_steps}"
        )


def _check_mask(task: GeneratedTask, what: str, batch: Batch) -> None:
    mask = batch.mask
    if mask is None:
        return
    if not task.per_step:
        raise InputError(f"{what} has a mask of steps, and per_step is False; leave it out")
    if not isinstance(mask, np.ndarray) or mask.dtype != bool or mask.shape != batch.x.shape[:2]:
        raise InputError(f"mask of {what} is no array of booleans of shape {batch.x.shape[:2]}")
    if (mask & ~valid_steps(batch.x, batch.lengths)).any():
        raise InputError(f"mask of {what} is True beyond a row's length")
    if not mask.any():
        raise InputError(f"mask of {what} is False everywhere, so no target counts")


def _targets(task: GeneratedTask, batch: Batch) -> NDArray:
    """Return the targets that count, (N, …)."""
    if not task.per_step:
        return batch.y
    steps = valid_steps(batch.x, batch.lengths) if batch.mask is None else batch.mask
    return np.asarray(batch.y[steps])


def check_seeds(task: GeneratedTask, twin: GeneratedTask) -> None:
    """Refuse samples that anything but step, size and seed decides, or that these do not decide.

    The twin is asked in another order than the task, and has drawn other samples before.
    """
    draw = task.train_batch
    with calling("another seed or step"):
        found = {
            "train_batch": (
                draw(_STEP, _FEW, _SEED),
                draw(_STEP, _FEW, _SEED + 1),
                draw(_STEP + 1, _FEW, _SEED),
            ),
            "validation": (task.validation(_SEED), task.validation(_SEED + 1)),
            "test": (task.test(_SEED), task.test(_SEED + 1)),
        }
        again = {
            "test": twin.test(_SEED),
            "validation": twin.validation(_SEED),
            "train_batch": twin.train_batch(_STEP, _FEW, _SEED),
        }
    for stream, (own, *others) in found.items():
        if not _same(own, again[stream]):
            raise InputError(
                f"{stream} gives other samples for the same seed when it is called again, or in "
                "another order; draw from the rng that sample is given, and keep nothing from call "
                "to call"
            )
        for what, other in zip(("seed", "step"), others, strict=False):
            if _same(own, other):
                raise InputError(
                    f"{stream} gives the same samples for another {what}; draw from the rng that "
                    "sample is given, and make none of your own"
                )


def check_other_process(task: GeneratedTask) -> None:
    """Refuse samples that differ in another process, where runs are carried out."""
    code = "from lstm_baseline.tasks import checks; checks.print_digest()"
    done = subprocess.run(
        [sys.executable, "-P", "-c", f"import sys; sys.path[:] = {sys.path!r}; {code}"],
        input=pickle.dumps(task),
        # The order of a set of words and their hashes differ from process to process.
        env=os.environ | {"PYTHONHASHSEED": "1935"},
        capture_output=True,
        check=False,
    )
    if done.returncode:
        lines = done.stderr.decode(errors="replace").strip().splitlines() or ["no reason given"]
        raise InputError(f"it cannot be loaded in another process, as runs are: {lines[-1]}")
    if done.stdout.decode().split()[-1] != _digest(task):
        raise InputError(
            "another process draws other samples from the same seed; let nothing but the rng "
            "decide, and neither hash() nor the order of a set"
        )


def print_digest() -> None:
    """Print a digest of the samples of the task that is on standard input."""
    print(_digest(pickle.load(sys.stdin.buffer)))


def check_extras(task: GeneratedTask, batch: Batch) -> None:
    """Refuse what a task may offer besides samples, where it does not keep its form."""
    few = batch.rows(slice(0, _FEW))
    length = few.x.shape[1] if few.lengths is None else few.lengths[0]
    with calling("tell"):
        text = task.tell(few.x[0, :length].copy())
    with calling("answer"):
        words = [text, *([task.answer(few.y[0])] if text else [])]
    if not all(isinstance(word, str) for word in words):
        raise InputError("tell and answer give something else than text")
    shape = (*few.y.shape, task.output_size) if task.loss == "cross_entropy" else few.y.shape
    with calling("partial_scores"):
        parts = task.partial_scores(np.zeros(shape, np.float32), few)
    if not isinstance(parts, Mapping) or not all(
        isinstance(name, str) and isinstance(score, float) for name, score in parts.items()
    ):
        raise InputError(f"partial_scores gives {parts!r}; give numbers by name, float by str")
    given = {"x": few.x, "y": few.y, "lengths": few.lengths, "mask": few.mask}
    with unchanged("with_other_questions", **given), calling("with_other_questions"):
        other = task.with_other_questions(few, np.random.default_rng(0))
    if other is None:
        return
    check_batch(task, "with_other_questions", other, len(few.x))
    if not np.array_equal(other.y, few.y) or np.array_equal(other.x, few.x):
        raise InputError(
            "with_other_questions gives other targets, or the same x; another question is put to "
            "each row, and the targets stay those of its own"
        )


def check_ladder(task: GeneratedTask, streams: Streams) -> list[str]:
    """Refuse rules that do not keep their form, and a ladder on which no score can be placed."""
    with calling("predictors"):
        rules = task.predictors()
    if not isinstance(rules, list) or not all(isinstance(rule, Predictor) for rule in rules):
        raise InputError("predictors gives no list of Predictor(name, kind, description, predict)")
    for rule in rules:
        _check_rule(task, rule, streams.train.rows(slice(0, _FEW)))
    if len({rule.name for rule in rules}) < len(rules):
        raise InputError("predictors gives two rules of one name")
    with calling("ladder"):
        ladder, again = task.ladder(), task.ladder()
    if not all(isinstance(rung, Rung) and np.isfinite(rung.score) for rung in ladder):
        told = ", ".join(f"{rung.name} {rung.score}" for rung in ladder)
        raise InputError(
            f"a score of the ladder is not finite ({told}); a rule may rule out (−inf) only what "
            "never happens"
        )
    if ladder != again:
        raise InputError("the ladder has other scores when it is measured again")
    if not any(rung.kind == "chance" for rung in ladder):
        raise InputError("the ladder has no rule of the kind chance; give one that ignores x")
    _check_oracle(task, ladder, streams.train)
    notes = _note_on_constant(task, streams, ladder)
    oracles = [rule for rule in rules if rule.kind == "oracle"]
    if task.per_step and oracles and _looks_ahead(task, oracles[-1], streams.train):
        notes.append(
            f"the rule {oracles[-1].name!r} answers otherwise when later steps change; contestants "
            "do not see them, so it must not need them"
        )
    return notes


def _is_whole(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind in "iu"


def _check_array(what: str, value: Any, dtype: np.dtype[Any]) -> None:
    if not isinstance(value, np.ndarray):
        raise InputError(f"{what} is a {type(value).__name__}; give a NumPy array")
    if value.dtype != dtype:
        raise InputError(f"{what} is {value.dtype}; give {dtype}, .astype(np.{dtype})")
    if not np.isfinite(value).all():
        raise InputError(f"{what} holds NaN or infinity")


def _check_rule(task: GeneratedTask, rule: Predictor, batch: Batch) -> None:
    """Refuse a rule whose predictions do not have the form of a model's output."""
    what = f"the rule {rule.name!r}"
    if rule.kind not in ("chance", "heuristic", "oracle"):
        raise InputError(f"{what} is of kind {rule.kind!r}; give chance, heuristic or oracle")
    with unchanged(what, x=batch.x), calling(what):
        predicted = rule.predict(batch.x)
        alone, fewer = (rule.predict(batch.x[:size]) for size in (1, _FEW // 2))
    shape = (*batch.x.shape[: 2 if task.per_step else 1], task.output_size)
    if not isinstance(predicted, np.ndarray) or predicted.dtype.kind != "f":
        kind = predicted.dtype if isinstance(predicted, np.ndarray) else type(predicted).__name__
        raise InputError(f"{what} predicts {kind}; give an array of floats")
    if predicted.shape != shape:
        raise InputError(
            f"{what} predicts an array of shape {predicted.shape}; expected {shape}, as of a model"
        )
    classes = task.loss == "cross_entropy"
    # Who is sure of a label, 0 or 1, has odds of 0 or infinity.
    if task.loss == "binary_cross_entropy":
        if np.isnan(predicted).any():
            raise InputError(f"{what} predicts NaN")
        return
    if np.isnan(predicted).any() or (predicted == np.inf).any():
        raise InputError(f"{what} predicts NaN or infinity")
    if not np.isfinite(predicted.max(axis=-1) if classes else predicted).all():
        raise InputError(f"{what} predicts −inf for {'every class' if classes else 'a value'}")
    if not all(
        np.allclose(part, predicted[: len(part)], rtol=1e-4, atol=1e-5) for part in (alone, fewer)
    ):
        raise InputError(f"{what} predicts something else for a row where others are beside it")


def _check_oracle(task: GeneratedTask, ladder: list[Rung], batch: Batch) -> None:
    """Refuse an oracle that is not perfect, and another rule that is as good."""
    metric = task.metric
    best, oracle = best_heuristic(ladder, metric), best_oracle(ladder, metric)
    assert best is not None
    chance = next(rung.score for rung in ladder if rung.kind == "chance")
    allowed = _PERFECT * abs(metric.perfect - chance)
    if oracle is None:
        if abs(best.score - metric.perfect) <= allowed:
            raise InputError(f"the rule {best.name!r} is perfect, so there is nothing to learn")
        return
    scored = f"scores {oracle.score:.6g} in {metric.name}"
    if not task.noisy and abs(oracle.score - metric.perfect) > allowed:
        ends = (
            " (a rule is given x without lengths: past a row's end put what no row has, as −1)"
            if batch.lengths is not None
            else ""
        )
        raise InputError(
            f"the oracle {scored}, and a perfect score is {metric.perfect:g}; correct y or the "
            f"oracle{ends}, or state noisy = True if x does not tell y for certain"
        )
    if not is_better(oracle.score, best.score, metric):
        raise InputError(
            f"the oracle {scored}, and the rule {best.name!r} {best.score:.6g}; between them there "
            "must be something to learn"
        )


def _note_on_constant(task: GeneratedTask, streams: Streams, ladder: list[Rung]) -> list[str]:
    """Return a note if the best constant answer beats all rules that are no oracle."""
    train, test = streams.train, streams.test
    y = _targets(task, train)
    if task.loss == "binary_cross_entropy":
        return []
    if task.loss == "cross_entropy":
        share = np.bincount(y.astype(np.int64), minlength=task.output_size) / len(y)
        answer, told = np.log(share + 1e-9), f"class {share.argmax()}"
    else:
        answer = y.mean(axis=0)
        told = f"the mean ({', '.join(f'{value:.3g}' for value in answer)})"
    shape = (*test.x.shape[: 2 if task.per_step else 1], task.output_size)
    predicted = np.broadcast_to(answer.astype(np.float32), shape)
    with calling(f"the metric {task.metric.name}"):
        score = task.metric.measure(predicted, test)
        error = task.metric.standard_error(predicted, test)
    best = best_heuristic(ladder, task.metric)
    assert best is not None
    surely = score - 3 * error if task.metric.higher_is_better else score + 3 * error
    if not is_better(surely, best.score, task.metric):
        return []
    return [
        f"always answering {told} scores {score:.3g}, better than every rule of the ladder but "
        f"the oracle ({best.name!r}: {best.score:.3g}); add it, or who finds no more than that "
        "counts as having learned"
    ]


def _looks_ahead(task: GeneratedTask, rule: Predictor, batch: Batch) -> bool:
    """Return whether a rule's answers to the first half of the steps depend on the second."""
    half = batch.x.shape[1] // 2
    x = batch.x[:_FEW]
    changed = np.concatenate([x[:, :half], np.roll(x, 1, axis=0)[:, half:]], axis=1)
    valid = valid_steps(x, None if batch.lengths is None else batch.lengths[:_FEW])[:, :half]
    try:
        one, other = (rule.predict(each)[:, :half][valid] for each in (x, changed))
    except Exception:  # of rows that no sample is, a rule need not make sense
        return False
    if task.loss == "cross_entropy":
        return not np.array_equal(one.argmax(axis=-1), other.argmax(axis=-1))
    return not np.allclose(one, other, rtol=1e-4, atol=1e-5)


def _batch(task: GeneratedTask) -> Batch:
    with calling("train_batch"):
        return task.train_batch(_STEP, _FEW, _SEED)


def _same(one: Batch, other: Batch) -> bool:
    steps: list[list[Any]] = [[one.lengths, other.lengths], [one.mask, other.mask]]
    return all(np.array_equal(*pair) for pair in ((one.x, other.x), (one.y, other.y), *steps))


def _digest(task: GeneratedTask) -> str:
    """Return a digest of some samples."""
    found = hashlib.sha256()
    for batch in (_batch(task), task.validation(_SEED)):
        for array in (batch.x, batch.y, batch.lengths, batch.mask):
            if array is not None:
                found.update(np.ascontiguousarray(array).tobytes())
    return found.hexdigest()
