"""The control of a task with a question: the same stories with another question each."""

import math

import numpy as np
import pytest

from lstm_baseline.tasks import Batch, make_task

SIZE = 400

TASKS_THAT_ASK = [
    ("qa", {}),
    ("qa", {"num_persons": 2, "num_objects": 2, "num_places": 2, "num_facts": 4}),
    ("object-tracking", {}),
    ("object-tracking", {"num_objects": 2, "grid": 2, "num_sightings": 2}),
    ("object-tracking-position", {"num_objects": 4, "grid": 2}),
    ("pair-matching", {}),
    ("pair-matching", {"num_pairs": 2, "num_symbols": 4}),
    ("nth-farthest", {}),
    ("nth-farthest", {"num_vectors": 3, "dimensions": 1}),
]


@pytest.fixture(params=TASKS_THAT_ASK, ids=lambda param: "-".join(map(str, (param[0], *param[1]))))
def task(request):
    name, arguments = request.param
    return make_task(name, **arguments)


def only_one(vector):
    """Return the position of the single 1 of a one-hot, as plain Python."""
    values = [float(v) for v in vector]
    assert sorted(values) == [0.0] * (len(values) - 1) + [1.0]
    return values.index(1.0)


def qa(task, x):
    persons, places = task.num_persons, task.num_places
    place_of, holder_of = {}, {}
    for step in x[:-1]:
        who, where = only_one(step[:persons]), step[persons:][:places]
        if where.any():
            place_of[who] = only_one(where)
        else:
            holder_of[only_one(step[persons + places : -1])] = who
    asked = only_one(x[-1, persons + places : -1])
    return asked, {thing: place_of[who] for thing, who in holder_of.items()}


def tracking(task, x):
    objects, grid = task.num_objects, task.grid
    where = {}
    for step in x[:-1]:
        cell = only_one(step[objects:][:grid]), only_one(step[objects + grid : -1])
        where[only_one(step[:objects])] = cell
    return only_one(x[-1, :objects]), where


def pairs(task, x):
    symbols, partner = task.num_symbols, {}
    for step in x[:-1]:
        a, b = only_one(step[:symbols]), only_one(step[symbols:-1])
        partner[a], partner[b] = b, a
    return only_one(x[-1, :symbols]), partner


def farthest(task, x):
    dimensions, count = task.dimensions, task.num_vectors
    vectors = {only_one(step[dimensions:][:count]): step[:dimensions].tolist() for step in x}
    answers = {}
    for m in vectors:
        names = sorted(vectors, key=lambda k: math.dist(vectors[k], vectors[m]), reverse=True)
        answers |= {(n, m): name for n, name in enumerate(names)}
    for step in x:
        asked = only_one(step[-2 * count : -count]), only_one(step[-count:])
        assert (step[-2 * count :] == x[0, -2 * count :]).all()
    return asked, answers


def asked_and_answers(task, x):
    """Return a row's question, and all that could be asked about it with their answers."""
    read = {"qa": qa, "pair-matching": pairs, "nth-farthest": farthest}
    return read.get(task.name, tracking)(task, x)


def target(task, answer):
    """Return an answer in the form of a target."""
    if task.name == "object-tracking":
        return task.grid * answer[1] + answer[0]
    if task.name == "object-tracking-position":
        return [answer[0] / (task.grid - 1), answer[1] / (task.grid - 1)]
    return answer


def question_part(task, x):
    """Return the entries of x (B, T, I) where the question stands, as a mask (T, I)."""
    mask = np.zeros(x.shape[1:], bool)
    if task.name == "qa":
        mask[-1, task.num_persons + task.num_places : -1] = True
    elif task.name == "pair-matching":
        mask[-1, : task.num_symbols] = True
    elif task.name == "nth-farthest":
        mask[:, -2 * task.num_vectors :] = True
    else:
        mask[-1, : task.num_objects] = True
    return mask


def possible(asked, answers):
    """Return the questions that may be drawn instead of the one asked."""
    others = [question for question in answers if question != asked]
    return [q for q in others if answers[q] != answers[asked]] or others


def test_only_the_question_changes_to_another_valid_one(task):
    batch = task.sample(SIZE, np.random.default_rng(1))
    before = batch.x.copy()
    other = task.with_other_questions(batch, np.random.default_rng(2))
    assert np.array_equal(batch.x, before)
    assert other.x.dtype == np.float32
    assert np.array_equal(other.y, batch.y)
    outside = ~question_part(task, before)
    assert np.array_equal(other.x[:, outside], before[:, outside])
    oracle = task.predictors()[-1].predict(other.x)
    answered = oracle if task.loss == "mean_squared_error" else oracle.argmax(axis=-1)
    for row in range(SIZE):
        asked, answers = asked_and_answers(task, before[row])
        now, same_answers = asked_and_answers(task, other.x[row])
        assert answers == same_answers
        assert now in possible(asked, answers)
        assert answered[row].tolist() == pytest.approx(target(task, answers[now]))


@pytest.mark.slow
def test_questions_are_equally_likely_and_drawn_by_the_generator(task):
    row = task.sample(1, np.random.default_rng(3))
    size = 20_000
    batch = Batch(np.repeat(row.x, size, axis=0), np.repeat(row.y, size, axis=0))
    x = task.with_other_questions(batch, np.random.default_rng(4)).x
    asked, answers = asked_and_answers(task, row.x[0])
    questions, counts = np.unique(x, axis=0, return_counts=True)
    drawn = [asked_and_answers(task, q)[0] for q in questions]
    assert sorted(drawn) == sorted(possible(asked, answers))
    expected = size / len(drawn)
    assert np.abs(counts - expected).max() < 5 * math.sqrt(expected)
    again = task.with_other_questions(batch, np.random.default_rng(4)).x
    assert np.array_equal(x, again)
    if len(drawn) > 1:
        assert not np.array_equal(x, task.with_other_questions(batch, np.random.default_rng(5)).x)


def test_who_heeds_the_question_falls_and_who_does_not_stays():
    free = {
        "qa": ["last place named", "most crowded place", "place of most objects"],
        "object-tracking": ["last position seen", "fullest cell"],
        "object-tracking-position": ["last position seen", "mean of all objects"],
        "pair-matching": [],
        "nth-farthest": [],
    }
    for name, unheeding in free.items():
        task = make_task(name)
        batch = task.sample(5000, np.random.default_rng(6))
        other = task.with_other_questions(batch, np.random.default_rng(7))
        rules = {rule.name: rule.predict for rule in task.predictors()}
        scores = {n: task.metric.measure(rule(other.x), other) for n, rule in rules.items()}
        for rule in unheeding:
            assert scores[rule] == task.metric.measure(rules[rule](batch.x), batch)
        if name in ("pair-matching", "nth-farthest"):
            assert scores["oracle"] == 0  # another answer is always to be had
        elif name == "object-tracking-position":
            assert scores["oracle"] > scores["constant mean"]
        else:
            assert scores["oracle"] < 0.1


def test_lengths_go_along():
    task = make_task("qa")
    batch = task.sample(3, np.random.default_rng(0))._replace(lengths=np.full(3, 13))
    other = task.with_other_questions(batch, np.random.default_rng(0))
    assert other.lengths is batch.lengths


@pytest.mark.parametrize(
    ("name", "arguments"),
    [("adding", {}), ("copy-memory", {}), ("parity", {}), ("qa", {"num_objects": 1})],
)
def test_without_a_second_question_there_is_no_control(name, arguments):
    task = make_task(name, **arguments)
    batch = task.sample(3, np.random.default_rng(0))
    assert task.with_other_questions(batch, np.random.default_rng(0)) is None


def test_what_the_oracle_scores_on_other_questions_is_what_two_questions_share():
    # With two persons and two objects, both are in one place as often as one person has both, or
    # two persons are in one of five places.
    shared = 1 / 2 + 1 / 2 * 1 / 5
    small = make_task("qa", num_persons=2, num_objects=2, num_places=5, num_facts=7)
    assert small.oracle_on_other_questions() == pytest.approx(shared, abs=0.01)
    # Pairs are of different symbols, so two questions never share an answer.
    assert make_task("pair-matching").oracle_on_other_questions() == 0
    assert make_task("adding").oracle_on_other_questions() is None
