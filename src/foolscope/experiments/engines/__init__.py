"""The NumPy engine beside the torch one."""
