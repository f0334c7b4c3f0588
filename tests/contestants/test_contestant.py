"""Contestants: what their arguments may be, and code that is what it was when a race began."""

import math
import sys
from hashlib import sha256
from pathlib import Path

import pytest
from pydantic import ValidationError
from rich.console import Console

from lstm_baseline import LSTM, FileError, InputError, __version__
from lstm_baseline.contestants.challenger import check_challenger
from lstm_baseline.contestants.contestant import Contestant
from lstm_baseline.engine.storage import read_json, write_json
from lstm_baseline.race.plan import Plan, Sweep
from lstm_baseline.race.race import PLAN, hold_race
from lstm_baseline.race.report.page import write_report
from lstm_baseline.race.tuning import Choices, Tuning
from lstm_baseline.runs.run import carry_out_run
from lstm_baseline.runs.spec import RunSpec
from lstm_baseline.tasks import make_task
from lstm_baseline.training import TrainingSettings

PAIRS = make_task("pair-matching", num_pairs=2, num_symbols=4)
COPY = make_task("copy-memory", delay=2, num_recalled=2, num_symbols=3)
SETTINGS = TrainingSettings(num_steps=4, evaluate_every=2)

OWN = """
from lstm_baseline import GRU

import {helper}

class Net:
    def __init__(self, input_size, output_size, hidden_size, rng):
        if {helper}.refuses(rng):
            raise RuntimeError("no luck with this seed")
        self.net = GRU(input_size, hidden_size, output_size, rng=rng)
        self.params = self.net.params

    def forward(self, x, *args, **options):
        if x.shape[1] > {helper}.LONGEST:
            raise IndexError("too long")
        return self.net.forward(x, *args, **options)

    def forward_with_cache(self, *args, **options):
        return self.net.forward_with_cache(*args, **options)

    def backward(self, *args, **options):
        return self.net.backward(*args, **options)
"""

HELPER = """
LONGEST = 100

def refuses(rng):
    return False
"""


@pytest.fixture
def own(tmp_path, monkeypatch, request):
    """A challenger in a file of its own with a helper beside it; returns contestant and helper."""
    name = f"own_{abs(hash(request.node.name))}"
    (tmp_path / f"{name}.py").write_text(OWN.format(helper=f"{name}_helper"))
    helper = tmp_path / f"{name}_helper.py"
    helper.write_text(HELPER)
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    return Contestant.model_validate(f"{name}:Net"), helper


def reload(contestant: Contestant) -> None:
    """Forget a class as another process would not know of it."""
    name = contestant.model.partition(":")[0]
    for loaded in (name, f"{name}_helper"):
        sys.modules.pop(loaded, None)


def spec_of(contestant: Contestant, **options) -> RunSpec:
    return RunSpec(PAIRS, contestant, 4, SETTINGS, seed=0, code=contestant.code(), **options)


class TestArguments:
    @pytest.mark.parametrize("value", [math.inf, math.nan, {1, 2}, object()])
    def test_what_a_plan_cannot_state_is_refused(self, value):
        with pytest.raises(ValidationError, match="finite numbers, text, booleans"):
            Contestant(name="x", model="lstm", arguments={"clip": value})

    @pytest.mark.parametrize("name", ["hidden_size", "input_size", "output_size", "rng"])
    def test_what_the_race_sets_is_refused(self, name):
        with pytest.raises(InputError, match=f"x has {name} among its arguments; the race sets it"):
            Contestant(name="x", model="lstm", arguments={name: 3}).build(PAIRS, 4, 0)

    @pytest.mark.parametrize(("name", "model"), [("gru", "lstm"), ("lstm", "own:Net")])
    def test_the_name_of_another_model_is_refused(self, name, model):
        with pytest.raises(ValidationError, match=f"{model} is called {name}, which is the name"):
            Contestant(name=name, model=model)

    def test_twins_are_told_by_their_model(self):
        twins = (
            Contestant.model_validate("lstm"),
            Contestant(name="the same", model="lstm", arguments={"num_layers": 1}),
        )
        plan = Plan((PAIRS,), twins, 1, SETTINGS, 1000)
        one, other = plan.finals({(0, c.name): SETTINGS for c in twins})
        assert not (one.build_model().params["W"] == other.build_model().params["W"]).any()


class TestCode:
    def test_digest_is_of_the_file_and_of_what_it_imports(self, own):
        contestant, helper = own
        before = contestant.code()
        assert contestant.code() == before
        helper.write_text(HELPER + "\n# another helper")
        assert contestant.code() == before  # what is loaded is what was loaded
        reload(contestant)
        assert contestant.code() != before

    def test_a_run_whose_code_has_changed_is_refused(self, own, tmp_path):
        contestant, helper = own
        spec = spec_of(contestant)
        helper.write_text(HELPER + "\n# another helper")
        reload(contestant)
        with pytest.raises(FileError, match="is not what it was when the race began"):
            carry_out_run(spec, tmp_path / "run")
        assert not (tmp_path / "run").exists()

    def test_a_worker_that_loaded_it_for_an_earlier_race_loads_it_again(self, own):
        contestant, helper = own
        contestant.code()
        helper.write_text(HELPER.replace("100", "7"))
        found = {path: path.read_bytes() for path in (contestant.source(), helper)}
        digests = b"".join(sha256(found[path]).digest() for path in sorted(found, key=found.get))
        contestant.check_code(sha256(digests).hexdigest()[:16])
        contestant.build(PAIRS, 4, 0)
        assert sys.modules[helper.stem].LONGEST == 7  # and the files that it imports


class TestFailures:
    def test_a_constructor_that_raises_for_one_seed_is_a_failed_run(self, own, tmp_path):
        contestant, helper = own
        helper.write_text(HELPER.replace("return False", "return True"))
        spec = spec_of(contestant)
        assert spec.estimated_work() == 0
        result = carry_out_run(spec, tmp_path / "run")
        assert result.status == "failed"
        assert "no luck with this seed" in result.reason

    def test_a_test_beyond_its_reach_fails_nothing_else(self, own, tmp_path):
        contestant, helper = own
        helper.write_text(HELPER.replace("LONGEST = 100", "LONGEST = 3"))
        other = make_task("pair-matching", num_pairs=3, num_symbols=6)
        result = carry_out_run(spec_of(contestant, also_tested_on=(PAIRS, other)), tmp_path / "run")
        assert result.status == "finished"
        assert result.also_tested_scores == (result.score, None)


def test_nth_farthest_is_scored_without_the_self_case_too(tmp_path):
    task = make_task("nth-farthest", num_vectors=3, dimensions=1)
    lstm = Contestant.model_validate("lstm")
    result = carry_out_run(RunSpec(task, lstm, 4, SETTINGS, seed=0), tmp_path)
    (name,) = result.partial_scores
    assert name == "without the self case"
    assert result.partial_scores[name] != result.score


class TestBeforeTheStart:
    def race(self, folder: Path, *contestants: Contestant, task=PAIRS, **options) -> None:
        plan = Plan(
            (task,),
            (Contestant.model_validate("gru"), *contestants),
            1,
            options.pop("settings", SETTINGS),
            1000,
            **options,
        )
        return hold_race(plan, folder, console=Console(quiet=True), num_workers=1)

    def test_a_model_of_ours_that_looks_ahead_is_refused_where_others_cannot(self, tmp_path):
        both = Contestant(name="both", model="lstm", arguments={"bidirectional": True})
        with pytest.raises(InputError, match="both: outputs depend on later steps"):
            self.race(tmp_path / "race", both, task=COPY)
        assert not (tmp_path / "race").exists()
        self.race(tmp_path / "race", both)  # with one target a row everyone sees all of it

    def test_a_look_ahead_that_starts_at_zero_is_refused(self):
        def make(seed):
            model = LSTM(COPY.input_size, 3, COPY.output_size, bidirectional=True, rng=seed)
            model.params["W_out"][:, 3:] = 0
            return model

        with pytest.raises(InputError, match="sly: outputs depend on later steps"):
            check_challenger(make, COPY, "sly")

    @pytest.mark.parametrize("drawn", [False, True])
    def test_settings_that_only_some_offer_are_refused(self, own, tmp_path, drawn):
        options = {"settings": SETTINGS.model_copy(update={"truncate": 2})}
        if drawn:
            space = {"truncate": Choices(choices=(2, 3))}
            options = {"tuning": Tuning(trials=2, space=space)}
        with pytest.raises(InputError, match="truncate is among the training settings"):
            self.race(tmp_path / "race", own[0], **options)
        both = Contestant(name="both", model="lstm", arguments={"bidirectional": True})
        with pytest.raises(InputError, match="which both does not offer"):
            self.race(tmp_path / "race", both, **options)

    def test_sizes_that_a_sweep_cannot_meet_are_refused(self, tmp_path):
        sweep = Sweep(PAIRS, "num_symbols", (4, 400), seeds=1, train=True)
        with pytest.raises(InputError, match="wanted; "):
            self.race(tmp_path / "race", sweeps=(sweep,))
        assert not (tmp_path / "race").exists()

    def test_another_installation_draws_a_finished_race_but_adds_no_run(self, tmp_path):
        outcome = self.race(tmp_path)
        plan = read_json(tmp_path / PLAN)
        plan["made_with"]["NumPy"] = "1.0"
        write_json(tmp_path / PLAN, plan)
        again = self.race(tmp_path)
        scores = [
            [each.scores for each in found.tasks[0].contestants] for found in (outcome, again)
        ]
        assert scores[0] == scores[1]
        page = write_report(outcome, tmp_path, "").read_text(encoding="utf-8")
        assert f"lstm-baseline {__version__}, NumPy 1.0, engine" in page
        next(tmp_path.glob("runs/*/result.json")).unlink()
        with pytest.raises(
            FileError, match=r"begun with .*NumPy 1\.0, .* 1 run of it .*results could differ"
        ):
            self.race(tmp_path)
