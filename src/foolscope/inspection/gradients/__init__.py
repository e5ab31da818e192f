"""Gradients of a model: checks of their correctness, and their norms by layer and time step."""
