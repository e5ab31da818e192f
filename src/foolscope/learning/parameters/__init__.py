"""What becomes of parameters in a step: groups, penalties, decay, updates, averages."""
