"""The page and the Gradio API: draws any task from its controls; knows no tensor and no engine file."""

from webui.ui.page import Page, launch_page

__all__ = ["Page", "launch_page"]
