"""Modular arithmetic against Python's own evaluation of what is written."""

from collections import Counter

import numpy as np
import pytest

from lstm_baseline import InputError
from lstm_baseline.tasks import make_task

FORMS = [False, True]


def written(task, row):
    """Return an expression as ``tell`` has it, for a row short enough to be told whole."""
    return task.tell(row).split(";")[0].replace(" ", "").replace("−", "-").replace("×", "*")


def rule(task, name):
    return next(rule for rule in task.predictors() if rule.name == name)


@pytest.mark.parametrize("brackets", FORMS)
@pytest.mark.parametrize("lengths", [2, 6, [1, 7], [3, 30]], ids=str)
def test_the_value_is_that_of_the_expression(brackets, lengths):
    task = make_task("modular-arithmetic", lengths=lengths, brackets=brackets)
    batch = task.sample(500, np.random.default_rng(0))
    for x, y in zip(batch.x, batch.y, strict=True):
        assert eval(written(task, x)) % 5 == y


@pytest.mark.parametrize("brackets", FORMS)
def test_rows_have_the_lengths_asked_for_and_end_with_the_equals_sign(brackets):
    task = make_task("modular-arithmetic", lengths=[3, 31], brackets=brackets)
    batch = task.sample(2000, np.random.default_rng(0))
    possible = range(6, 31, 4) if brackets else range(4, 31, 2)
    assert sorted(set(batch.lengths.tolist())) == list(possible)
    for x, n in zip(batch.x, batch.lengths, strict=True):
        assert np.flatnonzero(x == 8).tolist() == [n - 1]
        assert (x[:n] >= 0).all()
        assert (x[n:] == -1).all()


def test_every_operation_has_its_own_brackets():
    task = make_task("modular-arithmetic", lengths=[3, 30], brackets=True)
    for x in task.sample(300, np.random.default_rng(0)).x:
        text = written(task, x)
        operators = sum(text.count(sign) for sign in "+-*")
        assert text.count("(") == text.count(")") == operators


def test_all_shapes_are_equally_likely():
    """Four digits: five trees; counts are within four standard errors of a fifth."""
    task = make_task("modular-arithmetic", lengths=14, brackets=True)
    size = 20_000
    shapes = Counter(
        "".join("d" if c.isdigit() else c for c in written(task, x) if c not in "+-*")
        for x in task.sample(size, np.random.default_rng(0)).x
    )
    assert len(shapes) == 5
    assert max(abs(n - size / 5) for n in shapes.values()) < 4 * np.sqrt(size * 0.2 * 0.8)


def test_digits_and_operators_are_uniform():
    x = make_task("modular-arithmetic", lengths=20).sample(5000, np.random.default_rng(0)).x
    for part, kinds in ((x[:, ::2], 5), (x[:, 1:-1:2] - 5, 3)):
        counts = np.bincount(part.ravel(), minlength=kinds)
        assert len(counts) == kinds
        assert np.abs(counts / part.size - 1 / kinds).max() < 4 * np.sqrt(0.25 / part.size)


@pytest.mark.parametrize(
    ("tokens", "name", "value"),
    [
        # 3 + 2 × 4 = 11; from left to right 20; the last term is 8.
        ([3, 5, 2, 7, 4, 8], "oracle", 1),
        ([3, 5, 2, 7, 4, 8], "left to right", 0),
        ([3, 5, 2, 7, 4, 8], "last term", 3),
        # 1 − 2 × 2 = −3; the last term is −4.
        ([1, 6, 2, 7, 2, 8], "oracle", 2),
        ([1, 6, 2, 7, 2, 8], "last term", 1),
    ],
)
def test_rules_by_hand(tokens, name, value):
    task = make_task("modular-arithmetic", lengths=6)
    assert rule(task, name).predict(np.array([tokens])).argmax() == value


def test_rules_with_brackets_by_hand():
    """(3 − (2 + 4)) is −3, without its brackets 5."""
    task = make_task("modular-arithmetic", lengths=10, brackets=True)
    x = np.array([[9, 3, 6, 9, 2, 5, 4, 10, 10, 8]])
    found = {r.name: r.predict(x).argmax() for r in task.predictors()}
    assert found["oracle"] == 2
    assert found["no brackets"] == found["left to right"] == 0


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"lengths": 7}, "give an even number"),
        ({"lengths": 8, "brackets": True}, r"give 2, 6, 10"),
        ({"lengths": [7, 9], "brackets": True}, "lengths is 7 to 9"),
        ({"lengths": [1, 1]}, "no expression"),
    ],
)
def test_lengths_that_no_expression_has_are_refused(arguments, problem):
    with pytest.raises(InputError, match=problem):
        make_task("modular-arithmetic", **arguments)
