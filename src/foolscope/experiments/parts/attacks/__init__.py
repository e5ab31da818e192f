"""Attacks over a range of budgets: stored results, counts by outcome, and metrics for claims."""
