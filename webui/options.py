"""The command line as data: which command, which settings, and what is left for the command itself.

It knows the options that every command shares. A command's own arguments (a prompt, steps) stay in
`rest`; those of `generate` come from the tasks' controls in `webui.cli`. A command that is not known here may be
a task's name: `webui.app` finds out. Imports no library, so that `--help` answers on a bare Python.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

from webui import __version__
from webui.errors import RequestError
from webui.logs import FORMATS
from webui.preferences import SETTINGS, Preferences
from webui.registry import nearest
from webui.settings import ATTENTIONS, DTYPES, ROOT, Settings

__all__ = ["COMMANDS", "CommandLine", "SentenceParser", "read"]

COMMANDS = {
    "serve": "the page and its API (when no command is given)",
    "generate": 'one request from here: generate "PROMPT"; its options: generate --help',
    "jobs": "those of a running Easel: jobs [list | show ID | pause, resume, interrupt, skip or cancel ID]",
    "models": "model files: models [list | info MODEL | hash MODEL | convert FILE | merge A B]",
    "ext": "extensions: ext list [--json], or ext new NAME to begin one",
    "doctor": "what this machine has, what Easel will use of it, and why",
    "train": "trains the starter model; its options: train --help",
    "test": "the tests; takes pytest's arguments",
}


class SentenceParser(argparse.ArgumentParser):
    """An ArgumentParser whose complaint is a `RequestError` instead of a usage text and an exit."""

    def error(self, message: str) -> NoReturn:
        raise RequestError(message)


@dataclass(frozen=True, slots=True)
class CommandLine:
    """What was asked for. `command` is one of `COMMANDS` or, as far as is known here, a task's name; `rest`
    are its own arguments.

    `help` asks for the help of `command`, or of Easel when it is "serve". `logins` are users with their
    passwords: those whom the page lets in, or the one to show to a server. With `preferences`, `settings` are theirs.
    """

    command: str
    settings: Settings
    rest: tuple[str, ...] = ()
    browser: bool = True
    help: bool = False
    logins: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    preferences: Preferences | None = None


def read(argv: Sequence[str]) -> CommandLine:
    """The command line `argv` (without the program's name); raises RequestError with a sentence."""
    if argv[:1] in (["train"], ["test"]):  # their arguments are their own
        return CommandLine(argv[0], Settings(), tuple(argv[1:]))
    options, rest = shared_parser().parse_known_args(list(argv))
    command = rest.pop(0) if rest and not rest[0].startswith("-") else "serve"
    if command in ("serve", "doctor") and rest and not options.help:
        flag = rest[0].split("=")[0]
        raise RequestError(f"option {flag} is not known{nearest(flag, flags())}")
    if options.share:
        raise RequestError("--share is not there yet: it comes with a later version")
    return CommandLine(
        command=command,
        settings=settings_from(options),
        rest=tuple(rest),
        browser=not options.no_browser,
        help=options.help,
        logins=logins_from(options.auth),
    )


def logins_from(words: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Users and passwords out of USER:PASS words, several in one with commas between them."""
    logins: dict[str, str] = {}
    for number, word in enumerate(",".join(words).split(",") if words else (), 1):
        user, _, password = word.partition(":")  # never told: it may be half a password
        if not user.strip() or not password:
            raise RequestError(
                f"--auth, login {number}: give USER:PASS (no comma in either)", "auth"
            )
        if user.strip() in logins:
            raise RequestError(f"--auth: {user.strip()} is there twice", "auth")
        logins[user.strip()] = password
    return tuple(logins.items())


def settings_from(options: argparse.Namespace) -> Settings:
    """Settings out of parsed options; what nobody gave keeps its default."""
    data_dir = options.data_dir or ROOT
    added = [path.absolute() for path in options.models_dir]
    extensions_dirs = tuple(path.absolute() for path in options.extensions_dir)
    for flag, paths in (("models", added), ("extensions", extensions_dirs)):
        for path in paths:
            if not path.is_dir():
                raise RequestError(f"--{flag}-dir {path}: no such folder", f"{flag}_dirs")
    given = {s.name for s in SETTINGS if s.flag and getattr(options, s.name) not in (None, False)}
    shipped = [ROOT / "models", data_dir.absolute() / "models"]
    return Settings.at(
        data_dir.absolute(),
        models_dirs=tuple(dict.fromkeys([*shipped, *added])),
        outputs_dir=options.outputs_dir and options.outputs_dir.absolute(),
        device=options.device,
        dtype=options.dtype,
        attention=options.attention,
        deterministic=options.deterministic or None,
        host=options.host or ("0.0.0.0" if options.listen else None),
        port=options.port,
        offline=options.offline or None,
        extensions_dirs=extensions_dirs,
        safe_mode=options.safe_mode,
        without_extensions=tuple(dict.fromkeys(options.no_extension)),
        restart_on_hang=options.restart_on_hang,
        keep_jobs=options.keep_jobs,
        keep_outputs=options.keep_outputs,
        trash_days=options.trash_days,
        replies_gb=options.replies_gb,
        models_gb=options.models_gb,
        log_format=options.log_format,
        fixed=frozenset(given),
    )


def shared_parser() -> SentenceParser:
    """The options that every command takes, in the order of the help."""
    parser = SentenceParser(
        prog="python launch.py",
        usage="python launch.py [COMMAND or TASK] [options]",
        description="Easel: a Stable Diffusion studio in the browser.",
        epilog="commands:\n" + "\n".join(f"  {name:10}{what}" for name, what in COMMANDS.items()),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        add_help=False,
        allow_abbrev=False,
    )
    page = parser.add_argument_group("page")
    page.add_argument("--host", help="address to listen on (127.0.0.1)")
    page.add_argument("--listen", action="store_true", help="listen on every address")
    page.add_argument("--port", type=int, help="port (7860); 0 takes a free one")
    page.add_argument("--no-browser", action="store_true", help="open no browser")
    page.add_argument("--share", action="store_true", help="a public link: not there yet")
    page.add_argument(
        "--auth",
        metavar="USER:PASS",
        action="append",
        default=[],
        help="let in who has this login; several times for several, or with commas",
    )
    places = parser.add_argument_group("places")
    places.add_argument("--data-dir", type=Path, metavar="DIR", help="what Easel writes (here)")
    places.add_argument(
        "--models-dir",
        type=Path,
        metavar="DIR",
        action="append",
        default=[],
        help="one more folder of models",
    )
    places.add_argument("--outputs-dir", type=Path, metavar="DIR", help="pictures (outputs)")
    places.add_argument(
        "--extensions-dir",
        type=Path,
        metavar="DIR",
        action="append",
        default=[],
        help="one more folder of extensions",
    )
    for flag, unit, what in (
        ("--keep-jobs", "DAYS", "how long ended jobs are remembered (30); 0 is for ever"),
        ("--keep-outputs", "DAYS", "when saved pictures are deleted (0: never)"),
        ("--trash-days", "DAYS", "how long the gallery's trash keeps pictures (30); 0 is for ever"),
        ("--replies-gb", "GB", "what running and paused jobs may take on disk (4)"),
    ):
        places.add_argument(flag, type=float, metavar=unit, help=what)
    engine = parser.add_argument_group("engine")
    engine.add_argument("--device", metavar="auto|cpu|cuda[:N]|mps", help="where networks run")
    engine.add_argument("--dtype", choices=DTYPES, help="numbers that networks run in")
    engine.add_argument("--attention", choices=ATTENTIONS, help="who computes attention")
    engine.add_argument(
        "--models-gb",
        type=float,
        metavar="GB",
        help="memory that loaded models may take (a share of what is free); one always stays",
    )
    engine.add_argument(
        "--deterministic",
        action="store_true",
        help="the same bits whatever else runs; slower",
    )
    engine.add_argument(
        "--restart-on-hang",
        type=float,
        metavar="SECONDS",
        help="start anew when the device does not answer for so long; jobs go on",
    )
    start = parser.add_argument_group("start")
    start.add_argument(
        "--torch", choices=("auto", "cpu", "cuda"), help="build of PyTorch to install"
    )
    start.add_argument("--skip-install", action="store_true", help="install nothing")
    start.add_argument("--offline", action="store_true", help="never use the network")
    start.add_argument(
        "--safe-mode", action="store_true", help="start with the bundled extensions only"
    )
    start.add_argument(
        "--no-extension",
        metavar="NAME",
        action="append",
        default=[],
        help="start without this extension",
    )
    start.add_argument("--log-format", choices=FORMATS, help="lines of text, or of JSON")
    start.add_argument("--version", action="version", version=f"Easel {__version__}")
    start.add_argument("-h", "--help", action="store_true", help=argparse.SUPPRESS)
    return parser


def flags() -> list[str]:
    """Every shared option as it is written, for "did you mean"."""
    return sorted(set(re.findall(r"--[a-z-]+", shared_parser().format_help())))
