"""A real process is killed; the run goes on as if it had not been."""

import json
from pathlib import Path

import pytest

from tests.support.processes import kill, run, start, wait_until

TRAIN = ("train", "--task", "pair-matching", "--steps", 1000, "--batch-size", 64, "--seed", 5)


def history(folder: Path) -> list[dict[str, float]]:
    lines = (folder / "run" / "metrics.jsonl").read_text().splitlines()
    return [json.loads(line) | {"seconds": 0} for line in lines]


@pytest.mark.slow
def test_killed_again_and_again_it_ends_with_the_same_bits(tmp_path: Path) -> None:
    undisturbed, killed = tmp_path / "undisturbed", tmp_path / "killed"
    assert run(*TRAIN, "--out", undisturbed).returncode == 0

    for step in (0, 100, 200):
        process = start(*TRAIN, "--out", killed)
        metrics = killed / "run" / "metrics.jsonl"
        wait_until(lambda: metrics.exists() and f'"step": {step},' in metrics.read_text(), process)  # noqa: B023
        kill(process)
        assert not (killed / "model.safetensors").exists()
    ended = run(*TRAIN, "--out", killed)

    assert ended.returncode == 0, ended.stderr
    for file in ("model.safetensors", "run/model.safetensors", "run/run.json"):
        assert (killed / file).read_bytes() == (undisturbed / file).read_bytes()
    assert history(killed) == history(undisturbed)
    leftovers = [path for path in killed.rglob(".*") if path.is_file()]
    # A kill in the middle of a write may leave the unfinished copy, never a damaged file.
    assert all(path.name.startswith((".checkpoint", ".metrics")) for path in leftovers)
