"""What models answer and what their layers are like."""
