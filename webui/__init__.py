"""Easel: a Stable Diffusion studio in the browser that anyone can extend."""

__version__ = "0.1.0"
