"""Layer 0: errors, settings, named randomness, whole files, devices and precision."""
