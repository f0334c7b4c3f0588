"""Transductions: each answer against its definition, row by row, and each rule against its own."""

from collections import Counter
from itertools import product

import numpy as np
import pytest

from lstm_baseline import LSTM, InputError
from lstm_baseline.tasks import Batch, make_task
from lstm_baseline.tasks.strings import PADDING
from lstm_baseline.testing import check_task
from lstm_baseline.training import TrainingSettings, evaluate, train

POP, END = 2, 2


def stack_after(tokens):
    stack = []
    for k in tokens:
        if k == POP:
            if stack:
                stack.pop()
        else:
            stack.append(k if k < POP else k - 3)
    return stack


def stack_answer(tokens):
    return [*reversed(stack_after(tokens)), END]


# Name: the answer to a row's tokens, marks beyond one for each token, and what can be varied.
TASKS = {
    "reverse": (lambda tokens: tokens[::-1], 0, {"num_symbols": 3}),
    "bucket-sort": (sorted, 0, {"num_symbols": 7}),
    "stack": (stack_answer, 1, {}),
}
LEAST = {"reverse": 1, "bucket-sort": 1, "stack": 2}


def tokens_of(x, mark):
    return [k for k in x.tolist() if 0 <= k < mark]


def share_right(beliefs, targets):
    """Return the score of beliefs, one a target: a dict of symbols to weights, or one symbol."""
    hits = []
    for belief, target in zip(beliefs, targets, strict=False):
        weights = belief if isinstance(belief, dict) else {belief: 1}
        best = [k for k, weight in weights.items() if weight == max(weights.values())]
        hits.append((target in best) / len(best))
    return hits


def score(name, task, rule, size=400):
    """Return what a rule of the ladder scores, and what it should, worked out row by row."""
    batch = task.sample(size, np.random.default_rng(8))
    found = {r.name: task.metric.measure(r.predict(batch.x), batch) for r in task.predictors()}
    mark, answer = task.input_size - 1, TASKS[name][0]
    hits = []
    for x in batch.x:
        tokens = tokens_of(x, mark)
        hits += share_right(rule(tokens), answer(tokens))
    return found, np.mean(hits)


@pytest.mark.parametrize("name", sorted(TASKS))
class TestEveryTransduction:
    @pytest.mark.parametrize("lengths", [7, (3, 12), (2, 3)])
    def test_answers_are_what_the_task_asks(self, name, lengths):
        answer, more, arguments = TASKS[name]
        for further in ({}, arguments):
            task = make_task(name, lengths=lengths, **further)
            mark = task.input_size - 1
            batch = task.sample(300, np.random.default_rng(0))
            ends = np.full(300, batch.x.shape[1]) if batch.lengths is None else batch.lengths
            for x, y, mask, end in zip(batch.x, batch.y, batch.mask, ends, strict=True):
                tokens = tokens_of(x, mark)
                assert end == 2 * len(tokens) + more
                rest = batch.x.shape[1] - end
                marks = [mark] * (len(tokens) + more)
                assert x.tolist() == [*tokens, *marks, *[PADDING] * rest]
                right = answer(tokens)
                assert y[mask].tolist() == right
                # All that count stand side by side, from the first mark on.
                assert mask.tolist() == [
                    len(tokens) <= t < len(tokens) + len(right) for t in range(len(x))
                ]

    def test_all_lengths_of_the_range_are_drawn_alike_its_ends_too(self, name):
        batch = make_task(name, lengths=[4, 9]).sample(9000, np.random.default_rng(1))
        more = TASKS[name][1]
        values, counts = np.unique((batch.lengths - more) // 2, return_counts=True)
        assert values.tolist() == list(range(4, 10))
        assert counts.min() > 1300

    def test_one_length_needs_no_lengths(self, name):
        fixed, pair = make_task(name, lengths=5), make_task(name, lengths=(5, 5))
        assert fixed.config() == pair.config()
        assert fixed.sample(3, np.random.default_rng(0)).lengths is None
        assert make_task(name, lengths=(3, 5)).config()["lengths"] == [3, 5]

    def test_a_seed_decides_all(self, name):
        first, again = (make_task(name).train_batch(4, 9, seed=2) for _ in range(2))
        for one, other in zip(first[:2], again[:2], strict=True):
            np.testing.assert_array_equal(one, other)
        np.testing.assert_array_equal(first.mask, again.mask)

    @pytest.mark.parametrize("lengths", [6, (2, 9)])
    def test_no_rule_reads_beyond_its_row(self, name, lengths):
        task = make_task(name, lengths=lengths)
        batch = task.sample(50, np.random.default_rng(3))
        for rule in task.predictors():
            together = rule.predict(batch.x)
            for k in range(0, 50, 7):
                alone = rule.predict(batch.x[k : k + 1])[0]
                np.testing.assert_array_equal(alone, together[k])
                assert np.isfinite(together.max(axis=-1)).all()

    @pytest.mark.slow
    @pytest.mark.parametrize("lengths", [24, (18, 24)])
    def test_it_keeps_the_rules_of_tasks_without_a_note(self, name, lengths):
        assert check_task(make_task(name, lengths=lengths)) == []

    def test_a_shortest_row_leaves_no_rule_that_is_as_good_as_the_oracle(self, name):
        task = make_task(name, lengths=LEAST[name])
        batch = task.sample(2000, np.random.default_rng(4))
        found = [task.metric.measure(r.predict(batch.x), batch) for r in task.predictors()]
        assert found[-1] == 1
        assert max(found[:-1]) < 0.98

    def test_too_few_tokens_are_refused(self, name):
        least = LEAST[name]
        with pytest.raises(InputError, match=f"lengths is {least - 1}; give a whole number from"):
            make_task(name, lengths=least - 1)
        with pytest.raises(InputError, match=r"lengths is \[9, 4\]; give the least first"):
            make_task(name, lengths=[9, 4])


def all_rows(task, length, answer):
    """Return every string of one length once, as a batch."""
    strings = [list(s) for s in product(range(task.num_symbols), repeat=length)]
    mark = task.input_size - 1
    x = np.array([[*s, *[mark] * length] for s in strings])
    y = np.array([[*[0] * length, *answer(s)] for s in strings])
    return strings, Batch(x, y, mask=x == mark)


class TestReverse:
    def test_symbols_are_uniform(self):
        x = make_task("reverse", lengths=9, num_symbols=3).sample(9000, np.random.default_rng(5)).x
        np.testing.assert_allclose([(x[:, :9] == k).mean() for k in range(3)], 1 / 3, atol=0.01)

    def test_the_last_symbol_is_right_once_and_by_chance_elsewhere(self):
        task = make_task("reverse", lengths=5, num_symbols=3)
        _, batch = all_rows(task, 5, lambda s: s[::-1])
        found = {r.name: task.metric.measure(r.predict(batch.x), batch) for r in task.predictors()}
        assert found["chance"] == pytest.approx(1 / 3)
        assert found["last symbol"] == pytest.approx(1 / 5 + 4 / 5 / 3)

    def test_rules_are_what_they_say(self):
        for arguments in ({}, {"lengths": (1, 9), "num_symbols": 3}):
            task = make_task("reverse", **arguments)
            found, any_order = score("reverse", task, lambda s: [dict(Counter(s))] * len(s))
            assert found["any order"] == pytest.approx(any_order)

            def ends(s):
                between = [dict(Counter(s[1:-1]))] * (len(s) - 2)
                return [s[-1], *between, s[0]] if len(s) > 1 else s

            found, right = score("reverse", task, ends)
            assert found["ends"] == pytest.approx(right)

    def test_what_the_last_symbol_tells_of_a_short_string_is_no_rule_of_its_own(self):
        names = [[r.name for r in make_task("reverse", lengths=n).predictors()] for n in (1, 2, 3)]
        assert names[0] == ["chance", "oracle"]
        assert names[1] == ["chance", "last symbol", "any order", "oracle"]
        assert "ends" in names[2]


class TestBucketSort:
    def test_no_rule_that_knows_so_little_is_right_more_often(self):
        """Counted over all strings: the best symbol for each rank, and for rank and counter."""
        task = make_task("bucket-sort", lengths=5, num_symbols=3)
        strings, batch = all_rows(task, 5, sorted)
        found = {r.name: task.metric.measure(r.predict(batch.x), batch) for r in task.predictors()}
        for name, known in (
            ("by rank", lambda s, j: j),
            ("one counter", lambda s, j: (j, sum(k < 1 for k in s))),
        ):
            groups = {}
            for s in strings:
                for j, k in enumerate(sorted(s)):
                    groups.setdefault(known(s, j), Counter())[k] += 1
            best = sum(max(group.values()) for group in groups.values()) / (5 * len(strings))
            assert found[name] == pytest.approx(best)

    def test_rules_know_how_many_symbols_there_were(self):
        task = make_task("bucket-sort", lengths=(1, 6), num_symbols=4)
        batch = task.sample(30_000, np.random.default_rng(6))
        found = {r.name: task.metric.measure(r.predict(batch.x), batch) for r in task.predictors()}
        hits, number = 0.0, 0
        for n in range(1, 7):
            strings = np.sort(list(product(range(4), repeat=n)), axis=1)
            counts = np.stack([(strings == k).mean(axis=0) for k in range(4)])
            hits, number = hits + counts.max(axis=0).sum(), number + n
        assert found["by rank"] == pytest.approx(hits / number, abs=0.01)

    def test_any_order_is_what_it_says(self):
        task = make_task("bucket-sort", lengths=(2, 9))
        found, right = score("bucket-sort", task, lambda s: [dict(Counter(s))] * len(s))
        assert found["any order"] == pytest.approx(right)

    def test_two_symbols_are_sorted_by_one_counter(self):
        names = [rule.name for rule in make_task("bucket-sort", num_symbols=2).predictors()]
        assert names == ["chance", "any order", "by rank", "oracle"]

    @pytest.mark.slow
    def test_an_lstm_learns_it(self):
        task = make_task("bucket-sort", lengths=6, num_symbols=3)
        settings = TrainingSettings(
            num_steps=500, batch_size=64, learning_rate=0.02, evaluate_every=250
        )
        model = LSTM(4, 32, 3, rng=0)
        train(model, task, settings, seed=0)
        assert evaluate(model, task, task.test(0)) > 0.9


class TestStackManipulation:
    def test_a_row_is_a_stack_and_then_actions(self):
        x = make_task("stack", lengths=8).sample(20_000, np.random.default_rng(7)).x[:, :8]
        bits = (x < POP).sum(axis=1)
        # No bit comes after an action, and all heights but the extreme ones are alike.
        assert ((x < POP) == (np.arange(8) < bits[:, None])).all()
        values, counts = np.unique(bits, return_counts=True)
        assert values.tolist() == list(range(1, 8))
        np.testing.assert_allclose(counts / 20_000, 1 / 7, atol=0.01)
        actions = x[x >= POP]
        np.testing.assert_allclose([(actions == k).mean() for k in (2, 3, 4)], 1 / 3, atol=0.01)
        assert x[x < POP].mean() == pytest.approx(0.5, abs=0.01)

    def test_a_pop_on_an_empty_stack_does_nothing(self):
        task = make_task("stack", lengths=5)
        tokens = np.array([[1, POP, POP, POP, 4], [0, POP, POP, 3, 4], [1, 0, 1, POP, POP]])
        answers = task.transduce(tokens, np.full(3, 5))
        assert answers.tolist() == [
            [1, END, -1, -1, -1, -1],
            [1, 0, END, -1, -1, -1],
            [1, END, -1, -1, -1, -1],
        ]

    def test_the_number_of_marks_tells_nothing_of_the_height(self):
        task = make_task("stack", lengths=9)
        batch = task.sample(300, np.random.default_rng(0))
        assert (batch.x[:, 9:] == 5).all()
        assert (batch.x[:, :9] < 5).all()
        assert len(set(batch.mask.sum(axis=1).tolist())) > 5

    def test_after_the_end_nothing_counts_in_the_metric(self):
        task = make_task("stack")
        batch = task.sample(200, np.random.default_rng(1))
        right = task.predictors()[-1].predict(batch.x)
        right[~batch.mask] = [0, -9, 9]
        assert task.metric.measure(right, batch) == 1

    def test_after_the_end_nothing_counts_in_the_loss(self):
        plain, changed = make_task("stack", lengths=6), make_task("stack", lengths=6)

        def other_targets(size, rng):
            batch = plain.sample(size, rng)
            return batch._replace(y=np.where(batch.mask, batch.y, 1))

        changed.sample = other_targets
        assert (changed.train_batch(0, 9, 0).y != plain.train_batch(0, 9, 0).y).any()
        settings = TrainingSettings(num_steps=4, batch_size=16, evaluate_every=4)
        models = [LSTM(6, 5, 3, rng=0) for _ in range(2)]
        for model, task in zip(models, (plain, changed), strict=True):
            train(model, task, settings, seed=0)
        one, other = (model.get_params() for model in models)
        for name, value in one.items():
            np.testing.assert_array_equal(value, other[name])

    def test_rules_are_what_they_say(self):
        def padded(guess, length):
            either = {0: 1, 1: 1, END: 1}
            return [*guess, *[either] * (length + 1 - len(guess))]

        def pushes(s):
            return [k for k in s if k != POP]

        def with_end(bits, s):
            return [*bits[: len(stack_after(s))], END]

        either = {0: 1, 1: 1}

        def height_and_last(s):
            bits = [either] * len(s)
            return with_end([s[-1] - 3, *bits] if s[-1] > POP else bits, s)

        rules = {
            "initial stack": lambda s: stack_answer([k for k in s if k < POP]),
            "actions alone": lambda s: stack_answer([k for k in s if k >= POP]),
            "pushes alone": lambda s: stack_answer(pushes(s)),
            "height alone": lambda s: with_end([either] * len(s), s),
            "height and last action": height_and_last,
            "height and pushes": lambda s: with_end(stack_answer(pushes(s)), s),
        }
        for lengths in (20, (2, 11)):
            task = make_task("stack", lengths=lengths)
            assert {r.name for r in task.predictors()} == {*rules, "chance", "oracle"}
            for name, rule in rules.items():
                found, right = score("stack", task, lambda s, r=rule: padded(r(s), len(s)))
                assert found[name] == pytest.approx(right), name
            assert found["chance"] == pytest.approx(1 / 3)
