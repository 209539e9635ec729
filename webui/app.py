"""The composition root: builds extensions, catalog, engine and page, and passes them to each other.

The only file that sees everything. It decides nothing about pictures; it decides what starts when:
the page answers first, then the engine's thread loads torch.
"""

from __future__ import annotations

import atexit
import faulthandler
import hashlib
import logging
import os
import platform
import signal
import sys
import threading
import time
import webbrowser
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import FrameType

from webui import __version__, api, builtin, cli, descriptors, images, listing, logs, plugins
from webui.catalog.checkpoints import ModelList
from webui.catalog.formats.hashing import Hasher
from webui.catalog.formats.header import read_header
from webui.catalog.library import Library
from webui.catalog.library.family_detection import wrong_file
from webui.catalog.model_folders import AdapterFiles
from webui.crashes import Crashes
from webui.defaults import check
from webui.engine.calls import is_call
from webui.engine.engine import HANG_S, Engine, EngineOptions
from webui.errors import EaselError, RequestError
from webui.languages import Languages
from webui.marks import Marks, told_exits
from webui.options import COMMANDS, CommandLine, SentenceParser, read, shared_parser
from webui.plugins import Extensions, Limits
from webui.preferences import Preferences
from webui.registry import Catalog, Registry, nearest
from webui.settings import BUNDLED, ROOT, STORE, Settings
from webui.store import preferences
from webui.store.database import InUse
from webui.store.downloads import Downloads
from webui.store.gallery import Gallery
from webui.store.jobs import JobStore
from webui.store.models import ModelIndex
from webui.store.thumbnails import Thumbnails
from webui.sweeping import Sweeper, sweep_parts
from webui.types import Finished, GenerationRequest, Places, SavedPicture

__all__ = ["Composition", "compose", "end_in_time", "main"]

MODELS_PATIENCE_S = 1.0  # what one list of models may take to read new files
# What ends a process that nobody asked it to but a person; a SIGHUP where the terminal goes away.
ENDINGS = tuple(
    found for name in ("SIGTERM", "SIGHUP") if (found := getattr(signal, name, None)) is not None
)
PREVIEWS, PREVIEWS_BYTES = "previews", 5e8  # small versions of pictures beside models
END_S = 10.0  # what threads and `atexit` functions of guests may take when all of ours has ended
ASKED_S = 9.0  # what everything may take once a server is asked to end: ten seconds, less a look
GRACE_S = 0.5  # between the engine's end and the page's: those who wait for a job are told


SETTINGS = "settings"  # the preference: settings by their names
DISABLED = "disabled_extensions"  # the preference: names of those that are switched off
# Names that a task of an extension cannot have: the API's other endpoints, and every command.
RESERVED = ("models", "samplers", "schedulers", "upscalers", "extensions", "png_info", *COMMANDS)


@dataclass(frozen=True, slots=True)
class Composition:
    """Everything that runs, made for one set of settings. Nothing is started yet."""

    engine: Engine
    catalog: Catalog
    settings: Settings
    extensions: Extensions
    store: JobStore | None = None
    index: ModelIndex | None = None
    hasher: Hasher | None = None
    gallery: Gallery | None = None
    library: Library | None = None

    def take_up(self) -> None:
        """Tells extensions of pictures that they may not have heard of, and clears away what nobody needs."""
        if self.store is not None:
            for job, index, owner, picture, request in self.store.unheard():
                heard = partial(self.store.heard, job, index)
                self.extensions.saved(picture, request, heard, owner or job)
            settings, known = self.settings, self.gallery
            if known is None or known.set_aside is not None:  # nobody knows the favourites
                self.store.tidy(settings.keep_jobs)
            else:
                self.store.tidy(settings.keep_jobs, settings.keep_outputs, known.is_favourite)

    def close(self) -> None:
        """The engine first: what it still saves is what extensions still hear of, and the store keeps."""
        if self.hasher is not None:
            self.hasher.stop()
        self.engine.stop()
        self.extensions.stop()
        if self.gallery is not None:
            self.gallery.close()
        if self.store is not None:
            self.store.close()
        if self.index is not None:
            self.index.close()


def compose(
    settings: Settings,
    limits: Limits | None = None,
    store: JobStore | None = None,
    hung: Callable[[str], None] = lambda what: None,
    saved: Callable[[SavedPicture, GenerationRequest], None] = lambda picture, request: None,
    called: Callable[[str, int, float], None] = lambda model, rows, seconds: None,
    index: ModelIndex | None = None,
    gallery: Gallery | None = None,
    crashes: Crashes | None = None,
) -> Composition:
    """Puts what extensions and we ourselves have registered together with the models of `settings`.

    `limits` are how long extensions may take. With a `store` jobs outlive the process. `hung` hears
    of a call that the device does not answer, `saved` of each picture that is on disk, `called` of each UNet call.
    With an `index` model files are read once in its lifetime, and hashed while nothing runs. A `gallery` knows of each
    picture before its job says that it is there. `crashes` knows what has ended the process before.
    """
    models = ModelList(settings.models_dirs, index, None if index is None else MODELS_PATIENCE_S)
    adapter_files = AdapterFiles(settings.models_dirs)
    library = Library(settings.models_dirs, models, index)
    extensions = load_extensions(settings, limits, crashes)
    parts = extensions.parts
    catalog = Catalog(
        tasks=Registry("task", parts.tasks.items(), lambda task: (task.label,)),
        samplers=Registry("sampler_name", parts.samplers.items(), lambda sampler: sampler.aliases),
        schedules=Registry(
            "scheduler",
            parts.schedules.items(),
            lambda schedule: (schedule.label, *schedule.aliases),
        ),
        list_models=models,
        upscalers=Registry(
            "upscaler",
            parts.upscalers.items(),
            lambda upscaler: (upscaler.label, *upscaler.aliases),
        ),
        list_vaes=lambda: list(adapter_files.vaes()),
    )

    def change(request: GenerationRequest) -> GenerationRequest:
        return extensions.change(request, lambda changed: check(changed, catalog))

    def save(finished: Finished) -> SavedPicture:
        """A picture's way to the disk: its name is kept first, then the file, then that it is there."""
        job, index, outputs = finished.job, finished.index, settings.outputs_dir
        told = finished.request
        if store is None:
            picture = images.save(finished, outputs, saving=settings.now.saving)
            extensions.saved(picture, told, whose=job)
            return picture
        before = store.reserved(job, index)

        def reserve(path: Path, digest: str = "") -> None:
            store.reserve(job, index, path, finished.seed, digest)

        how = settings.now.saving
        picture = images.save(
            finished, outputs, before, reserve, how, store.names_in, sealed=reserve
        )
        store.saved(job, index, picture)
        _, owner = store.whose(picture.path) or (job, "")
        if gallery is not None:
            gallery.add(picture, told.task, owner, job)
        extensions.saved(picture, told, partial(store.heard, job, index), owner or job)
        return picture

    engine = Engine(
        models,
        parts,
        save=save,
        options=EngineOptions(
            device=settings.device,
            dtype=settings.dtype,
            attention=settings.attention,
            deterministic=settings.deterministic,
            hang_s=settings.restart_on_hang or HANG_S,
            models_gb=settings.models_gb,
        ),
        change=change,
        saved=saved,
        persistence=store,
        version=code_version(extensions),
        hung=hung,
        called=called,
        facts=index,
        adapter_files=adapter_files,
        max_chunks=lambda: settings.now.max_chunks,
        witness=crashes,
    )
    hasher = None
    if index is not None:
        hasher = Hasher(library.to_hash, index, lambda: working(engine), index.last_used)
    return Composition(
        engine, catalog, settings, extensions, store, index, hasher, gallery, library
    )


def working(engine: Engine) -> bool:
    """Whether a job runs or waits."""
    return any(job.state in ("queued", "running") for job in engine.jobs())


def open_store(settings: Settings) -> JobStore:
    """The jobs of a data folder. Raises `InUse` while another process has them."""
    store = JobStore(settings.data_dir / STORE, settings.replies_gb * 1e9, settings.steps_gb * 1e9)
    if store.set_aside is not None:
        say(f"the job store was damaged; it is kept as {store.set_aside}, and a new one is begun")
    return store


def open_index(settings: Settings) -> ModelIndex | None:
    """The model index of a data folder; None where another process has it or the disk says no."""
    try:
        index = ModelIndex(settings.data_dir / STORE)
    except EaselError as error:
        say(f"what is known of model files is not kept: {error}")
        return None
    if index.set_aside is not None:
        say(f"the model index was damaged; it is kept as {index.set_aside}, and a new one is begun")
    return index


def open_gallery(
    settings: Settings, store: JobStore, logins: Sequence[tuple[str, str]]
) -> Gallery | None:
    """The gallery of a data folder; None where the disk says no."""
    try:
        gallery = Gallery(
            settings.data_dir / STORE,
            settings.outputs_dir,
            images.thumbnail,
            trash_days=settings.trash_days,
            logins=[name for name, _ in logins],
            whose=store.whose,
        )
    except EaselError as error:
        say(f"there is no gallery: {error}")
        return None
    if gallery.set_aside is not None:
        say(f"the gallery's index was damaged; it is kept as {gallery.set_aside}, and made anew")
    return gallery


def code_version(extensions: Extensions) -> str:
    """A digest of the engine's and the extensions' sources: whether the code that makes pictures is what it was."""
    folders = [ROOT / "webui" / "engine", ROOT / "webui" / "types"]
    folders += [Path(e.source) for e in extensions.statuses() if e.state == "on"]
    digest = hashlib.sha256(__version__.encode())
    for folder in folders:
        for path in sorted(folder.rglob("*.py")) if folder.is_dir() else [folder]:
            if path.is_file():
                digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def chosen_settings(settings: Settings) -> Preferences:
    """The command line's settings, with what `settings.json` of the data folder has in the place of defaults."""
    data_dir = settings.data_dir
    saved = preferences.read(data_dir).get(SETTINGS, {})
    if not isinstance(saved, dict):
        say(f"{data_dir / preferences.FILE}: {SETTINGS!r} is no object; the defaults hold")
        saved = {}
    return Preferences(settings, saved, lambda kept: preferences.change(data_dir, {SETTINGS: kept}))


def load_extensions(
    settings: Settings, limits: Limits | None = None, crashes: Crashes | None = None
) -> Extensions:
    """Our own parts and every extension that `settings` and the preferences let in."""
    data_dir = settings.data_dir
    disabled = preferences.read(data_dir).get(DISABLED, ())
    known = isinstance(disabled, list) and all(isinstance(name, str) for name in disabled)

    def keep(names: Sequence[str]) -> None:
        preferences.change(data_dir, {DISABLED: list(names)})

    return plugins.load(
        builtin,
        (ROOT / "extensions", *settings.extensions_dirs),
        Places(data_dir, settings.models_dirs, settings.outputs_dir, wrong_file),
        api_version=api.VERSION,
        bundled=BUNDLED,
        safe_mode=settings.safe_mode,
        without=settings.without_extensions,
        disabled=disabled if known else (),
        keep=keep,
        reserved=RESERVED,
        limits=limits,
        history=crashes,
        is_call=is_call,
    )


def main(argv: Sequence[str]) -> int:
    """Runs the command line `argv` (without the program's name).

    Gives the exit code: 0, 1 when a picture failed, 2 for a request or option that is wrong.
    """
    try:
        line = read(argv)
        logs.begin(line.settings.log_format)
        if line.command not in ("train", "test"):
            chosen = chosen_settings(line.settings)
            line = replace(line, settings=chosen.settings, preferences=chosen)
        return RUN.get(line.command, run_task)(line)
    except EaselError as error:
        say(str(error))
        return 2


def say(text: str) -> None:
    print(f"Easel: {text}", file=sys.stderr, flush=True)


# --- The commands ---------------------------------------------------------------------------------


def serve(line: CommandLine) -> int:
    """The page until SIGTERM or Ctrl+C; then the running call is finished and all is closed."""
    if line.help:
        shared_parser().print_help()
        return 0
    logging.getLogger("webui").setLevel(logging.INFO)  # the terminal of a server is its log
    descriptors.raise_limit()
    with watched(line.settings, "serve") as crashes:
        ended = serve_watched(line, crashes)
    if not ended:
        leave(0)
    return 0


def serve_watched(line: CommandLine, crashes: Crashes) -> bool:
    """Whether everything of the engine has come to its end."""
    from webui import http
    from webui.ui import launch_page

    store = open_store(line.settings)
    restarts = line.settings.restart_on_hang is not None
    hung = partial(start_anew, store, crashes.marks) if restarts else lambda what: None
    key, metrics = http.secret_in(line.settings.data_dir / STORE), http.Metrics()
    made = compose(
        line.settings,
        store=store,
        hung=hung,
        saved=metrics.saved,
        called=metrics.called,
        index=open_index(line.settings),
        gallery=open_gallery(line.settings, store, line.logins),
        crashes=crashes,
    )
    assert made.library is not None
    previews = Thumbnails(
        line.settings.data_dir / STORE / PREVIEWS, images.thumbnail, PREVIEWS_BYTES
    )
    downloads = open_downloads(line.settings, made.library)
    jobs_face = http.face(
        made.engine,
        made.catalog,
        made.settings,
        metrics,
        made.gallery,
        preferences=line.preferences,
        logins=[name for name, _ in line.logins],
        versions=versions(),
        languages=languages_of(line.settings, made.extensions),
        library=made.library,
        previews=previews.of,
        downloads=downloads,
        extensions=made.extensions,
    )
    gate = partial(http.Gate, face=jobs_face, logins=line.logins, key=key)
    with stop_signals(crashes.close, crashes.marks.asked) as stop:
        # Whatever runs then, and wherever this thread is: what is not done goes on at the next start.
        end_in_time(0, ASKED_S, after=stop)
        try:
            made.extensions.start()  # so that their `startup` hooks come before any request
            made.engine.restore()  # who asks for a job at once is told of it
            page = launch_page(
                made.engine,
                made.catalog,
                made.settings,
                made.extensions,
                gallery=made.gallery,
                models=True,
                quiet=True,
                logins=line.logins,
                gate=gate,
            )
            print(f"Easel is at {page.url}", flush=True)
            made.take_up()
            made.engine.start()  # torch is loaded on the engine's thread, beside the page
            if made.hasher is not None:
                made.hasher.start()
            downloads.start()
            ours = [made.settings.outputs_dir, made.settings.data_dir / STORE]
            parts = partial(sweep_parts, ours, made.settings.models_dirs)  # downloads go on
            sweeper = Sweeper([page.uploads.sweep, parts])
            sweeper.start()
            if made.gallery is not None:
                made.gallery.watch(lambda: working(made.engine))
            if line.browser and has_screen():
                webbrowser.open(page.url)
            while not stop.wait(0.5):  # a wait without end would keep Ctrl+C waiting on Windows
                pass
            say("finishing the running call")
            sweeper.stop()
            made.engine.stop()
            time.sleep(GRACE_S)
            page.close()
        finally:
            downloads.close()
            previews.close()
            made.close()
    return made.engine.stop()  # as it was told before


def open_downloads(settings: Settings, library: Library) -> Downloads:
    """What is fetched into the data folder's models, or into the last of the models folders where that is none."""
    own = settings.data_dir / "models"
    models = own if own in settings.models_dirs else settings.models_dirs[-1]

    def check(path: Path) -> None:
        read_header(path)

    return Downloads(
        models,
        settings.data_dir / STORE,
        offline=settings.offline,
        check=check,
        arrived=library.rescan,
    )


def languages_of(settings: Settings, extensions: Extensions) -> Languages:
    """The page's languages: ours, with words that extensions bring, and the user's own files over all."""

    def folders() -> list[Path]:
        sources = [Path(e.source) for e in extensions.statuses() if e.state == "on"]
        brought = [ROOT / source / "languages" for source in sources]  # absolute ones stay so
        return [*brought, settings.data_dir / "languages"]

    return Languages(folders)


def versions() -> dict[str, str]:
    """What runs here, by the names that people know."""
    found = {"Easel": __version__, "Python": platform.python_version()}
    for name, package in (("PyTorch", "torch"), ("diffusers", "diffusers"), ("Gradio", "gradio")):
        with suppress(PackageNotFoundError):
            found[name] = version(package)
    return found


@contextmanager
def watched(settings: Settings, command: str) -> Iterator[Crashes]:
    """For as long as a command runs, what it does is marked, so that the next one knows what ended it.

    A fault of the system's (a segmentation fault, an abort) is written down with every thread's stack: by a server
    into its marks, which the next one tells, by a command on the terminal. What a person does to end it is no crash.
    """
    crashes = Crashes(settings.data_dir / STORE, command)
    tail = crashes.marks.tail
    faults = not faulthandler.is_enabled()
    with told_exits(crashes.marks), ended_by_signals(crashes.close):
        if faults:
            faulthandler.enable(tail if command == "serve" and tail >= 0 else 2)
        try:
            yield crashes
        finally:
            if faults:
                faulthandler.disable()
            crashes.close()


@contextmanager
def ended_by_signals(close: Callable[[], None]) -> Iterator[None]:
    """While nobody else looks after SIGTERM and SIGHUP they end the process as ever, but for `close` before."""

    def on_signal(number: int, frame: FrameType | None) -> None:
        close()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    with handled(on_signal, ENDINGS):
        yield


@contextmanager
def handled(
    handler: Callable[[int, FrameType | None], None], numbers: Sequence[signal.Signals]
) -> Iterator[None]:
    """Signals in the hands of `handler`; those that are ignored (by `nohup`) stay so."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    mine = [number for number in numbers if signal.getsignal(number) != signal.SIG_IGN]
    before = [signal.signal(number, handler) for number in mine]
    try:
        yield
    finally:
        for number, known in zip(mine, before, strict=True):
            signal.signal(number, known)


def end_in_time(code: int, within_s: float = END_S, after: threading.Event | None = None) -> None:
    """Has the process end with `code` in a while (once `after` is set), whatever threads and `atexit` functions still
    do."""

    def end() -> None:
        if after is not None:
            after.wait()
        time.sleep(within_s)
        going = [thread.name for thread in threading.enumerate() if not thread.daemon]
        say(f"not everything has ended for {within_s:.0f} s ({', '.join(going)}): left")
        os._exit(code)

    threading.Thread(target=end, name="easel-end", daemon=True).start()


def leave(code: int) -> None:
    """Ends the process although a thread of ours works on: Python would take itself down under it, for as long as that
    takes, and end no sooner. What was registered for the end is done, and time is counted meanwhile (`end_in_time`)."""
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def start_anew(store: JobStore, marks: Marks, what: str) -> None:
    """In the place of a process whose device does not answer: the same command once more, which takes up the jobs."""
    say(f"the device does not answer ({what}): starting anew")
    marks.tell(f"the device did not answer for long: {what}", stack=False)
    store.close()  # waits for what is being written
    os.execv(sys.executable, sys.orig_argv)


def generate(line: CommandLine, task: str | None = None) -> int:
    """One request, of `task` where the command is a task's name; the engine is started when it is known to be
    in order."""
    descriptors.raise_limit()
    with watched(line.settings, "generate") as crashes:
        return generate_watched(line, task, crashes)


def generate_watched(line: CommandLine, task: str | None, crashes: Crashes) -> int:
    store = None if line.help else store_if_free(line.settings)
    made = compose(line.settings, store=store, crashes=crashes)
    try:
        words = line.rest
        if task is not None:
            if task not in made.catalog.tasks:
                known = nearest(task, [*COMMANDS, *made.catalog.tasks])
                raise RequestError(f"command {task!r} is not known{known}")
            words = ("--task", task, *words)
        if line.help:
            cli.generate_parser(made.catalog).print_help()
            return 0
        request, output = cli.read_request(words, made.catalog, made.settings)
        with stop_signals(crashes.close, crashes.marks.asked) as stop:
            made.extensions.start()
            made.engine.start(take_up=False)  # what a server left is the next server's
            return cli.generate(made.engine, request, output, stop)
    finally:
        made.close()


def store_if_free(settings: Settings) -> JobStore | None:
    """The job store, or None while a server has it: a command's job then ends with the command."""
    try:
        return open_store(settings)
    except InUse:
        return None


def run_task(line: CommandLine) -> int:
    """`morph "a cat"` is `generate --task morph "a cat"`, for every task that there is."""
    return generate(line, task=line.command)


def ext(line: CommandLine) -> int:
    """What extensions there are, or a new one to begin with."""
    parser = ext_parser()
    if line.help or not line.rest:
        parser.print_help()
        return 0
    words = parser.parse_args(list(line.rest))
    if words.what == "list":
        with watched(line.settings, "ext list") as crashes:
            statuses = load_extensions(line.settings, crashes=crashes).statuses()
        print(listing.as_json(statuses) if words.json else listing.as_table(statuses))
        return 0
    from webui.scaffold import new

    folder = (*line.settings.extensions_dirs, ROOT / "extensions")[0]
    print(new(words.name, folder))
    return 0


def ext_parser() -> SentenceParser:
    parser = SentenceParser(prog="python launch.py ext", add_help=False, allow_abbrev=False)
    what = parser.add_subparsers(dest="what", required=True, parser_class=SentenceParser)
    shown = what.add_parser("list", add_help=False, help="every extension, without starting Easel")
    shown.add_argument("--json", action="store_true", help="all that is known, as JSON")
    new = what.add_parser("new", add_help=False, help="begins an extension: code and a test of it")
    new.add_argument("name", metavar="NAME")
    return parser


def jobs(line: CommandLine) -> int:
    """What a running server works on, and changes to it."""
    if line.help:
        cli.jobs_parser().print_help()
        return 0
    return cli.jobs(line.rest, line.settings, line.logins)


def models(line: CommandLine) -> int:
    """What model files there are, or a new one made of them."""
    if line.help:
        print(cli.models_help(line.rest), end="")
        return 0
    index = index_if_free(line.settings)
    try:
        return cli.models(
            line.rest, line.settings, ModelList(line.settings.models_dirs, index), index
        )
    finally:
        if index is not None:
            index.close()


def index_if_free(settings: Settings) -> ModelIndex | None:
    """The model index, or None while a server has it."""
    try:
        return ModelIndex(settings.data_dir / STORE)
    except InUse:
        return None


def doctor(line: CommandLine) -> int:
    if line.help:
        shared_parser().print_help()
        return 0
    with watched(line.settings, "doctor") as crashes:
        made = compose(line.settings, crashes=crashes)
        return cli.doctor(made.catalog, made.settings)


def train(line: CommandLine) -> int:
    from webui.training.train import main as train_main

    return train_main(list(line.rest))


def test(line: CommandLine) -> int:
    raise EaselError("the tests are started by launch.py: python launch.py test")


RUN: dict[str, Callable[[CommandLine], int]] = {
    "serve": serve,
    "generate": generate,
    "jobs": jobs,
    "models": models,
    "ext": ext,
    "doctor": doctor,
    "train": train,
    "test": test,
}


def has_screen() -> bool:
    """Whether a browser that is opened here would be seen."""
    if sys.platform in ("win32", "darwin"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


@contextmanager
def stop_signals(
    close: Callable[[], None] = lambda: None, asked: Callable[[], None] = lambda: None
) -> Iterator[threading.Event]:
    """An event that SIGTERM, Ctrl+C and the end of the terminal set; `asked` hears of it. A second one ends the process
    at once, exit code 130; `close` comes before."""
    stop = threading.Event()

    def on_signal(number: int, frame: FrameType | None) -> None:
        if stop.is_set():
            close()
            os._exit(130)
        stop.set()
        asked()

    with handled(on_signal, (*ENDINGS, signal.SIGINT)):
        yield stop


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
