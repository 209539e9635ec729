"""What Gradio reads off an endpoint's function: its parameters' names, defaults and types."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from inspect import Parameter, Signature
from typing import Any

from webui.types import Choice, Control, Mask, Number, Picture, Seed, Switch

__all__ = ["kind", "parameter", "sign"]


def parameter(name: str, annotation: type, *, required: bool = False) -> Parameter:
    """A parameter that is None when it is left out, unless it is `required`."""
    default = Parameter.empty if required else None
    return Parameter(name, Parameter.POSITIONAL_OR_KEYWORD, default=default, annotation=annotation)


def sign(function: Callable[..., Any], parameters: Sequence[Parameter], result: Any) -> None:
    """Gives a function the signature that Gradio takes names, defaults and types from."""
    function.__signature__ = Signature(list(parameters), return_annotation=result)  # type: ignore[attr-defined]
    hints = {parameter.name: parameter.annotation for parameter in parameters}
    function.__annotations__ = {**hints, "return": result}


def kind(control: Control) -> type:
    """The type that the API's description shows for a control."""
    match control:
        case Number() if not control.whole:
            return float
        case Number() | Seed():
            return int
        case Switch():
            return bool
        case Picture() | Mask():
            return dict
        case Choice() if control.choices:
            return type(control.choices[0][1])
    return str
