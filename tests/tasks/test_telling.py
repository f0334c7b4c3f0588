"""Samples and answers in words: a person can read them, and loses nothing that matters."""

import re

import numpy as np
import pytest

from lstm_baseline.tasks import TASKS, Task, make_task
from lstm_baseline.tasks.telling import decimals, in_a_row, ordinal

SIZES = [
    *[(name, {}) for name in sorted(TASKS)],
    ("object-tracking", {"num_objects": 2, "grid": 2, "num_sightings": 2}),
    ("object-tracking", {"num_objects": 7, "grid": 13, "num_sightings": 41}),
    ("object-tracking-position", {"num_objects": 2, "grid": 2, "num_sightings": 2}),
    ("object-tracking-position", {"num_objects": 5, "grid": 7, "num_sightings": 11}),
    ("pair-matching", {"num_pairs": 2, "num_symbols": 4}),
    ("pair-matching", {"num_pairs": 37, "num_symbols": 79}),
    ("qa", {"num_persons": 2, "num_objects": 1, "num_places": 2, "num_facts": 3}),
    ("qa", {"num_persons": 5, "num_objects": 7, "num_places": 11, "num_facts": 43}),
    ("nth-farthest", {"num_vectors": 3, "dimensions": 1}),
    ("nth-farthest", {"num_vectors": 37, "dimensions": 5}),
    ("adding", {"length": 2}),
    ("adding", {"length": 101}),
    ("parity", {"lengths": 1}),
    ("parity", {"lengths": 53}),
    ("modular-arithmetic", {"lengths": 2}),
    ("modular-arithmetic", {"lengths": [3, 41], "brackets": True}),
    ("reverse", {"lengths": 1, "num_symbols": 3}),
    ("reverse", {"lengths": 31, "num_symbols": 11}),
    ("bucket-sort", {"lengths": [1, 9], "num_symbols": 12}),
    ("stack", {"lengths": [2, 23]}),
    ("induction-heads", {"vocabulary": 3, "length": 4}),
    ("induction-heads", {"vocabulary": 41, "length": 91}),
    ("noisy-recall", {"vocabulary": 4, "length": 13, "noise_vocabulary": 1}),
    ("noisy-recall", {"vocabulary": 22, "length": 91, "noise": 0.6}),
    ("copy-memory", {"delay": 1, "num_recalled": 1, "num_symbols": 2}),
    ("copy-memory", {"delay": 13, "num_recalled": 41, "num_symbols": 11}),
]


@pytest.fixture(params=SIZES, ids=lambda size: "-".join(map(str, (size[0], *size[1].values()))))
def task(request):
    name, arguments = request.param
    return make_task(name, **arguments)


@pytest.fixture
def batch(task):
    return task.sample(150, np.random.default_rng(7))


def test_a_sample_is_one_line_that_ends_with_the_question(task, batch):
    for x in batch.x:
        told = task.tell(x)
        assert told.isprintable()
        assert told.endswith("?")
        assert told.count("?") == 1
        assert len(told) < 1500


def test_samples_are_told_apart(task, batch):
    different = {x.tobytes(): task.tell(x) for x in batch.x}
    assert len(set(different.values())) == len(different)


def test_samples_with_another_question_are_told_apart(task, batch):
    other = task.with_other_questions(batch, np.random.default_rng(0))
    if other is None:
        pytest.skip("no second question")
    for x, asked in zip(batch.x, other.x, strict=True):
        story, question = task.tell(x).rsplit("; ", 1)
        assert task.tell(asked).rsplit("; ", 1)[1] != question
        if "farthest" not in question:  # there the distances are those from another vector
            assert task.tell(asked).rsplit("; ", 1)[0] == story


def counted(of_rows, batch):
    """Return each row's targets, or outputs, that count."""
    masks = [...] * len(batch.x) if batch.mask is None else batch.mask
    return [row[mask] for row, mask in zip(of_rows, masks, strict=True)]


def test_the_oracle_s_answer_is_the_target_s(task, batch):
    if task.noisy:
        pytest.skip("x does not tell y for certain")
    oracle = task.predictors()[-1].predict(batch.x)
    for output, target in zip(counted(oracle, batch), counted(batch.y, batch), strict=True):
        answer = task.answer(target)
        if task.name == "lorenz":  # where a rounding may turn the last digit
            output = np.where(np.abs(output - target) < 1e-5, target, output)
        assert task.answer(output) == answer
        assert answer.isprintable()
        assert answer


def test_different_answers_differ_in_words(task, batch):
    different = {np.round(y, 3).tobytes(): task.answer(y) for y in counted(batch.y, batch)}
    assert len(set(different.values())) == len(different)


def test_any_output_has_an_answer(task, batch):
    """A model's outputs are no probabilities, and its values may be out of range."""
    shape = (task.output_size,)
    if task.per_step:
        shape = (batch.x.shape[1], *shape)
    for output in np.random.default_rng(0).normal(size=(20, *shape)).astype(np.float32):
        assert task.answer(output).isprintable()


@pytest.mark.parametrize("name", ["adding", "parity"])
def test_the_answer_is_to_be_worked_out(name):
    """In the other tasks every possible answer is part of the story."""
    task = make_task(name)
    batch = task.sample(150, np.random.default_rng(7))
    for x, y in zip(batch.x, batch.y, strict=True):
        assert task.answer(y) not in re.split(r"[ ,;?]+", task.tell(x))


def test_a_task_without_words_tells_nothing():
    assert Task.tell(make_task("qa"), np.zeros((1, 1), np.float32)) == ""
    assert Task.answer(make_task("qa"), np.array(0)) == ""


class TestWords:
    """A sample made by hand, told word by word."""

    def test_qa(self):
        task = make_task("qa", num_persons=2, num_objects=1, num_places=3, num_facts=3)
        x = np.zeros((4, 7), np.float32)
        x[0, [1, 4]] = 1
        x[1, [1, 5]] = 1
        x[2, [0, 2]] = 1
        x[3, [5, 6]] = 1
        assert task.tell(x) == (
            "person 2 goes to place 3; person 2 takes object 1; person 1 goes to place 1; "
            "where is object 1?"
        )
        assert task.answer(np.array(2)) == "place 3"
        assert task.answer(np.array([0.1, 3, -2], np.float32)) == "place 2"

    def test_object_tracking(self):
        task = make_task("object-tracking", num_objects=2, grid=2, num_sightings=2)
        x = np.zeros((3, 7), np.float32)
        x[0, [1, 3, 4]] = 1
        x[1, [0, 2, 5]] = 1
        x[2, [1, 6]] = 1
        story = "object 2 at column 2, row 1; object 1 at column 1, row 2; where is object 2?"
        assert task.tell(x) == story
        assert task.answer(np.array(1)) == "column 2, row 1"
        assert task.answer(np.eye(4, dtype=np.float32)[2]) == "column 1, row 2"

    def test_object_tracking_position(self):
        task = make_task("object-tracking-position", num_objects=2, grid=3, num_sightings=2)
        x = np.zeros((3, 9), np.float32)
        x[0, [1, 3, 5]] = 1
        x[1, [0, 2, 7]] = 1
        x[2, [1, 8]] = 1
        assert task.tell(x) == (
            "object 2 at column 0.500, row 0.000; object 1 at column 0.000, row 1.000; "
            "where is object 2?"
        )
        wrong = np.array([-0.0404, 1.25], np.float32)
        assert task.answer(wrong) == "column −0.040, row 1.250"

    def test_pair_matching(self):
        task = make_task("pair-matching", num_pairs=2, num_symbols=4)
        x = np.zeros((3, 9), np.float32)
        x[0, [2, 4]] = 1
        x[1, [1, 7]] = 1
        x[2, [3, 8]] = 1
        assert task.tell(x) == (
            "symbol 3 with symbol 1; symbol 2 with symbol 4; what went with symbol 4?"
        )
        assert task.answer(np.array(1)) == "symbol 2"

    def test_nth_farthest(self):
        task = make_task("nth-farthest", num_vectors=3, dimensions=2)
        x = np.zeros((3, 11), np.float32)
        x[:, :2] = [(0, 0), (0.3, 0.4), (-1, 0)]
        x[[0, 1, 2], [4, 2, 3]] = 1
        x[:, [6, 10]] = 1
        assert task.tell(x) == (
            "vectors with their distances from vector 3: vector 3; vector 1 at 0.500; "
            "vector 2 at 1.000; which is the 2nd farthest from vector 3, itself included?"
        )
        assert task.answer(np.array(0)) == "vector 1"

    def test_adding(self):
        task = make_task("adding", length=4)
        x = np.array([[0.9, 0], [0.125, 1], [0.5, 1], [0.1, 0]], np.float32)
        assert task.tell(x) == (
            "of 4 numbers, number 2, 0.125, and number 3, 0.500, are marked; what is their sum?"
        )
        assert task.answer(np.array([0.625], np.float32)) == "0.625"
        assert task.answer(np.array([-0.0001], np.float32)) == "0.000"

    def test_copy_memory(self):
        task = make_task("copy-memory", delay=2, num_recalled=2, num_symbols=3)
        x = np.eye(5, dtype=np.float32)[[2, 0, 3, 4, 3, 3]]
        assert task.tell(x) == (
            "symbols 3 1, then 1 blank and the go signal; which symbols were shown, in order?"
        )
        assert task.answer(np.array([3, 3, 3, 3, 2, 0])) == "3 1"
        logits = np.eye(4, dtype=np.float32)[[3, 0, 3, 3, 2, 3]]
        assert task.answer(logits) == "3 blank, and 1 too early"

    def test_transductions(self):
        reverse, sort = make_task("reverse", lengths=3), make_task("bucket-sort", lengths=3)
        row = np.array([1, 0, 0, 2, 2, 2])
        assert reverse.tell(row) == "2 1 1; which symbols were shown, the last one first?"
        assert reverse.answer(np.array([0, 0, 1])) == "1 1 2"
        row = np.array([4, 0, 3, 5, 5, 5, -1, -1])
        assert sort.tell(row) == "5 1 4; which symbols were shown, in the order of the alphabet?"
        assert sort.answer(np.eye(5, dtype=np.float32)[[0, 3, 4]]) == "1 4 5"
        stack = make_task("stack", lengths=4)
        row = np.array([0, 1, 2, 4, 5, 5, 5, 5, 5])
        assert stack.tell(row) == ("0 1 pop push-1; what does the stack hold, from the top down?")
        assert stack.answer(np.array([1, 0, 2])) == "1 0 end"

    def test_induction_heads(self):
        task = make_task("induction-heads", vocabulary=5, length=6)
        assert task.tell(np.array([3, 4, 0, 2, 2, 4])) == "4 # 1 3 3; what followed #?"
        assert task.tell(np.array([4, 1, 0, 2, 2, 4])) == "# 2 1 3 3; what followed #?"
        assert task.answer(np.array(0)) == "1"
        assert task.answer(np.array([0, 0, 3, 1], np.float32)) == "3"

    def test_noisy_recall(self):
        task = make_task("noisy-recall", vocabulary=4, length=6, noise_vocabulary=3)
        assert task.tell(np.array([1, 3, 4, 6, 1, 3])) == (
            "1 3 ·0 ·2 1 3; which values do known keys have?"
        )
        assert task.answer(np.array([3])) == "3"

    def test_parity(self):
        task = make_task("parity", lengths=3)
        assert task.tell(np.array([1, 0, 1])) == "1 0 1; is the number of ones odd?"
        assert task.answer(np.array(0)) == "no"
        assert task.answer(np.array([0.0, 1.0], np.float32)) == "yes"


def test_the_middle_of_a_long_sequence_is_left_out():
    assert in_a_row(range(31), " ") == " ".join(map(str, range(31)))
    assert in_a_row(range(41), " ") == (
        f"{' '.join(map(str, range(15)))} … 11 more … {' '.join(map(str, range(26, 41)))}"
    )


def test_numbers_in_words():
    assert decimals([0.12345, -2.0, -0.0, 12.0]) == ["0.123", "−2.000", "0.000", "12.000"]
    assert [ordinal(n) for n in (1, 2, 3, 4, 11, 12, 13, 21, 102, 111, 1012)] == (
        ["1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "102nd", "111th", "1012th"]
    )
