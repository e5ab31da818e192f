"""The NumPy engine, and its comparison with torch."""
