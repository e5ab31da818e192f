"""Robust accuracy over a range of budgets."""
