"""Robust accuracy in reports."""
