"""What a model answers: mistakes, and how far its confidence can be believed."""
