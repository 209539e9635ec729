"""Prompts to conditionings: tokens, chunks of 75, the text encoder."""
