"""The model files in the models folders: what they are, told from their headers and names. Loads no torch, and knows
nothing of the engine, which reads this."""
