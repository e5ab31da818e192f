"""Layer 1: statistics of anyone's numbers: estimates, block designs, power, verdicts, relations."""
