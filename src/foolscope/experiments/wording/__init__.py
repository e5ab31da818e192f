"""Everything that speaks: sentences about results, scales of display, and recipe fields in words."""
