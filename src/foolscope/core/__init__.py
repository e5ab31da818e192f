"""Layer 0: errors, settings, named randomness, registries, devices and precision."""
