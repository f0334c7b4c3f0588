"""Print which engine runs, and all versions."""

from lstm_baseline import __version__
from lstm_baseline.commands.terminal import console


def info() -> None:
    """Say which engine runs, on which instruction set and threads, and all versions."""
    import platform
    from importlib.metadata import version

    from lstm_baseline.engine.backend import describe

    engine = describe()
    native = engine["engine"] == "native"
    rows = {"lstm-baseline": __version__, "engine": engine["engine"]}
    if native:
        rows |= {
            "instruction set": f"{engine['instruction_set']} of {', '.join(engine['available'])}",
            "threads": str(engine["threads"]),
        }
    else:
        rows["why not native"] = engine["reason"]
    rows |= {
        "Python": platform.python_version(),
        "NumPy": version("numpy"),
        "system": f"{platform.system()} {platform.machine()}",
    }
    width = max(map(len, rows))
    for name, value in rows.items():
        console.print(f"{name:<{width}}  {value}")
