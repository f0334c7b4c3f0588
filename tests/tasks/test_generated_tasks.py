"""Each generated task against a plain reading of its stories and the scores that are known."""

import math
from collections import Counter

import numpy as np
import pytest

from lstm_baseline.tasks import Batch, NthFarthest, make_task

NUM_STORIES = 500
SIGMAS = 5


def only_one(vector):
    """Return the position of the single 1 of a one-hot, as plain Python."""
    values = [float(v) for v in vector]
    assert sorted(values) == [0.0] * (len(values) - 1) + [1.0]
    return values.index(1.0)


def position_or_none(vector):
    return None if not any(vector) else only_one(vector)


def stories(task):
    batch = task.sample(NUM_STORIES, np.random.default_rng(11))
    return zip(batch.x, batch.y, strict=True)


def scores(task, size=20_000):
    batch = task.sample(size, np.random.default_rng(12))
    return {r.name: task.metric.measure(r.predict(batch.x), batch) for r in task.predictors()}


def near(share, size=20_000):
    """Return a share as measured on `size` samples, give or take 5 standard errors."""
    return pytest.approx(share, abs=SIGMAS * math.sqrt(share * (1 - share) / size))


def predictions(task, size=300):
    """Return some rows and every rule's predictions for them, by name."""
    x = task.sample(size, np.random.default_rng(11)).x
    return x, {rule.name: rule.predict(x) for rule in task.predictors()}


def bets(logits):
    """Return the classes with the largest logit, each with its share of the bet."""
    best = np.flatnonzero(logits == logits.max())
    return {int(k): 1 / len(best) for k in best}


def shared(answers):
    """Return each answer with an equal share of the bet."""
    return {k: 1 / len(set(answers)) for k in answers}


def modes(answers):
    """Return the most frequent answers, each with its share of the bet."""
    counts = Counter(answers)
    return shared([k for k, count in counts.items() if count == max(counts.values())])


def assert_balanced(answers, num_answers):
    counts = np.bincount(answers, minlength=num_answers)
    expected = len(answers) / num_answers
    assert len(counts) == num_answers
    assert np.abs(counts - expected).max() < SIGMAS * math.sqrt(expected)


def answers(task, size=20_000):
    return task.sample(size, np.random.default_rng(13)).y


# Object tracking


@pytest.mark.parametrize("name", ["object-tracking", "object-tracking-position"])
def test_tracked_object_is_where_it_was_last_shown(name):
    task = make_task(name)
    for x, y in stories(task):
        where = {}
        for step in x[:-1]:
            thing, column, row = only_one(step[:3]), only_one(step[3:8]), only_one(step[8:13])
            if thing in where:
                # One step of a walk since its own last sighting, if any.
                assert abs(where[thing][0] - column) + abs(where[thing][1] - row) <= 1
            where[thing] = column, row
            assert step[13] == 0
        assert set(where) == {0, 1, 2}
        question = x[-1]
        assert question[13] == 1
        assert not question[3:13].any()
        column, row = where[only_one(question[:3])]
        if name == "object-tracking":
            assert y == 5 * row + column
        else:
            assert y.tolist() == [column / 4, row / 4]


def test_every_move_occurs():
    moves = Counter()
    for x, _ in stories(make_task("object-tracking", num_objects=2, grid=9)):
        where = {}
        for step in x[:-1]:
            thing, column, row = only_one(step[:2]), only_one(step[2:11]), only_one(step[11:20])
            if thing in where:
                moves[column - where[thing][0], row - where[thing][1]] += 1
            where[thing] = column, row
    assert set(moves) == {(0, 0), (1, 0), (-1, 0), (0, 1), (0, -1)}
    # At the edge, a step off the board leaves the object where it is.
    stays = moves.pop((0, 0)) / moves.total()
    assert stays == pytest.approx((1 / 5 + 4 / 5 / 9) / (4 / 5 * 8 / 9), rel=0.1)
    assert min(moves.values()) > 0.8 * max(moves.values())


def test_tracking_ladder():
    size = 200_000
    found = scores(make_task("object-tracking"), size)
    assert found["chance"] == pytest.approx(1 / 25)
    assert found["last position seen"] == near(1 / 3 + 2 / 3 / 25, size)
    # Of the 25³ ways in which three objects lie, 25 have all in one cell, 25·24·3 just two.
    shares = {1: 25, 2 / 3: 25 * 24 * 3, 1 / 3: 25 * 24 * 23}
    fullest = sum(share * ways for share, ways in shares.items()) / 25**3
    assert found["fullest cell"] == pytest.approx(fullest, abs=0.003)
    variance = (5 + 1) / (12 * (5 - 1))
    found = scores(make_task("object-tracking-position"), size)
    assert found["constant mean"] == pytest.approx(variance, rel=0.01)
    assert found["last position seen"] == pytest.approx(variance * (1 - 1 / 9), rel=0.01)
    assert found["mean of all objects"] == pytest.approx(variance * (1 - 1 / 3), rel=0.01)


def last_cells(x, num_objects, grid):
    """Return column and row where each object was last seen, as plain Python."""
    where = {}
    for step in x[:-1]:
        cell = step[num_objects : num_objects + grid], step[num_objects + grid : -1]
        where[only_one(step[:num_objects])] = tuple(map(only_one, cell))
    return where


def test_rules_that_follow_every_object_are_what_they_say():
    x, rules = predictions(make_task("object-tracking", num_objects=4, grid=3))
    for row, logits in zip(x, rules["fullest cell"], strict=True):
        cells = last_cells(row, 4, 3).values()
        assert bets(logits) == modes([3 * down + across for across, down in cells])
    x, rules = predictions(make_task("object-tracking-position"))
    for row, values in zip(x, rules["mean of all objects"], strict=True):
        columns, rows = zip(*last_cells(row, 3, 5).values(), strict=True)
        assert values.tolist() == pytest.approx([sum(columns) / 3 / 4, sum(rows) / 3 / 4], abs=1e-6)


def test_tracking_answers_are_balanced():
    assert_balanced(answers(make_task("object-tracking")), 25)


# Pair matching


def test_partner_is_the_other_symbol_of_the_pair():
    task = make_task("pair-matching")
    asked_sides = Counter()
    for x, y in stories(task):
        partner = {}
        for step in x[:-1]:
            a, b = only_one(step[:16]), only_one(step[16:32])
            partner[a], partner[b] = b, a
            assert step[32] == 0
        assert len(partner) == 8
        assert x[-1, 32] == 1
        assert not x[-1, 16:32].any()
        asked = only_one(x[-1, :16])
        asked_sides[asked in x[:-1, :16].argmax(axis=-1)] += 1
        assert y == partner[asked]
    assert min(asked_sides[False], asked_sides[True]) > 0.4 * NUM_STORIES


def test_pair_matching_ladder():
    found = scores(make_task("pair-matching"))
    assert found["chance"] == pytest.approx(1 / 16)
    assert found["any symbol seen"] == pytest.approx(1 / 7)
    assert found["other side"] == pytest.approx(1 / 4)
    assert found["last pair"] == near(1 / 4 + 3 / 4 / 15)
    found = scores(make_task("pair-matching", num_pairs=2))
    assert found["any symbol seen"] == pytest.approx(1 / 3)
    assert found["other side"] == pytest.approx(1 / 2)
    assert found["last pair"] == near(1 / 2 + 1 / 2 / 15)


def test_pair_matching_heuristics_are_what_they_say():
    x, rules = predictions(make_task("pair-matching"))
    for row, story in enumerate(x):
        pairs = [(only_one(step[:16]), only_one(step[16:32])) for step in story[:-1]]
        asked = only_one(story[-1, :16])
        firsts, seconds = zip(*pairs, strict=True)
        assert bets(rules["other side"][row]) == shared(seconds if asked in firsts else firsts)
        known = pairs[-1] if asked in pairs[-1] else range(16)
        assert bets(rules["last pair"][row]) == shared([k for k in known if k != asked])
        seen = {k for k in firsts + seconds if k != asked}
        assert bets(rules["any symbol seen"][row]) == shared(list(seen))


def test_pair_matching_answers_are_balanced():
    assert_balanced(answers(make_task("pair-matching")), 16)


# Question answering


def test_object_is_where_the_one_who_took_it_went_last():
    task = make_task("qa")
    for x, y in stories(task):
        place_of, holder_of = {}, {}
        for step in x[:-1]:
            person = only_one(step[:4])
            place, thing = position_or_none(step[4:10]), position_or_none(step[10:14])
            assert (place is None) != (thing is None)
            if place is not None:
                place_of[person] = place
            else:
                assert thing not in holder_of
                holder_of[thing] = person
            assert step[14] == 0
        question = x[-1]
        assert question[14] == 1
        assert not question[:10].any()
        # A question without answer would be a KeyError here.
        assert y == place_of[holder_of[only_one(question[10:14])]]


def plain_guesses(x):
    """Return the shares that the heuristics give each place, as plain Python."""
    named = [only_one(step[4:10]) for step in x[:-1] if step[4:10].any()]
    place_of = {only_one(step[:4]): only_one(step[4:10]) for step in x[:-1] if step[4:10].any()}
    # A person once for each thing that he or she takes.
    takers = [only_one(step[:4]) for step in x[:-1] if step[10:14].any()]
    return {
        "last place named": {named[-1]: 1.0},
        "most frequent place": modes(named),
        "most crowded place": modes(place_of.values()),
        "place of most objects": modes(place_of[person] for person in takers),
        "taker's most frequent place": modes(
            only_one(step[4:10])
            for step in x[:-1]
            if step[4:10].any() and only_one(step[:4]) == taker_of_asked(x)
        ),
    }


def taker_of_asked(x):
    asked = only_one(x[-1][10:14])
    return next(only_one(step[:4]) for step in x[:-1] if step[10 + asked])


def test_qa_heuristics_are_what_they_say():
    x, rules = predictions(make_task("qa"), NUM_STORIES)
    for row, story in enumerate(x):
        for name, shares in plain_guesses(story).items():
            assert bets(rules[name][row]) == shares


def test_qa_ladder():
    size = 100_000
    found = scores(make_task("qa"), size)
    assert found["chance"] == pytest.approx(1 / 6)
    assert found["last place named"] == near(1 / 4 + 3 / 4 / 6, size)
    # Far from 1: no heuristic stands in for the two hops and the order.
    assert found["most frequent place"] == near(0.366, size)
    assert found["most crowded place"] == near(0.455, size)
    assert found["place of most objects"] == near(0.617, size)
    assert found["taker's most frequent place"] == near(0.693, size)


def test_where_everybody_moves_once_no_order_can_be_forgotten():
    rules = [rule.name for rule in make_task("qa", num_facts=8).predictors()]
    assert "taker's most frequent place" not in rules


def test_a_single_object_leaves_nothing_to_ask():
    rules = [rule.name for rule in make_task("qa", num_objects=1).predictors()]
    assert "place of most objects" not in rules
    assert "most crowded place" in rules


def test_qa_answers_are_balanced():
    assert_balanced(answers(make_task("qa")), 6)


# Nth Farthest


def test_nth_farthest_by_plain_sorting():
    task = make_task("nth-farthest")
    for x, y in stories(task):
        vectors = {only_one(step[16:24]): [float(v) for v in step[:16]] for step in x}
        assert set(vectors) == set(range(8))
        assert (x[:, 24:] == x[0, 24:]).all()
        n, m = only_one(x[0, 24:32]) + 1, only_one(x[0, 32:40])
        farthest_first = sorted(
            vectors, key=lambda name: math.dist(vectors[name], vectors[m]), reverse=True
        )
        assert y == farthest_first[n - 1]
        if n == 8:
            assert y == m


def test_nth_farthest_inputs():
    batch = make_task("nth-farthest").sample(5000, np.random.default_rng(0))
    vectors, names = batch.x[..., :16], batch.x[..., 16:24].argmax(axis=-1)
    assert vectors.min() < -0.99
    assert vectors.max() > 0.99
    assert abs(vectors.mean()) < 0.01
    assert vectors.var() == pytest.approx(1 / 3, rel=0.01)
    for step in range(8):
        assert_balanced(names[:, step], 8)


def test_nth_farthest_ladder():
    size = 200_000
    found = scores(make_task("nth-farthest"), size)
    assert found["chance"] == pytest.approx(1 / 8)
    assert found["self case"] == near(0.25, size)
    assert found["self case and norm"] == near(0.3076, size)
    assert found["m in 1 coordinate"] == near(0.320, size)
    assert found["m in 4 coordinates"] == near(0.358, size)
    assert found["m in 8 coordinates"] == near(0.424, size)


def norm_and_product(vector, part):
    """Return a vector's squared norm less twice its product with the first coordinates of m."""
    return sum(v * v for v in vector) - 2 * sum(v * m for v, m in zip(vector, part, strict=False))


@pytest.mark.parametrize(
    ("dimensions", "known"),
    [(16, [1, 4, 8]), (9, [1, 2, 4]), (4, [1, 2]), (3, [1]), (2, [1]), (1, [])],
)
def test_rules_between_norm_and_oracle_know_m_in_part(dimensions, known):
    task = make_task("nth-farthest", dimensions=dimensions)
    x, rules = predictions(task)
    names = [f"m in {k} coordinate{'s' * (k > 1)}" for k in known]
    assert list(rules) == ["chance", "self case", "self case and norm", *names, "oracle"]
    for row, story in enumerate(x):
        vectors = {only_one(step[dimensions:][:8]): step[:dimensions].tolist() for step in story}
        n, m = only_one(story[0, dimensions + 8 :][:8]) + 1, only_one(story[0, -8:])
        for count, name in zip([0, *known], ["self case and norm", *names], strict=True):
            scores = {
                norm_and_product(vector, vectors[m][:count]): who
                for who, vector in vectors.items()
                if who != m
            }
            ranked = [scores[score] for score in sorted(scores, reverse=True)]
            assert bets(rules[name][row]) == {[*ranked, m][n - 1]: 1}


def test_nth_farthest_answers_are_balanced():
    assert_balanced(answers(make_task("nth-farthest")), 8)


def test_score_without_self_counts_the_other_questions_only():
    task = NthFarthest()
    batch = task.sample(20_000, np.random.default_rng(1))
    self_case, oracle = (task.predictors()[i].predict(batch.x) for i in (1, -1))
    assert task.score_without_self(oracle, batch) == 1
    assert task.score_without_self(self_case, batch) == pytest.approx(1 / 7)
    asks_m = batch.x[:, 0, 31] == 1
    wrong_on_self = np.where(asks_m[:, None], -oracle, oracle)
    assert task.score_without_self(wrong_on_self, batch) == 1


# Adding


def test_sum_of_the_marked_numbers():
    first_markers, second_markers = set(), set()
    for x, y in stories(make_task("adding", length=9)):
        marked = [step for step in range(9) if x[step, 1] == 1]
        assert sorted(x[:, 1].tolist()) == [0.0] * 7 + [1.0] * 2
        first_markers.add(marked[0])
        second_markers.add(marked[1])
        assert y.shape == (1,)
        assert y[0] == x[marked[0], 0] + x[marked[1], 0]
    assert first_markers == {0, 1, 2, 3}
    assert second_markers == {4, 5, 6, 7, 8}


def test_adding_ladder():
    found = scores(make_task("adding"), 100_000)
    assert found["constant"] == pytest.approx(1 / 6, rel=0.02)
    assert found["means of the halves"] == pytest.approx((1 - 1 / 25) / 6, rel=0.02)
    assert found["last marked number"] == pytest.approx(1 / 12, rel=0.02)
    # On the same rows it is the share that counts: 1/25 less.
    assert 0.03 < 1 - found["means of the halves"] / found["constant"] < 0.05


def test_adding_heuristics_are_what_they_say():
    x, rules = predictions(make_task("adding", length=9))
    for row, story in enumerate(x):
        numbers, marks = story[:, 0].tolist(), story[:, 1].tolist()
        means = sum(numbers[:4]) / 4 + sum(numbers[4:]) / 5
        assert rules["means of the halves"][row, 0] == pytest.approx(means, abs=1e-6)
        last = [number for number, mark in zip(numbers, marks, strict=True) if mark][-1]
        assert rules["last marked number"][row, 0] == pytest.approx(last + 0.5, abs=1e-6)


def test_two_numbers_are_both_marked():
    rules = [rule.name for rule in make_task("adding", length=2).predictors()]
    assert rules == ["constant", "last marked number", "oracle"]


# Copy memory


def test_symbols_are_repeated_after_the_go_signal():
    for x, y in stories(make_task("copy-memory", delay=6)):
        shown = [only_one(step) for step in x]
        symbols = shown[:10]
        assert len(shown) == 26
        assert all(symbol < 8 for symbol in symbols)
        assert shown[10:] == [8] * 5 + [9] + [8] * 10
        assert y.tolist() == [8] * 16 + symbols


@pytest.mark.parametrize("delay", [30, 100])
def test_copy_memory_ladder(delay):
    found = scores(make_task("copy-memory", delay=delay), size=200)
    assert found["chance"] == pytest.approx(math.log(9))
    assert found["memoryless"] == pytest.approx(10 * math.log(8) / (delay + 20), rel=1e-6)


def test_symbols_in_any_order():
    found = scores(make_task("copy-memory"), size=20_000)
    # Each of 8 symbols is shown k times of 10 with the binomial's probability, and then is the
    # answer k times, with a belief of k/10.
    chances = [math.comb(10, k) * 7 ** (10 - k) / 8**10 for k in range(11)]
    nats = sum(8 * chances[k] * k * -math.log(k / 10) for k in range(1, 11))
    assert found["any order"] == pytest.approx(nats / 50, rel=0.005)
    assert found["any order"] == pytest.approx(0.332, abs=0.002)


def test_any_order_is_what_it_says():
    x, rules = predictions(make_task("copy-memory", delay=3, num_recalled=5, num_symbols=4), 50)
    for row, story in enumerate(x):
        counts = Counter(only_one(step) for step in story[:5])
        beliefs = np.exp(rules["any order"][row]).tolist()
        assert beliefs[:8] == [[0, 0, 0, 0, 1]] * 8
        after = [*(counts[k] / 5 for k in range(4)), 0]
        assert beliefs[8:] == [pytest.approx(after)] * 5


def test_a_single_symbol_has_no_order():
    rules = [rule.name for rule in make_task("copy-memory", num_recalled=1).predictors()]
    assert rules == ["chance", "memoryless", "oracle"]


def test_copied_symbols_are_balanced():
    assert_balanced(answers(make_task("copy-memory"), 2000)[:, -10:].ravel(), 8)


def test_a_model_that_ignores_the_story_scores_chance():
    """A permuted batch breaks the link between story and answer: no oracle survives it."""
    for name in ("object-tracking", "pair-matching", "qa", "nth-farthest"):
        task = make_task(name)
        batch = task.sample(20_000, np.random.default_rng(2))
        oracle = task.predictors()[-1].predict(batch.x)
        mixed = Batch(batch.x, np.roll(batch.y, 1))
        assert task.metric.measure(oracle, mixed) == near(1 / task.output_size)


# Parity
