"""Floor 0: values. They know nothing of diffusion."""
