"""Drawing, colours and the spelling of numbers and names, for report, demos and benchmarks."""
