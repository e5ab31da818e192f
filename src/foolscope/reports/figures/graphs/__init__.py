"""Drawings of boxes and lines: computational graphs, and trees."""
