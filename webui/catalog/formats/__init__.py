"""Model files as files: what their headers say, what lies beside them, how they are hashed, converted and merged.

Nothing here loads a network, and no module here imports torch.
"""
