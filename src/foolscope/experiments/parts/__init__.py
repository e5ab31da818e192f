"""What a study can be made of."""
