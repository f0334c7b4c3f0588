"""What holds of every section: a template, pictures that the page shows, names of their own."""

import re
from importlib import resources
from pathlib import Path

import pytest

from lstm_baseline.race.plan import Sweep
from lstm_baseline.race.report import page
from lstm_baseline.race.report.page import draw_all, write_report
from lstm_baseline.race.report.sections import HEAD, SECTIONS, Picture
from lstm_baseline.race.report.sections.scores import final_scores, final_scores_figure
from lstm_baseline.race.report.sections.section import Section, draw
from lstm_baseline.race.verdict import VerdictRule
from lstm_baseline.runs.saved_model import MODEL
from lstm_baseline.tasks import make_task
from tests.support.raced import TUNING
from tests.support.races import race, run, trial

pytestmark = pytest.mark.usefixtures("svg_only")

TEMPLATES = resources.files("lstm_baseline.race.report") / "templates"
MODULES = Path(page.__file__).parent / "sections"


@pytest.fixture(scope="module")
def outcome():
    """A race in which every section has all that it can have."""
    pairs = make_task("pair-matching", num_pairs=2, num_symbols=4)
    return race(
        {name: [run(0.9), run(0.8)] for name in ("lstm", "relational")},
        pairs,
        parameters=8950,
        rule=VerdictRule(num_resamples=200),
        tuning=TUNING,
        trials={name: [trial(0.5)] * 2 for name in ("lstm", "relational")},
        sweeps=(Sweep(pairs, "num_symbols", (4, 5), seeds=1, train=True),),
        trained=lambda spec: run(0.7),
    )


@pytest.fixture(scope="module")
def folder(outcome, tmp_path_factory):
    """Its folder, with models to look into."""
    folder = tmp_path_factory.mktemp("race")
    for contestant in outcome.tasks[0].contestants:
        spec = contestant.seeds[0].spec
        spec.build_model().save(folder / "runs" / spec.name / MODEL)
    return folder


def test_every_picture_of_every_section_is_on_the_page(outcome, folder):
    pictures = draw_all(outcome, folder / "runs")
    assert not any(picture.problem for picture in pictures)
    text = write_report(outcome, folder, "").read_text(encoding="utf-8")
    shown = re.findall(r'<img src="(.*?)"', text)
    assert sorted(shown) == sorted(picture.source for picture in pictures)
    words = {str(picture.slot[0]) for picture in pictures}
    assert words == {
        *("differences", "overall", "scores", "curves", "tuning", "rates", "reached", "sweep"),
        "cost",
        *("inside", "attention", "gradient"),
    }


@pytest.mark.slow
def test_figures_of_runs_share_the_page_s_key_and_keep_their_own_as_files(outcome, folder):
    text = write_report(outcome, folder, "").read_text(encoding="utf-8")
    shared = {"scores", "curves", "tuning", "rates", "reached", "cost", "sweep", "gradient"}
    for picture in draw_all(outcome, folder / "runs"):
        if picture.slot[0] in shared:
            assert b'id="legend' not in picture.svg
            assert b'id="legend' in picture.own_svg
            saved = (folder / "figures" / f"{picture.name}.svg").read_bytes()
            assert b'id="legend' in saved
        else:
            assert picture.svg == picture.own_svg
    keys = re.findall(r'<p class="key-of-lines".*?</p>', text, flags=re.DOTALL)
    lines = [key for key in keys if "svg" in key]
    assert len(lines) == 7  # learning curves, 2 of tuning, speed, difficulty, cost, inside
    for key in lines:
        for name, symbol, color in (
            ("LSTM", "●", "var(--blue)"),
            ("relational RNN", "■", "#d55e00"),
        ):
            assert re.search(rf"{re.escape(color)}.*{symbol}</text></svg> {name}</span>", key)
        assert key.count("stroke-dasharray") - key.count('"none"') == 1
    (points,) = set(keys) - set(lines)
    assert "one seed" in points


def test_why_there_is_no_picture_stands_in_its_place(outcome, tmp_path):
    problems = [each for each in draw_all(outcome, tmp_path / "runs") if each.problem]
    assert [each.slot for each in problems] == [("inside", 1, 1), ("inside", 1, 2)]
    text = write_report(outcome, tmp_path, "").read_text(encoding="utf-8")
    assert text.count("The trained model cannot be shown: ") == 2
    assert not [path for path in (tmp_path / "figures").iterdir() if "inside" in path.name]


def test_every_module_is_a_section_of_the_report():
    # A section's module may have its second picture in another one.
    parts = {"learning_rates"}
    modules = {path.stem for path in MODULES.glob("*.py")} - {"__init__", "section", *parts}
    names = [section.name for section in (HEAD, *SECTIONS)]
    assert modules < set(names)
    assert len(set(names)) == len(names)
    for section in (HEAD, *SECTIONS):
        text = (TEMPLATES / section.template).read_text(encoding="utf-8")
        assert f'<section id="{section.name}"' in text


def test_a_section_more_needs_nothing_but_itself(outcome, folder, monkeypatch):
    """A picture in a slot that a template has is on the page and among the files."""

    def pictures(race, runs):
        figure = final_scores_figure(final_scores(race.tasks[0]))
        return [draw(("overall",), "one-more", figure, "One picture more than there was.")]

    more = Section("cost", "Once more", pictures)
    monkeypatch.setattr(page, "SECTIONS", (*SECTIONS, more))
    text = write_report(outcome, folder, "").read_text(encoding="utf-8")
    assert 'alt="One picture more than there was."' in text
    assert (folder / "figures" / "one-more.svg").exists()
    assert (folder / "figures" / "one-more.png").exists()


def test_sections_without_content_are_left_out(tmp_path):
    outcome = race({"lstm": [run(0.9)]})
    text = write_report(outcome, tmp_path, "").read_text(encoding="utf-8")
    for name in ("tuning", "difficulty"):
        assert f'id="{name}"' not in text
        assert f'href="#{name}"' not in text
    assert 'id="speed"' in text


def test_a_picture_is_its_own_data_uri():
    assert Picture(("x",), svg=b"<svg/>").source == "data:image/svg+xml;base64,PHN2Zy8+"
