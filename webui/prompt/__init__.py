"""A prompt, parsed: a lexer and a small tree, without torch. Knows no file, no model and no tokenizer."""

from webui.prompt.parse import parse
from webui.prompt.prompt import DEEPEST, WEIGHT_MAX, Piece, Prompt
from webui.prompt.tags import STRENGTH_MAX, Argument, Tag
from webui.prompt.tree import (
    Alternation,
    And,
    Break,
    Edit,
    Emphasis,
    Inversion,
    Leave,
    Node,
    Part,
    Sign,
    Text,
    Unclosed,
)

__all__ = [
    "DEEPEST",
    "STRENGTH_MAX",
    "WEIGHT_MAX",
    "Alternation",
    "And",
    "Argument",
    "Break",
    "Edit",
    "Emphasis",
    "Inversion",
    "Leave",
    "Node",
    "Part",
    "Piece",
    "Prompt",
    "Sign",
    "Tag",
    "Text",
    "Unclosed",
    "parse",
]
