"""Demonstrations in reports: the section, and a module for each kind."""
