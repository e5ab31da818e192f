"""The section of a report about attacks."""
