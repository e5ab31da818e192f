"""The parts of a study as sections of its report."""
