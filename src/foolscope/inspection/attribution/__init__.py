"""What a model's answer to an image depends on."""
