"""Values. They know nothing of diffusion."""
