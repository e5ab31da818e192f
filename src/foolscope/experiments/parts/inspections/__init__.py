"""Inspections: the answers and layers of a study's models."""
