"""Sentences about results, scales of display, and recipe fields in words."""
