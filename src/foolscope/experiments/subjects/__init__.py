"""Whose model, on which images: runs, anyone's models, weights, plausibility."""
