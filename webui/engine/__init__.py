"""Requests in, pictures out. Knows tensors and requests; knows neither Gradio nor pluggy nor SQL."""
