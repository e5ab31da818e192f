"""Robust accuracy over a range of budgets: from given attacks, or from all with masking checks."""
