"""Sanity checks of a recipe, and its range of learning rates."""
