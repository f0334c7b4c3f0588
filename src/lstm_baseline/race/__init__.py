"""The race: its file, plan, tuning, results, statistics, verdict and report."""
