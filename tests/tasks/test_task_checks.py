"""Tasks of the user's are refused by the first rule that they break, in one line."""

import re

import numpy as np
import pytest

from lstm_baseline import InputError
from lstm_baseline.tasks import Batch, Parity, checks, make_task
from lstm_baseline.tasks.leaks import check_leak
from lstm_baseline.testing import check_task
from tests.support.own_tasks import ECHO, MAJORITY, load_task

VOTES = "votes = rng.integers(2, size=(size, self.voters, 1))\n"
X = "votes.astype(np.float32)"
Y = "(votes.mean(axis=(1, 2)) > 0.5).astype(int)"
BATCH = f"Batch({X}, y)"
CHANCE, LAST = "np.zeros((len(x), 2))", "certain(x[:, -1, 0])"
ORACLE = "certain(x.mean((1, 2)) > 0.5)"
SAMPLE = "    def sample(self"
FIXED_VOTERS = ("self.voters, 1)", "25, 1)")

VALUES = (
    ('"cross_entropy", ACCURACY', '"mean_squared_error", MEAN_SQUARED_ERROR'),
    ("output_size = 1, 2", "output_size = 1, 1"),
    (Y, "votes.mean(axis=1).astype(np.float32)"),
    (CHANCE, "np.full((len(x), 1), 0.5)"),
    (LAST, "x[:, -3:].mean(axis=1)"),
    (ORACLE, "x.mean(axis=1)"),
)
"""Changes after which the share of votes is asked for."""

RAGGED = (
    (
        VOTES,
        f"{VOTES}        lengths = rng.integers(15, 26, size=size)\n"
        "        votes *= (np.arange(25) < lengths[:, None])[..., None]\n",
    ),
    (Y, "(votes.sum(axis=(1, 2)) > 9).astype(int)"),
    (BATCH, f"Batch({X}, y, lengths)"),
    (LAST, "certain(x[:, 15:, 0].sum(axis=1) > 2)"),
    (ORACLE, "certain(x.sum((1, 2)) > 9)"),
)
"""Changes after which rows differ in length."""


def with_line(line):
    """Return the change that draws samples after a line of code."""
    return VOTES, f"{VOTES}        {line}\n"


@pytest.fixture
def load(tmp_path, monkeypatch):
    return lambda *given: load_task(tmp_path, monkeypatch, *given)


@pytest.fixture
def refused(load):
    """Return a function that gives what is said of a task, after its name."""

    def told(*given):
        cls = load(*given)
        with pytest.raises(InputError) as caught:
            check_task(cls())
        message = str(caught.value)
        assert "\n" not in message
        assert message.startswith(f"{cls.__module__}:{cls.__name__}: ")
        return message.partition(": ")[2]

    return told


@pytest.fixture
def noted(load):
    """Return a function that gives the notes on a task, each after its name."""
    return lambda *given: [note.partition(": ")[2] for note in check_task(load(*given)())]


class TestGoodTasks:
    @pytest.mark.parametrize(
        "given",
        [(MAJORITY,), (ECHO,), (MAJORITY, *VALUES), (MAJORITY, *RAGGED)],
        ids=["classes", "every step", "values", "ragged"],
    )
    def test_nothing_is_said_of_them(self, noted, given):
        assert noted(*given) == []

    def test_a_dataclass(self, load):
        cls = load(
            MAJORITY,
            ("class Maj", "from dataclasses import dataclass\n\n\n@dataclass\nclass Maj"),
            ("    def __init__(self, voters=25):\n", "    voters: int = 25\n"),
            ("        self.voters = voters\n", ""),
        )
        assert check_task(cls(27)) == []

    def test_a_noisy_one_says_so(self, refused, noted):
        noise = Y, f"{Y} ^ (rng.random(size) < 0.1)"
        told = refused(MAJORITY, noise)
        assert re.match(r"the oracle scores 0\.\d+ in accuracy, and a perfect score is 1; ", told)
        assert noted(MAJORITY, noise, ("    name =", "    noisy = True\n    name =")) == []


@pytest.mark.parametrize(
    ("message", "old", "new"),
    [
        ("it does not state summary; a task has name, ", "summary =", "summery ="),
        ("it does not keep voters; its constructor keeps each", "self.voters = ", "self.all = "),
        ("name is ''; give a text", '"majority"', '""'),
        ("name is 'qa', a task of this package; give one of", '"majority"', '"qa"'),
        ("name has 61 letters; give at most 60", '"majority"', '"m" * 61'),
        ("input_size is 0; give a whole number from 1 on", "size = 1, 2", "size = 0, 2"),
        ("output_size is 1; give two classes at least", "size = 1, 2", "size = 1, 1"),
        ("test_size is 1; give a whole number from 2 on", "= 400, 4000", "= 400, 1"),
        ("per_step is 0; give True or False", "ACCURACY, False", "ACCURACY, 0"),
        ("loss is 'hinge'; give one of: cross_entropy, ", '"cross_entropy"', '"hinge"'),
        ("metric is 'accuracy'; give one of ", "ACCURACY, False", '"accuracy", False'),
        ("the metric mean squared error does not fit", "ACCURACY, F", "MEAN_SQUARED_ERROR, F"),
    ],
)
def test_what_a_class_states(refused, message, old, new):
    assert refused(MAJORITY, (old, new)).startswith(message)


@pytest.mark.parametrize(
    ("message", "old", "new"),
    [
        ("x of train_batch with one row is float64; give float32", X, "votes.astype(float)"),
        ("x of train_batch with one row is int64; state tokens = True", X, "votes"),
        ("x of train_batch with one row is a list; give a NumPy", X, "votes.tolist()"),
        ("x of train_batch with one row has shape (1, 25); expected", X, f"{X}[..., 0]"),
        (
            "x of train_batch holds NaN or infinity",
            X,
            f"{X} / (np.arange(size) < 9)[:, None, None]",
        ),
        ("y of train_batch with one row is bool; give classes", ".astype(int)\n", "\n"),
        ("y of train_batch with one row is a list; give classes", BATCH, f"Batch({X}, y.tolist())"),
        ("y of train_batch with one row has shape (1, 1); ", BATCH, f"Batch({X}, y[:, None])"),
        ("y of train_batch with one row runs from 2 to 2; with", Y, f"{Y} * 0 + 2"),
        ("y is always 0, so there is nothing to learn", Y, f"{Y} * 0"),
        ("train_batch with one row returned a tuple; give a", BATCH, f"({X}, y)"),
        ("lengths of train_batch with one row is no array", BATCH, f"Batch({X}, y, 25)"),
        ("lengths of train_batch with one row has shape (1,)", BATCH, f"Batch({X}, y, y * 0)"),
        ("train_batch with one row raised ZeroDivisionError: ", *with_line("1 // (size - 1)")),
    ],
)
def test_form_of_samples(refused, message, old, new):
    assert refused(MAJORITY, (old, new)).startswith(message)


def test_form_of_values(refused):
    told = refused(MAJORITY, *VALUES, (".astype(np.float32)\n", "\n"))
    assert told.startswith("y of train_batch with one row is float64; give float32")
    told = refused(MAJORITY, *VALUES, ("votes.mean(axis=1)", "votes.mean(axis=(1, 2))"))
    assert told == "y of train_batch with one row has shape (1,); expected (1, 1)"


def test_streams_have_the_size_that_is_stated(refused):
    own = "    def validation(self, seed):\n        return self.train_batch(0, 9, seed)\n\n"
    told = refused(MAJORITY, (SAMPLE, own + SAMPLE))
    assert told == "x of validation has shape (9, 25, 1); expected (400, steps, 1)"


class TestSeeds:
    @pytest.mark.parametrize(
        "line",
        [
            "votes ^= np.random.default_rng().integers(2, size=votes.shape)",
            "votes ^= np.random.randint(2, size=votes.shape)",
            "self.drawn = getattr(self, 'drawn', 0) + 1; votes[:, 0] = self.drawn % 2",
        ],
        ids=["fresh entropy", "the global generator", "what was called before"],
    )
    def test_something_else_decides(self, refused, line):
        told = refused(MAJORITY, with_line(line))
        assert re.match(
            "(train_batch|test) gives other samples for the same seed when it is called again"
            "|made again from its config .* it draws other samples",
            told,
        )

    def test_the_seed_does_not_decide(self, refused):
        fixed = "votes = np.random.default_rng(0).integers(2, size=votes.shape)"
        told = refused(MAJORITY, with_line(fixed))
        assert told.startswith("train_batch gives the same samples for another seed")

    @pytest.mark.parametrize(
        ("stream", "code"),
        [
            ("validation", "def validation(self, seed):\n        return super().validation(0)"),
            ("test", "def test(self, seed):\n        return super().test(0)"),
            (
                "train_batch",
                "def train_batch(self, step, size, seed):\n"
                "        return super().train_batch(0, size, seed)",
            ),
        ],
    )
    def test_one_stream_is_always_the_same(self, refused, stream, code):
        told = refused(MAJORITY, (SAMPLE, f"    {code}\n\n{SAMPLE}"))
        what = "step" if stream == "train_batch" else "seed"
        assert told.startswith(f"{stream} gives the same samples for another {what}")

    def test_another_process_draws_others(self, refused):
        by_hash = "np.random.default_rng([abs(hash('votes')), rng.integers(9999)])"
        told = refused(MAJORITY, with_line(f"votes = {by_hash}.integers(2, size=votes.shape)"))
        assert told.startswith("another process draws other samples from the same seed")

    def test_another_process_cannot_load_it(self, refused):
        here = "import sys\nassert 'pytest' in sys.modules\n"
        told = refused(MAJORITY, ("import numpy as np\n", f"import numpy as np\n{here}"))
        assert told == "it cannot be loaded in another process, as runs are: AssertionError"


class TestConfig:
    def test_what_was_changed_after_it_was_made(self, load):
        task = load(MAJORITY)()
        task.test_size = 500
        with pytest.raises(InputError, match=r"made again from its config .* other samples"):
            check_task(task)

    @pytest.mark.parametrize("value", ["float('nan')", "{1, 2}", "np.float32(3)", "print"])
    def test_arguments_that_a_plan_cannot_state(self, refused, value):
        told = refused(MAJORITY, ("self.voters = voters", f"self.voters = {value}"), FIXED_VOTERS)
        assert told.startswith("arguments can be finite numbers, text, booleans, lists and tables")

    def test_an_attribute_that_is_not_the_argument(self, refused):
        told = refused(MAJORITY, ("self.voters = voters", "self.voters = voters + 2"))
        assert told.startswith("made again from its config")
        assert told.endswith("an attribute keeps what the constructor was given")

    def test_what_cannot_be_sent_to_workers(self, refused):
        told = refused(MAJORITY, ("self.voters = ", "self.f = lambda: 3\n        self.voters = "))
        assert told.startswith("it cannot be sent to worker processes (")

    @pytest.mark.parametrize(
        ("message", "name", "module"),
        [
            ("Local is of the script or notebook that runs", "Local", "__main__"),
            (r"f\.<locals>\.Local is defined inside a function", "f.<locals>.Local", None),
            ("names another class by now, as its module was loaded again", "Majority", None),
        ],
    )
    def test_a_class_that_workers_do_not_find(self, load, message, name, module):
        cls = load(MAJORITY)
        other = type("Local", (cls,), {"__module__": module or cls.__module__})
        other.__qualname__ = name
        with pytest.raises(InputError, match=message):
            check_task(other())


class TestLadder:
    @pytest.mark.parametrize(
        ("message", "old", "new"),
        [
            ("predictors gives no list of Predictor", "return [\n", "return 3, [\n"),
            ("predictors raised NameError: ", "return [\n", "nowhere\n        return [\n"),
            ("the rule 'last' is of kind 'guess'; give chance", '"heuristic"', '"guess"'),
            ("the rule 'chance' predicts list; give an", CHANCE, f"{CHANCE}.tolist()"),
            ("the rule 'chance' predicts int64; give an", CHANCE, f"{CHANCE}.astype(int)"),
            (
                "the rule 'chance' predicts an array of shape (64, 3);",
                CHANCE,
                "np.ones((len(x), 3))",
            ),
            ("the rule 'chance' predicts NaN or infinity", CHANCE, f"{CHANCE} * np.nan"),
            ("the rule 'chance' predicts −inf for every class", CHANCE, f"{CHANCE} - np.inf"),
            ("the rule 'last' raised IndexError: ", LAST, "certain(x[:, 99, 0])"),
            (
                "the rule 'last' changes x in place; work",
                LAST,
                "certain(x.__imul__(2)[:, 0, 0] > 1)",
            ),
            ("the rule 'last' predicts something else for", LAST, "certain(x[::-1, -1, 0])"),
            ("predictors gives two rules of one name", '"last", "heu', '"oracle", "heu'),
            ("the ladder has no rule of the kind chance", '"chance", "chance"', '"c", "heuristic"'),
            ("the oracle scores 0.", ORACLE, ORACLE.replace("0.5", "0.4")),
            ("the oracle scores 1 in accuracy, and the rule 'last' 1; ", LAST, ORACLE),
            (
                "the rule 'oracle' is perfect, so there is",
                '"oracle", "oracle"',
                '"oracle", "heuristic"',
            ),
            (
                "the ladder has other scores when it is",
                LAST,
                "np.random.rand(len(x), 2) * (len(x) > 99)",
            ),
        ],
    )
    def test_rules(self, refused, message, old, new):
        assert refused(MAJORITY, (old, new)).startswith(message)

    def test_a_rule_that_rules_out_what_happens(self, refused):
        nats = (
            ("ACCURACY, MEAN", "CROSS_ENTROPY, MEAN"),
            ("ACCURACY, False", "CROSS_ENTROPY, False"),
        )
        sure = ("np.eye(2)[yes.astype(int)]", "np.log(np.eye(2)[yes.astype(int)])")
        told = refused(MAJORITY, sure, *nats)
        assert told.startswith("a score of the ladder is not finite (last inf, chance 0.69")

    def test_rounding_is_no_fault_of_an_oracle_s(self, noted, refused):
        assert noted(MAJORITY, *VALUES[:-1], (ORACLE, "x.mean(axis=1) + 1e-5")) == []
        told = refused(MAJORITY, *VALUES[:-1], (ORACLE, "x.mean(axis=1) + 1e-3"))
        assert told.startswith("the oracle scores 9.99974e-07 in mean squared error")

    def test_a_constant_that_beats_the_ladder_is_noted(self, noted):
        more = (Y, Y.replace("0.5", "0.6")), (ORACLE, ORACLE.replace("0.5", "0.6"))
        (note,) = noted(MAJORITY, *more)
        assert re.match(r"always answering class 0 scores 0\.8\d+, better than every rule of", note)

    def test_a_ladder_needs_no_oracle(self, noted):
        oracle = MAJORITY[
            MAJORITY.index('            Predictor("oracle"') : MAJORITY.rindex("        ]")
        ]
        assert noted(MAJORITY, (oracle, "")) == []

    AHEAD = "bits[:, 1:] = x[:, :-1, 0]", "bits[:, :-1] = x[:, 1:, 0]"
    ECHO_OF_VALUES = (
        ('"cross_entropy", ACCURACY', '"mean_squared_error", MEAN_SQUARED_ERROR'),
        ("import ACCURACY", "import MEAN_SQUARED_ERROR"),
        ("output_size = 1, 2", "output_size = 1, 1"),
        ("y = before(x)", "y = before(x)[..., None].astype(np.float32)"),
        ("np.zeros((*x.shape[:2], 2))", "np.full((*x.shape[:2], 1), 0.5)"),
        ("np.eye(2)[x[..., 0].astype(int)]", "1 - x"),
        ("np.eye(2)[before(x)]", "before(x)[..., None] * 1.0"),
    )

    @pytest.mark.parametrize("changes", [(), ECHO_OF_VALUES], ids=["classes", "values"])
    def test_an_oracle_that_looks_ahead_is_noted(self, noted, changes):
        assert noted(ECHO, *changes) == []
        (note,) = noted(ECHO, self.AHEAD, *changes)
        assert note.startswith("the rule 'oracle' answers otherwise when later steps change")

    def test_a_rule_need_not_make_sense_of_what_no_sample_is(self, noted):
        """As where the second half of a row tells what the first was."""
        paired = (
            "return Batch(x, y, lengths)",
            "x[:, 25:] = x[:, :25]\n        return Batch(x, before(x))",
        )
        strict = (
            "    bits = x[..., 0].astype(int)\n",
            "    assert (x[:, 25:] == x[:, :25]).all()\n    bits = x[..., 0].astype(int)\n",
        )
        longer = "length=30", "length=50"
        assert noted(ECHO, paired, ("y = before(x)\n", "\n"), strict, longer) == []


class TestLeaks:
    """What stands at the step of the question needs no memory; elsewhere it may be meant so."""

    def beside(self, *columns, at="-1"):
        """Return the changes that put columns beside the votes, which are 0 but at a step."""
        lines = [
            "x = np.zeros((size, self.voters, 3), np.float32)",
            "x[..., 0] = votes[..., 0]",
            *(f"x[:, {at}, {k}] = {column}" for k, column in enumerate(columns, 1)),
            "return Batch(x, y)",
        ]
        return (
            ("output_size = 1, 2", "output_size = 3, 2"),
            (f"        return {BATCH}", "\n".join(f"        {line}" for line in lines)),
            (ORACLE, ORACLE.replace("x.mean", "x[..., :1].mean")),
        )

    @pytest.mark.parametrize(
        ("columns", "how"),
        [
            (["y"], "as one feature decides it"),
            (["5 - 3 * y"], "as one feature decides it"),
            (["(a := rng.integers(2, size=size))", "a ^ y"], "as the features there decide it"),
            (["(a := rng.standard_normal(size))", "a + y"], "by a linear map"),
        ],
        ids=["a label", "a code", "two bits", "a difference"],
    )
    def test_at_the_last_step(self, refused, columns, how):
        told = refused(MAJORITY, *self.beside(*columns))
        assert told.startswith(f"y can be read from x at the last step alone, {how}, so no memory")

    def test_what_is_no_leak(self, noted):
        assert noted(MAJORITY, *self.beside("y * (rng.random(size) < 0.9)")) == []
        assert noted(MAJORITY, *self.beside("rng.random(size)", "rng.random(size)")) == []

    def test_too_few_answers_tell_nothing(self, noted):
        """A table is right about nearly all rows, whatever it reads."""
        rare = (Y, Y.replace("0.5", "0.75")), (ORACLE, ORACLE.replace("0.5", "0.75"))
        (note,) = noted(MAJORITY, *rare)
        assert note.startswith("always answering class 0 scores 0.99")

    def test_no_linear_map_of_very_many_features_is_tried(self):
        x = np.random.default_rng(0).standard_normal((2000, 2, 300)).astype(np.float32)
        task, y = make_task("pair-matching"), (x[:, -1, :2].sum(axis=1) > 0).astype(int)
        assert check_leak(task, Batch(x, y)) == []

    def test_at_another_step_it_is_noted(self, noted):
        (note,) = noted(MAJORITY, *self.beside("y", at="4"))
        assert note.startswith("y can be read from x at step 5 alone, in every row: a test of mem")

    def test_at_the_end_of_each_row(self, refused):
        """The last step is the row's own, not that of the padding."""
        lines = (
            "        x = np.concatenate([votes, 0 * votes], axis=-1).astype(np.float32)\n"
            "        x[np.arange(size), lengths - 1, 1] = y\n"
            "        return Batch(x, y, lengths)"
        )
        told = refused(
            MAJORITY,
            *RAGGED[:2],
            ("output_size = 1, 2", "output_size = 2, 2"),
            (f"        return {BATCH}", lines),
            (ORACLE, "certain(x[..., 0].sum(1) > 9)"),
        )
        assert told.startswith("y can be read from x at the last step alone, as one feature")

    def test_of_values(self, refused):
        last = f"np.where(np.arange(25)[:, None] == 24, 3 * y[:, None] - 1, {X}).astype(np.float32)"
        told = refused(
            MAJORITY,
            *VALUES[:-2],
            (BATCH, f"Batch({last}, y)"),
            (ORACLE, "(x[:, -1] + 1) / 3"),
            (LAST, "x[:, -3:-1].mean(axis=1)"),
        )
        assert told.startswith("y can be read from x at the last step alone, by a linear map")

    def test_at_every_step(self, refused):
        told = refused(ECHO, ("bits[:, 1:] = x[:, :-1, 0]", "bits[:] = 1 - bits"))
        assert told.startswith("y can be read from x at the same step alone, as one feature")


class TestOverlap:
    def test_streams_that_share_samples(self, refused):
        own = "return self.sample(4000, np.random.default_rng([seed, 1, 0]))"
        told = refused(MAJORITY, (SAMPLE, f"    def test(self, seed):\n        {own}\n\n{SAMPLE}"))
        assert re.match(r"training and test share samples: 20\d\d pairs of them are equal, ", told)

    def test_few_samples_are_noted(self, load):
        (note,) = check_task(load(MAJORITY)(9))
        assert re.search(r"few different samples: 9\d% of those of test are among 2,000 of", note)
        (note,) = check_task(Parity(6))
        assert note.startswith("parity: there are few different samples: 100% of")


def test_slow_samples_are_noted(load, monkeypatch):
    monkeypatch.setattr(checks, "SLOW", 0.0)
    (note,) = check_task(load(MAJORITY)())
    assert "10,000 samples take 0 s; draw them without a loop over rows" in note


class TestExtras:
    def test_words(self, refused):
        told = refused(ECHO, ('return " ".join(str(', "return list(str("))
        assert told == "tell and answer give something else than text"
        told = refused(ECHO, ("row.ndim", "row.nddim"))
        assert told.startswith("answer raised AttributeError: ")

    def test_partial_scores(self, refused):
        own = "    def partial_scores(self, outputs, batch):\n        return {'half': 1}\n\n"
        told = refused(MAJORITY, (SAMPLE, own + SAMPLE))
        assert told.startswith("partial_scores gives {'half': 1}; give numbers by name")

    @pytest.mark.parametrize(
        ("code", "message"),
        [
            ("return batch._replace(y=1 - batch.y)", "with_other_questions gives other targets"),
            ("return batch", "with_other_questions gives other targets, or the same x"),
            ("batch.x[:] = 0", "with_other_questions changes x in place"),
            ("return batch.x", "with_other_questions returned a ndarray; give a Batch(x, y)"),
            ("return rng.nothing", "with_other_questions raised AttributeError: "),
        ],
    )
    def test_other_questions(self, refused, code, message):
        own = f"    def with_other_questions(self, batch, rng):\n        {code}\n\n"
        assert refused(MAJORITY, (SAMPLE, own + SAMPLE)).startswith(message)


TOKENS = """
import numpy as np

from lstm_baseline.tasks import ACCURACY, Batch, GeneratedTask, Predictor


class Before(GeneratedTask):
    name = "before"
    summary = "tokens are shown; which came before, where it is asked?"
    input_size = output_size = 4
    loss, metric, per_step, tokens = "cross_entropy", ACCURACY, True, True
    validation_size, test_size, ladder_size = 400, 4000, 4000

    def sample(self, size, rng):
        x = rng.integers(4, size=(size, 12))
        mask = rng.random((size, 12)) < 0.5
        mask[:, 0], mask[:, 5] = False, True
        y = np.full((size, 12), -100)
        y[:, 1:] = x[:, :-1]
        return Batch(x, y, mask=mask)

    def predictors(self):
        def before(x):
            return np.eye(4)[np.concatenate([x[:, :1], x[:, :-1]], axis=1)]

        return [
            Predictor("chance", "chance", "any", lambda x: np.zeros((*x.shape, 4))),
            Predictor("oracle", "oracle", "the one before", before),
        ]
"""


@pytest.mark.parametrize(
    ("message", "before", "after"),
    [
        ("", "", ""),
        (
            "x of train_batch with one row is float64; give tokens as",
            "Batch(x, y",
            "Batch(x / 1, y",
        ),
        (r"has shape \(1, 12, 1\); expected \(1, steps\)", "Batch(x, y", "Batch(x[..., None], y"),
        ("tokens are 0 to 3", "Batch(x, y", "Batch(x + 1, y"),
        ("classes are 0 to 3", "mask[:, 0], mask[:, 5] = False", "mask[:, 0], mask[:, 5] = True"),
        (r"is no array of booleans of shape \(1, 12\)", "mask=mask", "mask=mask[:, 1:]"),
        ("is False everywhere", "mask=mask", "mask=mask & False"),
        ("y can be read from x at the same step alone", "y[:, 1:] = x[:, :-1]", "y = x"),
    ],
)
def test_tokens_and_masks(tmp_path, monkeypatch, message, before, after):
    if not message:
        assert check_task(load_task(tmp_path, monkeypatch, TOKENS)()) == []
        return
    task = load_task(tmp_path, monkeypatch, TOKENS.replace(before, after))()
    with pytest.raises(InputError, match=message):
        check_task(task)
