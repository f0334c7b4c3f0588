"""State tracking: each task against its definition, written out without an automaton."""

from itertools import pairwise, permutations

import numpy as np
import pytest

from lstm_baseline import LSTM, InputError
from lstm_baseline.tasks import TASKS, make_task
from lstm_baseline.tasks.automaton import AutomatonTask
from lstm_baseline.tasks.strings import PADDING
from lstm_baseline.training import TrainingSettings, evaluate, train

AUTOMATA = sorted(name for name in TASKS if isinstance(make_task(name), AutomatonTask))
RANGE = [1, 9]


def even(bits):
    return int(sum(a != b for a, b in pairwise(bits)) % 2 == 0)


def place(steps):
    return sum({0: 0, 1: 1, 2: -1}[k] for k in steps) % 5


def product(elements, of):
    """Multiply permutations, written as where they send 0 to 4, from left to right."""
    at = tuple(range(5))
    for k in elements:
        at = tuple(of[k][i] for i in at)
    return at


DEFINITIONS = {
    "parity": lambda tokens, task: sum(tokens) % 2,
    "even-pairs": lambda tokens, task: even(tokens),
    "cycle-navigation": lambda tokens, task: place(tokens),
}


@pytest.mark.parametrize("every_step", [False, True])
@pytest.mark.parametrize("name", sorted(DEFINITIONS))
def test_targets_are_what_the_task_asks(name, every_step):
    task = make_task(name, lengths=RANGE, every_step=every_step)
    batch = task.sample(300, np.random.default_rng(0))
    for x, y, n in zip(batch.x, batch.y, batch.lengths, strict=True):
        tokens = x[:n].tolist()
        if every_step:
            wanted = [DEFINITIONS[name](tokens[: t + 1], task) for t in range(n)]
            assert y[:n].tolist() == wanted
        else:
            assert y == DEFINITIONS[name](tokens, task)


@pytest.mark.parametrize("group", ["A5", "S5"])
def test_words_are_multiplied_as_permutations_are(group):
    task = make_task("word-problem", group=group, lengths=12)
    of = [tuple(int(digit) - 1 for digit in word) for word in task.symbols]
    assert len(set(of)) == len(of) == {"A5": 60, "S5": 120}[group]
    assert set(of) <= set(permutations(range(5)))
    batch = task.sample(50, np.random.default_rng(1))
    for x, y in zip(batch.x, batch.y, strict=True):
        for t in range(12):
            assert of[y[t]] == product(x[: t + 1], of)


def test_a5_is_closed_and_not_solvable():
    """Its commutators generate all of it: the reason why it is hard."""
    table = make_task("word-problem").transitions
    inverse = (table == 0).argmax(axis=1)
    found = {0}
    for a in range(60):
        for b in range(60):
            found.add(int(table[table[table[inverse[a], inverse[b]], a], b]))
    while True:
        more = {int(table[a, b]) for a in found for b in found} | found
        if more == found:
            break
        found = more
    assert len(found) == 60


def test_z60_adds():
    task = make_task("word-problem", group="Z60", lengths=RANGE)
    batch = task.sample(200, np.random.default_rng(2))
    for x, y, n in zip(batch.x, batch.y, batch.lengths, strict=True):
        np.testing.assert_array_equal(y[:n], x[:n].cumsum() % 60)


@pytest.mark.parametrize("name", AUTOMATA)
class TestLengths:
    def test_all_of_the_range_are_drawn_alike(self, name):
        batch = make_task(name, lengths=RANGE).sample(9000, np.random.default_rng(3))
        values, counts = np.unique(batch.lengths, return_counts=True)
        assert values.tolist() == list(range(1, 10))
        assert counts.min() > 800

    def test_padding_is_no_token(self, name):
        task = make_task(name, lengths=RANGE)
        batch = task.sample(500, np.random.default_rng(4))
        padding = np.arange(9) >= batch.lengths[:, None]
        assert (batch.x[padding] == PADDING).all()
        assert (batch.x[~padding] >= 0).all()
        assert set(batch.x[~padding].tolist()) == set(range(task.input_size))

    def test_rules_see_where_a_row_ends(self, name):
        task = make_task(name, lengths=RANGE)
        batch = task.sample(4000, np.random.default_rng(5))
        scores = {r.name: task.metric.measure(r.predict(batch.x), batch) for r in task.predictors()}
        assert scores["oracle"] == 1
        for rule, beliefs in (("length alone", 0), ("last 1 symbol", 1), ("last 2 symbols", 2)):
            if rule in scores:
                expected = task._expected(task._beliefs(beliefs))
                assert scores[rule] == pytest.approx(expected, abs=0.03)
                assert scores[rule] > scores["chance"]

    def test_one_length_needs_no_lengths(self, name):
        fixed, pair = make_task(name, lengths=4), make_task(name, lengths=[4, 4])
        assert fixed.config() == pair.config()
        assert fixed.sample(3, np.random.default_rng(0)).lengths is None


def test_the_rules_of_the_ladder_are_the_best_that_know_so_little():
    """Counted over all strings: no guess from length and last symbols is right more often."""
    task = make_task("cycle-navigation", lengths=[1, 5])
    hits = {0: [], 1: [], 2: []}
    for n in range(1, 6):
        strings = np.stack(np.meshgrid(*[np.arange(3)] * n, indexing="ij"), -1).reshape(-1, n)
        answers = np.array([place(s) for s in strings])
        for known, found in hits.items():
            last = strings[:, max(0, n - known) :]
            _, group = np.unique(last, axis=0, return_inverse=True) if known else (0, 0 * answers)
            counts = np.zeros((group.max() + 1, 5))
            np.add.at(counts, (group.ravel(), answers), 1)
            found.append(counts.max(axis=1).sum() / len(strings))
    for known, found in hits.items():
        assert task._expected(task._beliefs(known)) == pytest.approx(np.mean(found), abs=1e-12)


def test_parity_has_no_rule_between_chance_and_oracle():
    names = [rule.name for rule in make_task("parity", lengths=[10, 40]).predictors()]
    assert names == ["chance", "oracle"]
    bits = make_task("parity", lengths=6).sample(100_000, np.random.default_rng(0))
    for left_out in range(6):
        seen = np.delete(bits.x, left_out, axis=1).sum(axis=1) % 2
        assert (seen == bits.y).mean() == pytest.approx(0.5, abs=0.01)


def test_even_pairs_asks_for_the_ends_alone():
    task = make_task("even-pairs", lengths=[2, 30])
    batch = task.sample(2000, np.random.default_rng(6))
    ends = batch.x[:, 0] == batch.x[np.arange(2000), batch.lengths - 1]
    np.testing.assert_array_equal(ends, batch.y == 1)


@pytest.mark.parametrize("every_step", [False, True])
def test_parity_is_learned_and_holds_at_lengths_never_seen(every_step):
    task = make_task("parity", lengths=[1, 8], every_step=True)
    settings = TrainingSettings(
        num_steps=700, batch_size=64, learning_rate=0.02, evaluate_every=100, clip_norm=1.0
    )
    model = LSTM(2, 16, 2, rng=0)
    train(model, task, settings, seed=0)
    longer = make_task("parity", lengths=[40, 60], every_step=every_step)
    assert evaluate(model, longer, longer.sample(300, np.random.default_rng(0))) > 0.99


def test_a_row_of_padding_alone_cannot_be_asked():
    with pytest.raises(InputError, match="lengths is 0"):
        make_task("even-pairs", lengths=0)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("parity", {"every_step": True}),
        ("word-problem", {}),
        ("modular-arithmetic", {}),
        ("reverse", {}),
        ("stack", {}),
    ],
)
def test_tests_of_long_rows_have_fewer_of_them(name, arguments):
    """So they take no longer than others, and no more memory."""
    short, long = make_task(name), make_task(name, lengths=[129, 256], **arguments)
    assert short.test_size == short.ladder_size == 20_000
    assert 100 <= long.test_size < 10_000
    batch = long.test(0)
    assert batch.x.size <= 2**20
    assert len(batch.x) * long.output_size * (batch.x.shape[1] if long.per_step else 1) <= 2**26
    assert long.validation_size <= long.test_size
