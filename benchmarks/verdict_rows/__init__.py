"""Rows of the simulation of verdicts, each measured on its own."""
