"""Inspections in reports."""
