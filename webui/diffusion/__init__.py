"""The mathematics of diffusion that catalogue, engine, training and extensions share. No networks, no files."""
