"""The mathematics of diffusion that engine, training and extensions share. Plain numbers: no networks, no files."""
