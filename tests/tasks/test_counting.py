"""Brackets and words of counted symbols: what comes next, against probabilities written out."""

import math
from collections import Counter, defaultdict
from itertools import groupby

import numpy as np
import pytest

from lstm_baseline import LSTM, InputError
from lstm_baseline.tasks import make_task
from lstm_baseline.testing import check_task
from lstm_baseline.training import TrainingSettings, evaluate, train


def entropy(weights):
    total = sum(weights)
    return -sum(w / total * math.log(w / total) for w in weights if w)


def next_bracket(prefix, kinds, depth):
    """Return the probabilities of the next bracket by its token, from the definition."""
    still_open = []
    for k in prefix:
        if k < kinds:
            still_open.append(k)
        else:
            assert still_open.pop() == k - kinds
    assert len(still_open) <= depth
    opening = 1 if not still_open else 0 if len(still_open) == depth else 0.5
    found = dict.fromkeys(range(kinds), opening / kinds)
    if still_open:
        found[kinds + still_open[-1]] = 1 - opening
    return {k: p for k, p in found.items() if p}


def streams(kinds, depth, length):
    """Return all streams of length + 1 brackets with their probabilities."""
    found = {(): 1.0}
    for _ in range(length + 1):
        found = {
            (*s, k): p * q
            for s, p in found.items()
            for k, q in next_bracket(s, kinds, depth).items()
        }
    return found


def words(low, high, num_symbols, length):
    """Return all rows of length + 1 symbols with their probabilities; the mark is last."""
    found = defaultdict(float)

    def grow(row, p):
        if len(row) > length:
            found[tuple(row[: length + 1])] += p
            return
        for n in range(low, high + 1):
            word = [k for k in range(num_symbols) for _ in range(n)]
            grow([*row, *word, num_symbols], p / (high + 1 - low))

    grow([num_symbols], 1.0)
    return found


def conditional_entropy(rows, known):
    """Return the entropy of what comes next, a step, for who knows known(prefix)."""
    groups = defaultdict(Counter)
    for row, p in rows.items():
        for t in range(1, len(row)):
            groups[known(row[:t])][row[t]] += p
    length = len(next(iter(rows))) - 1
    return sum(sum(g.values()) * entropy(g.values()) for g in groups.values()) / length


def expected_scores(task, rows):
    """Return each rule's cross-entropy over all rows, by their probabilities."""
    p = np.array(list(rows.values()))
    assert p.sum() == pytest.approx(1)
    symbols = np.array(list(rows))
    x, y = symbols[:, :-1], symbols[:, 1:]
    found = {}
    for rule in task.predictors():
        logits = rule.predict(x).astype(np.float64)
        log_p = logits - np.log(np.exp(logits).sum(axis=-1, keepdims=True))
        found[rule.name] = -(np.take_along_axis(log_p, y[..., None], -1)[..., 0].mean(1) * p).sum()
    return found


def is_the_optimum(task, seed=0):
    """Check that the oracle scores the optimum, as far as 20,000 rows can tell."""
    batch = task.sample(20_000, np.random.default_rng(seed))
    beliefs = task.predictors()[-1].predict(batch.x)
    score, error = (f(beliefs, batch) for f in (task.metric.measure, task.metric.standard_error))
    assert error < 0.005
    assert abs(score - task.optimum) < 4 * error + 1e-6


class TestDyck:
    @pytest.mark.parametrize("arguments", [(2, 3, 40), (1, 2, 17), (3, 5, 61), (6, 2, 9)])
    def test_every_bracket_is_one_that_may_come_next(self, arguments):
        kinds, depth, length = arguments
        task = make_task("dyck", num_kinds=kinds, max_depth=depth, length=length)
        batch = task.sample(100, np.random.default_rng(0))
        assert batch.x.shape == batch.y.shape == (100, length)
        np.testing.assert_array_equal(batch.x[:, 1:], batch.y[:, :-1])
        oracle = np.exp(task.predictors()[-1].predict(batch.x))
        for x, y, beliefs in zip(batch.x.tolist(), batch.y.tolist(), oracle, strict=True):
            row = [*x, y[-1]]
            assert row[0] < kinds
            for t in range(1, length + 1):
                may_come = next_bracket(row[:t], kinds, depth)
                assert row[t] in may_come
                for k, belief in enumerate(beliefs[t - 1]):
                    assert belief == pytest.approx(may_come.get(k, 0), abs=1e-6)

    def test_choices_are_as_likely_as_it_says(self):
        task = make_task("dyck", num_kinds=3, max_depth=2, length=30)
        batch = task.sample(4000, np.random.default_rng(1))
        symbols = np.concatenate([batch.x, batch.y[:, -1:]], axis=1)
        opens = symbols < 3
        depth = np.where(opens, 1, -1).cumsum(axis=1)
        assert set(depth.ravel().tolist()) == {0, 1, 2}
        assert opens[:, 1:][depth[:, :-1] == 1].mean() == pytest.approx(0.5, abs=0.01)
        kinds = np.bincount(symbols[opens], minlength=3) / opens.sum()
        np.testing.assert_allclose(kinds, 1 / 3, atol=0.01)

    @pytest.mark.parametrize("arguments", [(2, 2, 6), (2, 3, 5), (3, 2, 5)])
    def test_each_rule_is_the_best_that_knows_so_little(self, arguments):
        kinds, depth, length = arguments
        task = make_task("dyck", num_kinds=kinds, max_depth=depth, length=length)
        rows = streams(*arguments)
        found = expected_scores(task, rows)

        def depth_of(prefix):
            return sum(1 if k < kinds else -1 for k in prefix)

        for name, known in {
            "step alone": len,
            "last symbol": lambda s: (len(s), s[-1]),
            "depth alone": depth_of,
            "depth and last symbol": lambda s: (depth_of(s), s[-1]),
            "oracle": tuple,
        }.items():
            assert found.pop(name) == pytest.approx(conditional_entropy(rows, known), abs=1e-6)
        assert found == {"chance": pytest.approx(math.log(2 * kinds))}
        best = conditional_entropy(rows, tuple)
        assert task.optimum == pytest.approx(best, abs=1e-12)

    @pytest.mark.parametrize("arguments", [(2, 3), (1, 2), (4, 7)])
    def test_of_a_long_stream_the_optimum_is_the_closed_form(self, arguments):
        kinds, depth = arguments
        task = make_task("dyck", num_kinds=kinds, max_depth=depth, length=20_000)
        closed_form = (1 - 1 / depth) * math.log(2) + math.log(kinds) / 2
        assert task.optimum == pytest.approx(closed_form, abs=1e-3)

    @pytest.mark.parametrize(
        "arguments",
        [{}, {"num_kinds": 1, "max_depth": 2, "length": 5}, {"num_kinds": 5, "max_depth": 9}],
    )
    def test_the_oracle_scores_the_optimum(self, arguments):
        is_the_optimum(make_task("dyck", **arguments))

    def test_of_one_kind_the_depth_is_everything(self):
        names = [rule.name for rule in make_task("dyck", num_kinds=1).predictors()]
        assert names == ["chance", "step alone", "last symbol", "oracle"]
        assert check_task(make_task("dyck", num_kinds=1)) == []

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"num_kinds": 0}, "num_kinds is 0"),
            ({"max_depth": 1}, r"max_depth is 1; give a whole number from 2 .*last bracket"),
            ({"length": 3}, "length is 3; give a whole number from 4"),
            ({"length": "8"}, "length is '8'"),
        ],
    )
    def test_what_is_out_of_range_is_refused(self, arguments, message):
        with pytest.raises(InputError, match=message):
            make_task("dyck", **arguments)

    def test_many_kinds_have_numbers(self):
        few, many = make_task("dyck"), make_task("dyck", num_kinds=5)
        question = "; which bracket comes next, after each of them?"
        assert few.tell(np.array([0, 1, 3, 2])) == f"( [ ] ){question}"
        assert many.tell(np.array([0, 4, 9, 5])) == f"(1 (5 5) 1){question}"
        assert few.answer(np.eye(4, dtype=np.float32)[[2, 0]]) == ") ("

    @pytest.mark.slow
    def test_an_lstm_comes_near_the_optimum(self):
        task = make_task("dyck", length=20)
        settings = TrainingSettings(
            num_steps=600, batch_size=64, learning_rate=0.02, evaluate_every=300
        )
        model = LSTM(4, 24, 4, rng=0)
        train(model, task, settings, seed=0)
        ladder = {rung.name: rung.score for rung in task.ladder()}
        score = evaluate(model, task, task.test(0))
        assert task.optimum - 0.01 < score < ladder["depth and last symbol"]


class TestCounting:
    RANGES = (([1, 10], 3, 128), ([2, 5], 3, 33), ([1, 3], 2, 17), ([3, 4], 2, 40))

    @pytest.mark.parametrize("arguments", RANGES)
    def test_a_row_is_words_of_equal_runs(self, arguments):
        n, num_symbols, length = arguments
        task = make_task("anbncn", n=n, num_symbols=num_symbols, length=length)
        batch = task.sample(300, np.random.default_rng(0))
        np.testing.assert_array_equal(batch.x[:, 1:], batch.y[:, :-1])
        for x, y in zip(batch.x.tolist(), batch.y.tolist(), strict=True):
            row = "".join("abc"[:num_symbols][k : k + 1] or "#" for k in [*x, y[-1]])
            assert row[0] == "#"
            *whole, last = row[1:].split("#")
            for word in whole:
                each = word.count("a")
                assert n[0] <= each <= n[1]
                assert word == "".join(k * each for k in "abc"[:num_symbols])
            possible = ("".join(k * m for k in "abc"[:num_symbols]) for m in range(n[0], n[1] + 1))
            assert any(word.startswith(last) for word in possible)

    def test_every_n_is_as_likely(self):
        x = make_task("anbncn", n=[2, 7]).sample(12_000, np.random.default_rng(1)).x
        first = (x[:, 1:] != 0).argmax(axis=1)
        values, counts = np.unique(first, return_counts=True)
        assert values.tolist() == [2, 3, 4, 5, 6, 7]
        np.testing.assert_allclose(counts / 12_000, 1 / 6, atol=0.015)
        # The last word that a row has whole is none of the first.
        second = [[len(list(run)) for _, run in groupby(row)][5] for row in x[:4000].tolist()]
        np.testing.assert_allclose(np.bincount(second)[2:] / 4000, 1 / 6, atol=0.03)

    @pytest.mark.parametrize("n", [[1, 3], [2, 4]])
    @pytest.mark.parametrize("num_symbols", [2, 3])
    def test_each_rule_is_the_best_that_knows_so_little(self, n, num_symbols):
        length = num_symbols * n[1] + 9
        task = make_task("anbncn", n=n, num_symbols=num_symbols, length=length)
        rows = words(*n, num_symbols, length)
        found = expected_scores(task, rows)

        def run(prefix):
            symbol, last = [(k, len(list(same))) for k, same in groupby(prefix)][-1]
            return symbol, last

        def missing(prefix):
            """Of b's, how many are still to come; of others, how long the run is."""
            symbol, last = run(prefix)
            if symbol != 1:
                return symbol, last
            return symbol, [len(list(same)) for _, same in groupby(prefix)][-2] - last

        known = {"last symbol": lambda s: s[-1], "runs alone": run, "oracle": tuple}
        if num_symbols == 3:
            known["last run alone"] = missing
        for name, knows in known.items():
            best = conditional_entropy(rows, knows)
            assert found.pop(name) == pytest.approx(best, abs=1e-6), name
        assert found == {"chance": pytest.approx(math.log(num_symbols + 1))}
        assert task.optimum == pytest.approx(conditional_entropy(rows, tuple), abs=1e-12)

    @pytest.mark.parametrize("arguments", [([1, 10], 3), ([4, 20], 2), ([1, 2], 3)])
    def test_of_a_long_row_a_word_costs_ln_n_and_more_without_counting(self, arguments):
        (low, high), num_symbols = arguments
        task = make_task("anbncn", n=[low, high], num_symbols=num_symbols, length=4000)
        a_word = math.log(high + 1 - low) / (num_symbols * (low + high) / 2 + 1)
        assert task.optimum == pytest.approx(a_word, rel=5e-3)
        batch = task.sample(100, np.random.default_rng(2))
        found = {r.name: task.metric.measure(r.predict(batch.x), batch) for r in task.predictors()}
        assert found["oracle"] == pytest.approx(a_word, rel=0.02)
        assert found["runs alone"] == pytest.approx(num_symbols * a_word, rel=0.02)
        if num_symbols == 3:
            assert found["last run alone"] == pytest.approx(2 * a_word, rel=0.02)

    @pytest.mark.parametrize(
        "arguments", [{}, {"n": 2, "num_symbols": 2, "length": 6}, {"n": [5, 9], "length": 51}]
    )
    def test_the_oracle_scores_the_optimum(self, arguments):
        is_the_optimum(make_task("anbncn", **arguments))

    def test_n_is_kept_as_it_is_given(self):
        assert make_task("anbncn", n=6).config()["n"] == 6
        assert make_task("anbncn", n=(1, 6)).config()["n"] == 6
        assert make_task("anbncn", n=(2, 6)).config()["n"] == [2, 6]

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ({"n": 1}, "n is 1; give a whole number from 2"),
            ({"n": [3, 3]}, r"n is \[3, 3\]; give the least first, and a larger one"),
            ({"n": [5, 3]}, r"n is \[5, 3\]; give the least first"),
            ({"n": [0, 3]}, "n is 0"),
            ({"n": [1, 2, 3]}, r"n is \[1, 2, 3\]; give the most, or the least and the most"),
            ({"num_symbols": 4}, "num_symbols is 4; give a whole number from 2 to 3"),
            ({"length": 31}, r"length is 31; give a whole number from 32 .*longest word"),
        ],
    )
    def test_what_is_out_of_range_is_refused(self, arguments, message):
        with pytest.raises(InputError, match=message):
            make_task("anbncn", **arguments)

    def test_runs_are_told_by_their_length(self):
        task = make_task("anbncn", n=3, length=11)
        x = np.array([3, 0, 0, 1, 1, 2, 2, 3, 0, 1, 2])
        assert task.tell(x) == "# a2 b2 c2 # a b c; which symbol comes next, after each of them?"
        assert task.answer(x[1:]) == "a2 b2 c2 # a b c"
