"""From measurements to table, JSON and picture, and the command as a whole."""

import io
import json
import os
import time

import numpy as np
import pytest
from matplotlib.text import Text
from rich.console import Console

from lstm_baseline.benchmarks import run
from lstm_baseline.benchmarks.cases import CASES
from lstm_baseline.benchmarks.drawing import ratios, ratios_figure
from lstm_baseline.benchmarks.entrants import PEERS
from lstm_baseline.benchmarks.machine import Neighbours
from lstm_baseline.benchmarks.results import Row, to_json
from lstm_baseline.benchmarks.table import print_report, seconds, times
from lstm_baseline.benchmarks.timing import Pace
from lstm_baseline.cli import app
from lstm_baseline.commands.terminal import exit_code
from lstm_baseline.engine.storage import write_json
from tests.support.bench_fakes import TINY, entry, make_report, some_memory


def printed(report, width=80):
    stream = io.StringIO()
    print_report(report, Console(file=stream, width=width))
    return stream.getvalue()


class TestResults:
    def test_best_peer_and_ratio_are_at_the_same_number_of_threads(self):
        one, two, *_ = make_report().rows
        assert (one.best_peer.name, one.ratio) == ("fast", 0.5)
        assert two.ratio == 8.0

    def test_summary_takes_each_side_at_its_best(self):
        (summary, *_) = make_report().summaries
        assert (summary.ours, summary.ours_threads) == (5e-4, 2)
        assert (summary.best_peer.name, summary.best_peer_threads) == ("fast", 1)
        assert summary.ratio == 2.0

    def test_wrong_answers_count_for_nothing(self):
        report = make_report()
        _, _, peer_wrong, ours_wrong = report.rows
        assert (peer_wrong.best_peer, peer_wrong.ratio) == (None, None)
        assert (ours_wrong.ours, ours_wrong.ratio) == (None, None)
        assert report.share_of_peak(ours_wrong) is None
        assert [found.name for _, found in report.wrong] == ["ONNX Runtime", "ours"]

    def test_share_of_peak(self):
        report = make_report()
        assert report.share_of_peak(report.rows[0]) == pytest.approx(4e6 / 2e-3 / 100e9)
        assert report.share_of_peak(report.rows[1]) == pytest.approx(4e6 / 5e-4 / 200e9)

    def test_json_is_complete_and_finite(self, tmp_path):
        report = make_report(memory=some_memory(), missing=["JAX"])
        write_json(tmp_path / "bench.json", to_json(report))  # refuses NaN and infinity
        written = json.loads((tmp_path / "bench.json").read_text())
        assert written["peers"] == {"PyTorch": "1.0", "ONNX Runtime": "1.0", "JAX": None}
        assert written["machine"]["instruction_set"] == "avx512"
        assert written["peak_gflops"] == {"1": 100.0, "2": 200.0}
        first, *_ = written["rows"]
        assert (first["case"], first["threads"]) == ("forward-lstm-128x35x512x512", 1)
        assert [first[axis] for axis in "BTIH"] == [128, 35, 512, 512]
        assert first["contestants"][0] == {
            "name": "ours",
            "peer": "ours",
            "error": 1e-7,
            "right": True,
            "median_s": 2e-3,
            "low_s": pytest.approx(1.8e-3),
            "high_s": pytest.approx(2.4e-3),
            "rounds": 5,
            "calls": 10,
        }
        wrong = written["rows"][2]["contestants"][1]
        assert wrong == {
            "name": "ONNX Runtime",
            "peer": "ONNX Runtime",
            "error": None,
            "right": False,
        }
        assert written["summary"][0]["ratio"] == 2.0
        assert len(written["rows"]) == 4
        assert written["memory"][0]["call_bytes"] == 45_000_000


class TestTable:
    def test_fits_80_columns_with_nothing_cut(self):
        rows = [
            Row(
                case,
                threads,
                10**9,
                (
                    entry("ours", 123.4e-6),
                    entry("PyTorch eager module", 999.6e-6, "PyTorch"),
                    entry("ONNX Runtime, bound", 888e-6, "ONNX Runtime"),
                    entry("JAX", 123.456),
                ),
            )
            for case in CASES
            for threads in (1, 2)
        ]
        text = printed(make_report(rows, memory=some_memory()))
        assert max(map(len, text.splitlines())) <= 80
        assert "…" not in text
        for words in ("128×35×512×512", "123 µs", "1.00 ms", "888 µs", "123 s", "7.20×", "of peak"):
            assert words in text, words
        assert "ONNX Runtime, bound 888 µs (1)" in text
        assert "1,102.0 MB" in text

    def test_says_who_is_not_installed(self):
        text = printed(make_report(missing=["PyTorch", "JAX"]))
        assert "peers: ONNX Runtime 1.0\nnot installed: PyTorch and JAX" in text
        everyone_gone = printed(make_report(missing=["PyTorch", "ONNX Runtime", "JAX"]))
        assert "peers: none" in everyone_gone
        assert "not installed" not in printed(make_report())

    def test_names_wrong_answers(self):
        text = printed(make_report(), width=200)
        assert "wrong answer: ONNX Runtime in training-lstm-2x3x4x5 on 1 thread, b is off" in text
        assert "wrong answer: ours" in text

    def test_says_when_others_were_at_work(self):
        assert "other processes used 0.75 cores" in printed(make_report(others=0.75))
        assert "other processes" not in printed(make_report(others=0.05))

    @pytest.mark.parametrize(
        ("value", "text"),
        [
            (None, "–"),
            (1.384e-6, "1.38 µs"),
            (9.996e-6, "10.0 µs"),
            (0.9996e-3, "1.00 ms"),
            (45.67e-3, "45.7 ms"),
            (0.2, "200 ms"),
            (12.34, "12.3 s"),
            (3e-10, "0.30 ns"),
        ],
    )
    def test_times_have_three_digits(self, value, text):
        assert seconds(value) == text

    def test_ratios_have_three_digits(self):
        assert [times(r) for r in (None, 0.4567, 2.0, 45.67, 1234.5)] == [
            *("–", "0.46×", "2.00×", "45.7×", "1,230×"),
        ]


class TestPicture:
    def test_holds_the_fastest_of_each_peer(self):
        data = ratios(make_report())
        (one, two), (peer_wrong, ours_wrong) = data.groups.values()
        assert one.ratios == {"PyTorch": 0.5, "JAX": 1.5}
        assert two.ratios == {"PyTorch": 8.0}
        assert peer_wrong.ratios == ours_wrong.ratios == {}
        assert data.peers == ("PyTorch", "JAX")

    @pytest.mark.parametrize("spread", [1.0, 1e4])
    def test_no_text_is_cut_or_on_another(self, spread):
        rows = [
            Row(case, n, 1, (entry("ours", 1.0), entry("PyTorch", spread), entry("JAX", 0.5)))
            for case in CASES
            for n in (1, 2)
        ]
        figure = ratios_figure(ratios(make_report(rows)))
        renderer = figure.canvas.get_renderer()
        figure.draw(renderer)
        texts = [t for t in figure.findobj(Text) if t.get_visible() and t.get_text().strip()]
        boxes = [(t.get_text(), t.get_window_extent(renderer)) for t in texts]
        low, high = figure.axes[0].get_xlim()
        shown = [tick for tick in figure.axes[0].get_xticks() if not low <= tick <= high]
        outside = {f"{tick:g}×" for tick in shown}
        boxes = [(text, box) for text, box in boxes if text not in outside]
        for k, (text, box) in enumerate(boxes):
            assert figure.bbox.x0 <= box.x0, text
            assert box.x1 <= figure.bbox.x1, text
            assert figure.bbox.y0 <= box.y0, text
            assert box.y1 <= figure.bbox.y1, text
            for other, its_box in boxes[:k]:
                assert not box.padded(-1).overlaps(its_box.padded(-1)), (text, other)

    def test_can_be_drawn_without_peers(self):
        rows = [Row(CASES[0], 1, 1, (entry("ours", 1.0),))]
        figure = ratios_figure(ratios(make_report(rows)))
        assert "ours, 1×" in {text.get_text() for text in figure.findobj(Text)}


QUICKEST = Pace(batch_seconds=1e-4, seconds=0.0, min_rounds=2, max_rounds=2)


@pytest.fixture
def tiny(monkeypatch):
    """Make the command run a tiny case, quickly, with no peer but those a test puts in."""
    monkeypatch.setattr("lstm_baseline.benchmarks.cases.CASES", TINY[1:2])
    monkeypatch.setattr(run, "QUICK", QUICKEST)
    gone = tuple(peer._replace(packages=("no_such_package",)) for peer in PEERS)
    monkeypatch.setattr(run, "PEERS", gone)


def command(monkeypatch, *arguments):
    monkeypatch.setattr("sys.argv", ["lstm-baseline", "bench", "--quick", *arguments])
    return exit_code(app)


def test_command_without_peers(tiny, monkeypatch, tmp_path, capsys):
    assert command(monkeypatch, "--threads", "1", "--out", str(tmp_path / "out")) == 0
    text = capsys.readouterr().out
    assert "not installed: PyTorch, ONNX Runtime and JAX" in text
    written = json.loads((tmp_path / "out" / "bench.json").read_text())
    (row,) = written["rows"]
    assert (row["case"], row["threads"]) == ("forward-lstm-2x4x3x5", 1)
    assert row["contestants"][0]["median_s"] > 0
    assert 0 < row["share_of_peak"] < 1
    assert written["summary"] == []
    assert (tmp_path / "out" / "bench.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "out" / "bench.svg").read_text().lstrip().startswith("<")


def test_one_thread_and_all_cores_by_default(tiny, monkeypatch, tmp_path):
    monkeypatch.setattr("lstm_baseline.engine.cores.num_cores", lambda: 2)
    assert command(monkeypatch, "--out", str(tmp_path)) == 0
    rows = json.loads((tmp_path / "bench.json").read_text())["rows"]
    assert [row["threads"] for row in rows] == [1, 2]


@pytest.mark.parametrize("who", ["PyTorch", "ours"])
def test_a_wrong_answer_ends_with_1_and_is_not_timed(who, tiny, monkeypatch, tmp_path, capsys):
    def never():
        raise AssertionError

    def with_a_wrong_one(problem, threads, peers):
        (ours,) = gather(problem, threads, peers)
        outputs = ours.answer()["outputs"]
        found = [ours, ours._replace(peer="PyTorch"), ours._replace(peer="JAX")]
        place = [entrant.peer for entrant in found].index(who)
        found[place] = found[place]._replace(answer=lambda: {"outputs": outputs + 1e-4}, call=never)
        return found

    gather = run.gather
    monkeypatch.setattr(run, "gather", with_a_wrong_one)
    assert command(monkeypatch, "--threads", "1", "--out", str(tmp_path)) == 1
    assert "wrong answer: " in capsys.readouterr().out
    (row,) = json.loads((tmp_path / "bench.json").read_text())["rows"]
    for entrant in row["contestants"]:
        assert entrant["right"] is (entrant["peer"] != who)
        assert ("median_s" in entrant) is entrant["right"]
    assert (row["ratio"] is None) is (who == "ours")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--only", "chess"], "no case has 'chess' in its name"),
        (["--threads", "0"], "--threads"),
        (["--out", "file"], "which is a file"),
    ],
)
def test_wrong_use_is_one_line(arguments, message, monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("mine")
    assert command(monkeypatch, *arguments) == 2
    complaint = capsys.readouterr().err
    assert complaint.count("\n") == 1
    assert message in complaint
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_neighbours_do_not_include_ourselves():
    neighbours, used, started = Neighbours(), time.process_time(), time.perf_counter()
    a = np.ones((800, 800))
    while time.perf_counter() - started < 0.4:
        a @ a
    own = (time.process_time() - used) / (time.perf_counter() - started)
    others = neighbours.cores()
    if others is None:
        pytest.skip("this system does not say how busy it is")
    assert others >= 0
    assert own + others < 1.2 * os.cpu_count()
