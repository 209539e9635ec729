"""Jobs over plain HTTP: takes requests as JSON, tells states as JSON and events as they come.

Knows requests, job states and who asks; knows neither Gradio nor the engine's inside.
"""

from webui.http.face import face
from webui.http.gate import Gate
from webui.http.metrics import Metrics
from webui.http.own_jobs import OwnJobs
from webui.http.owners import secret_in

__all__ = ["Gate", "Metrics", "OwnJobs", "face", "secret_in"]
