"""Basic values that know nothing of diffusion: distributions, noise, conditions, errors."""
