"""Drawing, colours, and how numbers and names are written: shared by report, demos, benchmarks."""
