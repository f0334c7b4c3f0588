"""What is shown as wrong is wrong, and the worst of it; what cannot be known is said."""

import html
import re
import shutil

import markupsafe
import numpy as np
import pytest

from lstm_baseline import LSTM
from lstm_baseline.race.plan import RUNS
from lstm_baseline.race.report.page import write_report
from lstm_baseline.race.report.sections import wrong
from lstm_baseline.race.report.sections.wrong import all_mistakes, mistakes, severity
from lstm_baseline.runs.saved_model import MODEL, save_trained
from lstm_baseline.tasks import ACCURACY, Batch, Task, make_task
from tests.support.labels import Echo
from tests.support.own_tasks import ECHO, load_task
from tests.support.raced import COMMAND, HOSTILE
from tests.support.races import LadderTask, race, run

TASKS = [
    make_task("pair-matching", num_pairs=2, num_symbols=4),
    make_task("adding", length=4),
    make_task("copy-memory", delay=2, num_recalled=3, num_symbols=3),
]
RELU = "tests.support.plain_challenger:ReLUNetwork"


class Flawed:
    """An oracle that gives other outputs for some of the samples that it answers, by their rows."""

    def __init__(self, task, flaws):
        self.task, self.flaws, self.num_read = task, flaws, 0

    def forward(self, x, return_sequences=True, *, lengths=None):
        assert return_sequences == self.task.per_step
        outputs = self.task.predictors()[-1].predict(x)
        for row, output in self.flaws.items():
            if 0 <= row - self.num_read < len(x):
                outputs[row - self.num_read] = output
        self.num_read += len(x)
        return outputs


def logits(right, probability, size=4):
    """Return logits that give the class after the right one a probability, and the rest to it."""
    p = np.full(size, 1e-9)
    p[(right + 1) % size] = probability
    p[right] = 1 - probability
    return np.log(p)


class TestMistakes:
    def test_the_surest_wrong_answers_come_first(self):
        task = TASKS[0]
        test = task.test(3)
        sure = {5: 0.7, 9: 0.9, 40: 0.6, 41: 0.8, 50: 0.4}  # at 0.4 it is right
        flawed = Flawed(task, {k: logits(test.y[k], p) for k, p in sure.items()})
        found = mistakes("mine", task, flawed, 3)
        assert found.found == "4 of the first 2,000 test samples wrong (0.2%)"
        assert found.brief == "4 of 2,000 wrong"
        assert flawed.num_read == 2000
        assert [each.extent for each in found.answers] == ["90% sure", "80% sure", "70% sure"]
        for row, each in zip((9, 41, 5), found.answers, strict=True):
            assert each.sample == task.tell(test.x[row])
            assert each.right == task.answer(test.y[row])
            assert each.answer == task.answer((test.y[row] + 1) % 4)

    def test_no_sample_is_shown_twice(self):
        task = TASKS[0]
        test = task.test(0)
        told = [task.tell(x) for x in test.x]
        again = [k for k in range(2000) if told[k] == told[0]]
        assert len(again) > 5
        other = next(k for k in range(2000) if k not in again)
        flaws = {k: logits(test.y[k], 0.9) for k in again} | {other: logits(test.y[other], 0.6)}
        found = mistakes("mine", task, Flawed(task, flaws), 0)
        assert [each.sample for each in found.answers] == [told[0], told[other]]
        assert found.brief == f"{len(again) + 1} of 2,000 wrong"

    def test_more_samples_are_answered_until_three_are_wrong(self):
        task = TASKS[0]
        y = task.test(0).y
        late = {k: logits(y[k], 0.9) for k in (1, 2500, 4101, 9000)}
        found = mistakes("mine", task, Flawed(task, late), 0)
        assert found.found == "3 of the first 6,000 test samples wrong (0.05%)"
        assert len(found.answers) == 3
        few = mistakes("mine", task, Flawed(task, {19_999: logits(y[-1], 0.9)}), 0)
        assert few.found == "1 of 20,000 test samples wrong (0.005%)"
        assert len(few.answers) == 1

    def test_who_is_never_wrong(self):
        found = mistakes("mine", TASKS[0], Flawed(TASKS[0], {}), 0)
        assert found.found == "none of 20,000 test samples wrong"
        assert found.brief == "none of 20,000 wrong"
        assert found.answers == ()

    def test_of_values_the_largest_errors(self):
        task = TASKS[1]
        test = task.test(1)
        errors = {3: 0.5, 7: -2.0, 8: 1.0, 1999: 0.25, 2000: 9.0}
        flawed = Flawed(task, {k: test.y[k] + error for k, error in errors.items()})
        found = mistakes("mine", task, flawed, 1)
        assert found.found == "half of the first 2,000 test samples off by 0.000 or less"
        assert found.brief == "off by up to 2.000"
        assert [each.extent for each in found.answers] == [
            "off by 2.000",
            "off by 1.000",
            "off by 0.500",
        ]
        for row, each in zip((7, 8, 3), found.answers, strict=True):
            assert each.sample == task.tell(test.x[row])
            assert each.right == task.answer(test.y[row])
            assert each.answer == task.answer(test.y[row] + errors[row])

    def test_of_every_step_the_surest_wrong_one(self):
        task = TASKS[2]
        y = task.test(0).y

        def steps(row, sure):
            outputs = np.log(np.eye(4)[y[row]] + 1e-9)
            for step, probability in sure.items():
                outputs[step] = logits(y[row, step], probability)
            return outputs

        flaws = {
            1: steps(1, {5: 0.7, 6: 0.7}),
            2: steps(2, {7: 0.9}),
            4: steps(4, {0: 0.8}),
            5: steps(5, {5: 0.3}),
        }
        found = mistakes("mine", task, Flawed(task, flaws), 0)
        assert found.brief == "3 of 2,000 wrong"
        assert [each.extent for each in found.answers] == [
            "wrong at 1 of 8 steps",
            "wrong at 1 of 8 steps",
            "wrong at 2 of 8 steps",
        ]
        assert [each.right for each in found.answers] == [task.answer(y[k]) for k in (2, 4, 1)]

    def test_steps_beyond_a_row_s_length_are_neither_wrong_nor_told(self, tmp_path, monkeypatch):
        task = load_task(tmp_path, monkeypatch, ECHO)()
        test, right = task.test(0), 5 * np.eye(2)
        row = int(np.argmin(test.lengths[:50]))
        length, y = int(test.lengths[row]), test.y[row]
        flawed = right[y]
        flawed[length:] = right[1 - y[length:]]
        found = mistakes("mine", task, Flawed(task, {row: flawed}), 0)
        assert (found.brief, length < 30) == ("none of 4,000 wrong", True)
        flawed[4] = flawed[4, ::-1]
        (found,) = mistakes("mine", task, Flawed(task, {row: flawed}), 0).answers
        assert found.extent == f"wrong at 1 of {length} steps"
        assert found.sample == task.tell(test.x[row, :length])
        assert found.right == task.answer(y[:length])

    def test_without_an_oracle_the_target_is_right(self, tmp_path, monkeypatch):
        task = load_task(tmp_path, monkeypatch, ECHO)()
        rules = task.predictors()
        monkeypatch.setattr(type(task), "predictors", lambda self: rules[:2])
        found = mistakes("mine", task, Flawed(task, {}), 0).answers  # who says the bit of the step
        rows = {task.tell(x[:n]): y[:n] for x, y, n in zip(*task.test(0)[:3], strict=True)}
        assert len(found) == 3
        assert all(each.right == task.answer(rows[each.sample]) for each in found)

    def test_a_position_is_off_by_a_distance(self):
        task = make_task("object-tracking-position")
        y = np.array([[0.25, 0.5]], np.float32)
        batch = Batch(np.zeros((1, 3, 2), np.float32), y)
        found = severity(task, y + np.array([0.3, -0.4]), batch)
        np.testing.assert_allclose(found, [0.5], rtol=1e-6)

    def test_of_several_labels_the_surest_wrong_one(self):
        task = Echo(length=2, num_bits=3)
        test = task.test(0)

        def odds(row, *wrong):
            p = np.where(test.y[row] == 1, 0.99, 0.01)
            for step, bit, probability in wrong:
                p[step, bit] = probability if test.y[row, step, bit] == 0 else 1 - probability
            return np.log(p / (1 - p))

        flaws = {
            3: odds(3, (1, 0, 0.7), (1, 2, 0.6)),
            4: odds(4, (0, 1, 0.9)),
            7: odds(7, (1, 1, 0.4)),  # still right
            9: odds(9, (0, 0, 0.5 + 1e-9), (1, 0, 0.8), (1, 1, 0.8)),
        }
        found = mistakes("mine", task, Flawed(task, flaws), 0)
        assert found.brief == "3 of 500 wrong"
        assert [each.extent for each in found.answers] == [
            "wrong in 1 of 6 labels",
            "wrong in 3 of 6 labels",
            "wrong in 2 of 6 labels",
        ]
        for row, each in zip((4, 9, 3), found.answers, strict=True):
            assert each.sample == task.tell(test.x[row])
            assert each.right == task.answer(test.y[row])
            assert each.answer == task.answer(flaws[row]) != each.right
        outputs = np.stack([odds(k, (1, 0, 0.7)) for k in range(3)])
        np.testing.assert_allclose(severity(task, outputs, test.rows(slice(3))), [0.7] * 3)

    def test_wrong_answers_are_those_that_accuracy_counts(self):
        task = TASKS[0]
        test = task.test(0)
        outputs = LSTM(task.input_size, 4, task.output_size, rng=0).forward(test.x, False)
        share = np.mean(severity(task, outputs, test) == 0)
        assert share == pytest.approx(ACCURACY.measure(outputs, test))


def trained_model(spec):
    """Return a model that is no longer as it was built."""
    model = spec.build_model()
    for value in model.params.values():
        value *= -3
    return model


def write_models(outcome, runs):
    """Write a model into the folder of every run, each with weights of its own."""
    for task in outcome.tasks:
        for contestant in task.contestants:
            for seed in contestant.seeds:
                folder = runs / seed.spec.name
                folder.mkdir(parents=True)
                save_trained(seed.spec, trained_model(seed.spec), folder)


@pytest.fixture(scope="module")
def raced(tmp_path_factory):
    """Return the outcome of a race with models of the package and two of users', and its runs."""
    runs = {
        "lstm": [run(0.3), run(0.1), run(0.7), run(0.7), run(None)],
        "mine": [run(0.6), run(0.9), run(None), run(0.1), run(0.2)],
        HOSTILE: [run(None)] * 5,
    }
    contestants = (
        "lstm",
        {"name": "mine", "model": RELU},
        {"name": HOSTILE, "model": "lstm_baseline.engine.models:LSTM"},
    )
    outcome = race(runs, *TASKS, LadderTask(), contestants=contestants, parameters=1000)
    folder = tmp_path_factory.mktemp("raced") / RUNS
    write_models(outcome, folder)
    return outcome, folder


@pytest.fixture
def copied(raced, tmp_path):
    """Return the race with a copy of its runs, to be damaged."""
    shutil.copytree(raced[1], tmp_path / RUNS)
    return raced[0], tmp_path / RUNS


def model_files(outcome, runs, task, model, seed):
    return [
        runs / each.spec.name / MODEL
        for each in outcome.tasks[task].of(model).seeds
        if each.spec.seed == seed
    ]


def fails(*arguments, **options):
    raise ZeroDivisionError(HOSTILE)


@pytest.mark.slow
class TestRace:
    def test_the_best_run_of_each_contestant(self, raced):
        outcome, runs = raced
        found = all_mistakes(outcome, runs)
        assert [each.title for each in found] == ["pair-matching", "adding", "copy-memory"]
        for task, best in zip(found, [(2, 1), (1, 3), (1, 3)], strict=True):
            lstm, mine, none = task.contestants
            assert lstm.run.startswith(f"seed {best[0]}, test score ")
            assert mine.run.startswith(f"seed {best[1]}, test score ")
            assert len(lstm.answers) == len(mine.answers) == 3
            assert (none.answers, none.problem) == ((), "No run finished.")

    def test_answers_are_those_of_the_saved_model(self, raced):
        outcome, runs = raced
        for contestant, seed in (("lstm", 2), ("mine", 1)):
            spec = outcome.tasks[0].of(contestant).seeds[seed].spec
            expected = mistakes(contestant, spec.task, trained_model(spec), seed)
            found = next(
                each
                for each in all_mistakes(outcome, runs)[0].contestants
                if each.model == contestant
            )
            assert found.answers == expected.answers
            assert found.found == expected.found

    def test_a_model_that_is_gone_or_damaged(self, copied):
        outcome, runs = copied
        (gone,), (damaged,) = (
            model_files(outcome, runs, 0, model, seed) for model, seed in (("lstm", 2), ("mine", 1))
        )
        gone.unlink()
        damaged.write_bytes(b"nonsense")
        task, other, _ = all_mistakes(outcome, runs)
        for each in task.contestants[:2]:
            assert each.problem.startswith("The trained model cannot answer: ")
            assert (each.answers, each.brief) == ((), "not known")
        assert all(each.answers for each in other.contestants[:2])

    def test_what_a_user_s_class_raises_is_said(self, raced, monkeypatch):
        monkeypatch.setattr("tests.support.plain_challenger.ReLUNetwork.forward", fails)
        lstm, mine, _ = all_mistakes(*raced)[0].contestants
        assert mine.problem == f"The class failed: ZeroDivisionError: {HOSTILE}."
        assert lstm.answers

    def test_what_the_package_raises_is_not_hidden(self, raced, monkeypatch):
        monkeypatch.setattr(wrong, "saved_model", fails)
        with pytest.raises(ZeroDivisionError):
            all_mistakes(*raced)

    @pytest.mark.usefixtures("svg_only")
    def test_the_page_says_it_and_escapes_it(self, raced):
        outcome, runs = raced
        page = write_report(outcome, runs.parent, COMMAND).read_text(encoding="utf-8")
        (section,) = re.findall(r'<section id="wrong">.*?</section>', page, re.DOTALL)
        text = " ".join(html.unescape(re.sub(r"<.*?>", " ", section)).split())
        assert "<script" not in section
        assert text.count(HOSTILE) == 6
        assert section.count("<details ") == 3
        assert text.count("No run finished.") == 3
        for task in all_mistakes(outcome, runs):
            for contestant in task.contestants:
                assert contestant.brief in text
                assert contestant.found in text
                for each in contestant.answers:
                    assert f"{each.sample} {each.answer} {each.extent} {each.right}" in text

    @pytest.mark.usefixtures("svg_only")
    def test_the_page_escapes_what_a_user_s_class_raises(self, raced, monkeypatch):
        outcome, runs = raced
        monkeypatch.setattr("tests.support.plain_challenger.ReLUNetwork.forward", fails)
        page = write_report(outcome, runs.parent, COMMAND).read_text(encoding="utf-8")
        assert page.count(f"ZeroDivisionError: {markupsafe.escape(HOSTILE)}.") == 3
        assert "<script" not in page

    def test_a_task_without_words_is_left_out(self, raced, monkeypatch):
        monkeypatch.setattr(type(TASKS[1]), "tell", Task.tell)
        titles = [each.title for each in all_mistakes(*raced)]
        assert titles == ["pair-matching", "copy-memory"]

    @pytest.mark.usefixtures("svg_only")
    def test_a_race_whose_samples_cannot_be_told_has_no_such_section(self, tmp_path):
        page = write_report(race({"lstm": [run(0.9)]}), tmp_path, COMMAND).read_text("utf-8")
        assert 'id="wrong"' not in page
        assert "Wrong answers" not in page
