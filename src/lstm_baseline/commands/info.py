"""Print which engine runs, and all versions."""

from lstm_baseline.commands.terminal import console


def info() -> None:
    """Say which engine runs, on which instruction set and threads, and all versions."""
    from lstm_baseline.installation import describe_installation

    here = describe_installation()
    rows = {"lstm-baseline": here.version, "engine": here.engine}
    if here.why_not_native is None:
        rows |= {
            "instruction set": f"{here.instruction_set} of {', '.join(here.available)}",
            "threads": str(here.threads),
        }
    else:
        rows["why not native"] = here.why_not_native
    rows |= {"Python": here.python, "NumPy": here.numpy, "system": here.system}
    width = max(map(len, rows))
    for name, value in rows.items():
        console.print(f"{name:<{width}}  {value}")
