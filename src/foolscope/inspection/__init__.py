"""Inspection of a model: sanity checks, gradients, attribution, layers, answers, computational graph.

What a function here returns is what a study stores and a report draws: frozen settings, beside the function.
A new check is one file in ``checks`` (a function from trial and data set to
:class:`~foolscope.inspection.check.Check`), one line in :data:`~foolscope.inspection.checks.CHECKS` and one
test file.
"""
