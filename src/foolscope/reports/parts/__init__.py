"""The parts of a study as a report shows them: the same names as in :mod:`foolscope.experiments.parts`."""
