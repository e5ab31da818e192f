"""Demonstrations in reports."""
