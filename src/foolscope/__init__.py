"""Executable studies of image classifiers."""
