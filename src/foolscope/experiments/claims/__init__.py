"""Sentences that a test upholds or contradicts."""
