"""Memory tasks: each against its definition, row by row, and without known faults of others."""

from collections import Counter

import numpy as np
import pytest

from lstm_baseline import LSTM
from lstm_baseline.tasks import make_task
from lstm_baseline.tasks.associative_recall import AssociativeRecall, _distinct
from lstm_baseline.training import TrainingSettings, evaluate, train


def scores(task, size=20_000):
    batch = task.sample(size, np.random.default_rng(12))
    return {r.name: task.metric.measure(r.predict(batch.x), batch) for r in task.predictors()}


class TestFlipFlop:
    def test_a_read_is_followed_by_the_bit_written_last(self):
        batch = make_task("flip-flop", length=40, ignore=0.5).sample(200, np.random.default_rng(0))
        for x, y, mask in zip(batch.x, batch.y, batch.mask, strict=True):
            kept = None
            words = ["wir01"[k] for k in x]
            assert words[0] == "w"
            assert words[-2] == "r"
            for t in range(0, 40, 2):
                if words[t] == "w":
                    kept = words[t + 1]
                if words[t] == "r":
                    assert words[t + 1] == kept == str(y[t])
                assert mask[t] == (words[t] == "r")
                assert not mask[t + 1]

    @pytest.mark.parametrize("ignore", [0.8, 0.98, 0.1])
    def test_instructions_are_as_frequent_as_it_says(self, ignore):
        x = (
            make_task("flip-flop", length=200, ignore=ignore)
            .sample(2000, np.random.default_rng(1))
            .x[:, 2:-2]
        )
        shares = [(x[:, ::2] == k).mean() for k in range(3)]
        rest = (1 - ignore) / 2
        np.testing.assert_allclose(shares, [rest, ignore, rest], atol=0.005)
        assert (x[:, 1::2] == 4).mean() == pytest.approx(0.5, abs=0.02)

    def test_the_bit_before_is_right_after_a_write_or_a_read(self):
        found = scores(make_task("flip-flop", length=400, ignore=0.8), 2000)
        assert found["bit before"] == pytest.approx(0.2 + 0.8 / 2, abs=0.02)
        assert found["chance"] == 0.5

    def test_an_lstm_learns_it_and_reads_far_behind_a_write(self):
        task = make_task("flip-flop", length=30)
        settings = TrainingSettings(num_steps=300, learning_rate=0.02, evaluate_every=100)
        model = LSTM(5, 16, 2, rng=0)
        train(model, task, settings, seed=0)
        sparse = make_task("flip-flop", length=120, ignore=0.95)
        assert evaluate(model, sparse, sparse.sample(300, np.random.default_rng(0))) > 0.98


class TestAssociativeRecall:
    def test_each_key_is_asked_once_for_its_value(self):
        task = make_task("mqar", vocabulary=40, length=48, num_pairs=5)
        batch = task.sample(300, np.random.default_rng(0))
        for x, y, mask in zip(batch.x, batch.y, batch.mask, strict=True):
            pairs = dict(zip(x[:10:2].tolist(), x[1:10:2].tolist(), strict=True))
            assert len(pairs) == len(set(pairs.values())) == 5
            assert all(1 <= key < 20 <= value < 40 for key, value in pairs.items())
            asked = np.flatnonzero(mask)
            assert (asked >= 10).all()
            assert (asked % 2 == 0).all()
            assert sorted(x[asked].tolist()) == sorted(pairs)
            assert [pairs[key] for key in x[asked].tolist()] == y[asked].tolist()

    def test_distances_are_those_of_draws_without_replacement(self):
        task = make_task("mqar", vocabulary=40, length=24, num_pairs=3, power=0.3)
        p = np.arange(1, 10) ** (0.3 - 1)
        p /= p.sum()
        rng = np.random.default_rng(1)
        slow = np.array([rng.choice(9, 3, replace=False, p=p) for _ in range(20_000)])
        fast = task._distances(20_000, np.random.default_rng(2))
        for pair in range(3):
            counts = [np.bincount(drawn[:, pair], minlength=9) / 20_000 for drawn in (slow, fast)]
            np.testing.assert_allclose(*counts, atol=0.015)

    def test_a_power_of_1_prefers_no_distance(self):
        task = make_task("mqar", vocabulary=40, length=24, num_pairs=3, power=1)
        counts = np.bincount(task._distances(20_000, np.random.default_rng(3)).ravel())
        np.testing.assert_allclose(counts / 60_000, 1 / 9, atol=0.01)

    def test_the_ladder(self):
        found = scores(make_task("mqar"), 4000)
        assert found["chance"] == pytest.approx(1 / 64, abs=1e-6)
        assert found["any value"] == pytest.approx(2 / 64, abs=1e-6)
        assert found["value shown"] == pytest.approx(1 / 4, abs=1e-6)
        assert 0.25 < found["by distance"] < 0.5

    def test_no_rule_that_knows_the_distance_alone_is_better(self):
        """Counted from as many samples as it was made from, drawn by another seed."""
        task = make_task("mqar")
        batch = task.sample(20_000, np.random.default_rng(4))
        at, keys = batch.x[:, 8:], batch.x[:, :8:2]
        hits = np.zeros((4, at.shape[1]))
        for pair in range(4):
            hits[pair] = ((at == keys[:, [pair]]) & batch.mask[:, 8:]).sum(axis=0)
        best = hits.max(axis=0).sum() / batch.mask.sum()
        assert scores(task)["by distance"] == pytest.approx(best, abs=0.01)

    @pytest.mark.parametrize("among", [9, 40, 5000])
    def test_distinct_numbers_are_all_alike(self, among):
        drawn = _distinct(6000, 6, among, np.random.default_rng(5))
        assert all(len(set(row)) == 6 for row in drawn.tolist())
        assert drawn.min() >= 0
        assert drawn.max() < among
        assert drawn.mean() == pytest.approx((among - 1) / 2, rel=0.02)
        for column in drawn.T:
            assert column.mean() == pytest.approx((among - 1) / 2, rel=0.05)

    def test_a_large_vocabulary_needs_no_large_evaluation(self):
        task = AssociativeRecall(8192, 256, 64)
        assert task.test_size * 64 * 8192 <= 2**26
        assert make_task("mqar").test_size == 20_000

    @pytest.mark.slow
    def test_an_lstm_learns_it(self):
        task = make_task("mqar", vocabulary=6, length=8, num_pairs=2)
        settings = TrainingSettings(
            num_steps=400, batch_size=64, learning_rate=0.02, evaluate_every=200
        )
        model = LSTM(6, 48, 6, rng=0)
        train(model, task, settings, seed=0)
        assert evaluate(model, task, task.test(0)) > 0.95


class TestSelectiveCopying:
    def test_symbols_are_repeated_in_order(self):
        task = make_task("selective-copying", length=20, num_recalled=4, num_symbols=6)
        batch = task.sample(300, np.random.default_rng(0))
        for x, y, mask in zip(batch.x, batch.y, batch.mask, strict=True):
            shown = [k for k in x[:20].tolist() if k < 6]
            assert y[20:].tolist() == shown
            assert (x[20:] == 7).all()
            assert mask.tolist() == [False] * 20 + [True] * 4

    def test_every_place_is_as_likely_the_last_before_the_marks_too(self):
        x = make_task("selective-copying", length=16).sample(20_000, np.random.default_rng(1)).x
        np.testing.assert_allclose((x[:, :16] < 8).mean(axis=0), 4 / 16, atol=0.015)

    def test_a_seed_decides_all(self):
        task = make_task("selective-copying")
        first, again = (task.train_batch(4, 9, seed=2) for _ in range(2))
        np.testing.assert_array_equal(first.x, again.x)
        np.testing.assert_array_equal(first.y, again.y)

    def test_the_ladder(self):
        found = scores(make_task("selective-copying"))
        assert found["chance"] == pytest.approx(1 / 8, abs=1e-6)
        # Right where it is asked for, and by chance elsewhere.
        assert found["last symbol"] == pytest.approx(1 / 4 + 3 / 4 / 8, abs=0.01)
        assert found["last symbol"] < found["any order"] < 0.5

    @pytest.mark.slow
    def test_an_lstm_learns_it(self):
        task = make_task("selective-copying", length=10, num_recalled=2, num_symbols=4)
        settings = TrainingSettings(
            num_steps=600, batch_size=64, learning_rate=0.01, evaluate_every=200
        )
        model = LSTM(6, 32, 4, rng=0)
        train(model, task, settings, seed=0)
        assert evaluate(model, task, task.test(0)) > 0.9


class TestInductionHeads:
    @pytest.mark.parametrize("arguments", [(16, 64), (3, 4), (7, 33)])
    def test_what_followed_the_mark_is_asked_for(self, arguments):
        vocabulary, length = arguments
        task = make_task("induction-heads", vocabulary=vocabulary, length=length)
        batch = task.sample(300, np.random.default_rng(0))
        for x, y in zip(batch.x.tolist(), batch.y.tolist(), strict=True):
            places = [t for t, k in enumerate(x) if k == vocabulary - 1]
            assert len(places) == 2
            assert places[1] == length - 1
            assert y == x[places[0] + 1] < vocabulary - 1

    def test_every_place_and_every_answer_is_as_likely(self):
        task = make_task("induction-heads", vocabulary=5, length=10)
        batch = task.sample(20_000, np.random.default_rng(1))
        places = np.bincount((batch.x == 4).argmax(axis=1), minlength=9) / 20_000
        np.testing.assert_allclose(places[:8], 1 / 8, atol=0.01)
        assert places[8] == 0
        np.testing.assert_allclose(np.bincount(batch.y) / 20_000, 1 / 4, atol=0.015)

    def test_the_ladder(self):
        found = scores(make_task("induction-heads", vocabulary=6, length=12))
        assert found["chance"] == pytest.approx(1 / 5)
        # Right where the mark stood just before it, and by chance elsewhere.
        task = make_task("induction-heads", vocabulary=6, length=12)
        batch = task.sample(500, np.random.default_rng(3))
        last = {rule.name: rule for rule in task.predictors()}["last token"].predict(batch.x)
        assert (last.argmax(axis=1) == batch.x[:, 10]).all()
        assert found["last token"] == pytest.approx(1 / 10 + 9 / 10 / 5, abs=0.01)
        # The answer is one of ten tokens, so the most frequent is right as often as it occurs.
        rng = np.random.default_rng(2)
        rows = rng.integers(5, size=(20_000, 10)).tolist()
        most = np.mean([max(Counter(row).values()) for row in rows]) / 10
        assert found["most frequent"] == pytest.approx(most, abs=0.015)

    @pytest.mark.slow
    def test_an_lstm_learns_it(self):
        task = make_task("induction-heads", vocabulary=5, length=12)
        settings = TrainingSettings(
            num_steps=600, batch_size=64, learning_rate=0.02, evaluate_every=200
        )
        model = LSTM(5, 32, 4, rng=0)
        train(model, task, settings, seed=0)
        assert evaluate(model, task, task.test(0)) > 0.9


def read_pairs(x, vocabulary):
    """Return the steps of the keys, from the left: all else is a value after its key, or noise."""
    keys, t = [], 0
    while t < len(x):
        if x[t] < vocabulary:
            assert x[t] < vocabulary // 2
            assert t + 1 == len(x) or vocabulary // 2 <= x[t + 1] < vocabulary
            keys.append(t)
            t += 1
        t += 1
    return keys


class TestNoisyRecall:
    SIZES = (
        {},
        {"vocabulary": 6, "length": 31, "noise": 0.5, "noise_vocabulary": 3},
        {"vocabulary": 4, "length": 7, "noise": 0},
    )

    @pytest.mark.parametrize("arguments", SIZES)
    def test_a_key_shown_before_is_asked_for_its_value(self, arguments):
        task = make_task("noisy-recall", **arguments)
        batch = task.sample(300, np.random.default_rng(0))
        for x, y, mask in zip(batch.x.tolist(), batch.y.tolist(), batch.mask, strict=True):
            value_of, asked = {}, {}
            for t in read_pairs(x, task.vocabulary):
                if x[t] in value_of:
                    asked[t] = value_of[x[t]]
                if t + 1 < len(x):
                    assert value_of.setdefault(x[t], x[t + 1]) == x[t + 1]
            assert {t: y[t] for t in np.flatnonzero(mask).tolist()} == asked

    def test_noise_is_as_frequent_as_it_says_and_drawn_from_all_of_its_tokens(self):
        task = make_task("noisy-recall", noise=0.3, noise_vocabulary=4)
        x = task.sample(3000, np.random.default_rng(1)).x
        noise = x[x >= 16]
        pairs = sum(len(read_pairs(row, 16)) for row in x.tolist())
        assert len(noise) / (len(noise) + pairs) == pytest.approx(0.3, abs=0.005)
        np.testing.assert_allclose(np.bincount(noise)[16:] / len(noise), 1 / 4, atol=0.01)

    def test_noise_may_stand_anywhere_after_the_last_pair_too(self):
        x = make_task("noisy-recall", noise=0.3).sample(20_000, np.random.default_rng(2)).x
        # A pair takes two steps, and noise one.
        assert (x[:, 0] >= 16).mean() == pytest.approx(0.3, abs=0.015)
        share = 0.3 / (0.3 + 2 * 0.7)
        np.testing.assert_allclose((x[:, 40:] >= 16).mean(axis=0), share, atol=0.015)
        assert ((x[:, -3:] >= 16).all(axis=1)).any()

    def test_keys_and_values_are_drawn_independently(self):
        task = make_task("noisy-recall", vocabulary=8, length=40)
        batch = task.sample(10_000, np.random.default_rng(3))
        keys = batch.x[batch.x < 4]
        np.testing.assert_allclose(np.bincount(keys) / len(keys), 1 / 4, atol=0.01)
        first = batch.x[(batch.x[:, 0] < 4)][:, :2]
        table = np.zeros((4, 4))
        np.add.at(table, (first[:, 0], first[:, 1] - 4), 1 / len(first))
        np.testing.assert_allclose(table, 1 / 16, atol=0.01)

    def test_a_seed_decides_all(self):
        task = make_task("noisy-recall")
        first, again = (task.train_batch(4, 9, seed=2) for _ in range(2))
        for one, other in ((first.x, again.x), (first.y, again.y), (first.mask, again.mask)):
            np.testing.assert_array_equal(one, other)

    @pytest.mark.parametrize("arguments", SIZES[:2])
    def test_rules_are_what_they_say(self, arguments):
        task = make_task("noisy-recall", **arguments)
        batch = task.sample(300, np.random.default_rng(12))
        hits = {"last value": [], "most frequent": [], "last pair": []}
        for x, y, mask in zip(batch.x.tolist(), batch.y.tolist(), batch.mask, strict=True):
            shown, last_key = [], None
            for t in read_pairs(x, task.vocabulary):
                if mask[t]:
                    counts = Counter(shown)
                    most = [v for v, number in counts.items() if number == max(counts.values())]
                    hits["last value"].append(shown[-1] == y[t])
                    hits["most frequent"].append((y[t] in most) / len(most))
                    same = x[t] == last_key
                    hits["last pair"].append(1 if same else hits["most frequent"][-1])
                last_key = x[t]
                if t + 1 < len(x):
                    shown.append(x[t + 1])
        found = scores(task, 300)
        for name, each in hits.items():
            assert found[name] == pytest.approx(np.mean(each)), name
        assert found["chance"] == pytest.approx(1 / task.vocabulary)
        assert found["any value"] == pytest.approx(2 / task.vocabulary)

    @pytest.mark.slow
    def test_an_lstm_learns_it(self):
        task = make_task("noisy-recall", vocabulary=4, length=12, noise_vocabulary=2)
        settings = TrainingSettings(
            num_steps=600, batch_size=64, learning_rate=0.02, evaluate_every=200
        )
        model = LSTM(6, 32, 4, rng=0)
        train(model, task, settings, seed=0)
        assert evaluate(model, task, task.test(0)) > 0.9
