"""Subjects of attacks and inspections: models of runs and of others, with images."""
