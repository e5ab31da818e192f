"""The runner: owns the active set, counts passes, and verifies what every attack claims."""
