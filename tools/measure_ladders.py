"""Measure the ladder of every generated task at its default difficulty, and write them down.

`lstm-baseline tasks` shows what is written, since measuring takes a while. Run this after a change
of a task; a slow test tells when it is needed.
"""

import json

from lstm_baseline.tasks.measured_ladders import FILE, measure


def main() -> None:
    """Measure and write."""
    FILE.write_text(json.dumps(measure(), indent=1, ensure_ascii=False) + "\n")
    print(FILE)


if __name__ == "__main__":
    main()
