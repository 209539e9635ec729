"""Every hook: what it is for, what it is given, what it gives back, when it runs, what an error does.

An extension is a module whose functions marked `@hookimpl` carry these names. There are three kinds: `register_*`
are asked once at the start and return values; `change_*` pass a value through all extensions in turn; `wrap_*`
are tasks around a call. An implementation may leave out arguments that it does not need.

What holds for all of them: an implementation is called alone, so that its failing stops nobody else's. An error
(`sys.exit` included) is logged with its traceback, shown on the Extensions tab under the extension's name, and counted:
an extension that fails three times is set aside until the next start. Errors of `webui.errors` that an extension
raises on purpose while it works on a request (`RequestError`: "this value is wrong") are its answer to the user and
are not counted. A hook that does not come back is named in the log and on the page.

The examples import from `webui.api`, as extensions do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypeVar, overload

import pluggy

if TYPE_CHECKING:
    from webui.types import (
        Conditioner,
        Denoise,
        Denoised,
        GenerationRequest,
        Group,
        Places,
        PostProcessor,
        Sampler,
        SavedPicture,
        Schedule,
        Task,
        TaskRun,
        Upscaler,
    )

__all__ = ["PROJECT", "hookimpl", "hookspec"]

PROJECT = "easel"  # pluggy's name for our hooks

hookspec = pluggy.HookspecMarker(PROJECT)
_implementation = pluggy.HookimplMarker(PROJECT)

F = TypeVar("F", bound=Callable[..., Any])


@overload
def hookimpl(function: F) -> F: ...
@overload
def hookimpl(*, priority: int = 0) -> Callable[[F], F]: ...
def hookimpl(function: Any = None, *, priority: int = 0) -> Any:
    """Marks a function as the implementation of the hook of its name.

    `priority` orders what runs one after the other (`change_request`, `wrap_denoise`, `image_saved`): the
    smaller one first, equal ones by the extensions' names.
    """

    def mark(implementation: F) -> F:
        implementation.easel_priority = priority  # type: ignore[attr-defined]
        return _implementation(implementation)

    return mark if function is None else mark(function)


# --- Asked once, at the start ---------------------------------------------------------------------


@hookspec
def register_samplers(places: Places) -> Sequence[Sampler]:
    """Adds samplers to every sampler menu.

    Called once, after all extensions have been imported. `places` says where files lie. Return `Sampler` values;
    `make(x, sigmas, noise)` is a generator that yields `(x, sigma)` and receives the denoised latent
    (docs/samplers.md). A built-in name wins over an extension's and the first extension over a later one;
    the loser is reported. An error while it runs fails the picture, with the extension's name.

        from itertools import pairwise

        from webui.api import Sampler, hookimpl


        def euler(x, sigmas, noise):
            for sigma, sigma_next in pairwise(sigmas):
                denoised = yield x, sigma
                x = x + (x - denoised) / sigma * (sigma_next - sigma)
            return x


        @hookimpl
        def register_samplers():
            return [Sampler("Euler again", euler)]
    """
    raise NotImplementedError


@hookspec
def register_schedules(places: Places) -> Sequence[Schedule]:
    """Adds noise schedules to every schedule menu.

    Called once, as `register_samplers`. Return `Schedule` values; `make(n, sigma_min, sigma_max, model_sigmas)` gives
    n descending floats from `sigma_max` and a final 0.0. Names clash as samplers' do.

        from webui.api import Schedule, hookimpl


        def straight(n, sigma_min, sigma_max, model_sigmas):
            step = (sigma_max - sigma_min) / max(n - 1, 1)
            return [sigma_max - i * step for i in range(n)] + [0.0]


        @hookimpl
        def register_schedules():
            return [Schedule("straight", straight, "Straight")]
    """
    raise NotImplementedError


@hookspec
def register_conditioners(places: Places) -> Sequence[Conditioner]:
    """Adds to what steers a sampler: other texts, networks beside the UNet, switches of the UNet.

    Called once. Return `Conditioner` values; `prepare(request, studio, cond)` is a task that returns the changed
    `Condition`, or None when it has nothing to do. It runs at the start of every sampling. To run a network beside
    the UNet, yield `LoadNetwork`, and put a `ControlNetwork` with its handle into `cond.control_networks`: all rows of
    a batch that use the network then share one call of it. Controls appear in a group of their own, and their values
    are in `request.extras` by name. An error fails the picture, with the extension's name.

        from dataclasses import replace

        from webui.api import Conditioner, Number, hookimpl


        def weaker(request, studio, cond):
            part = request.extras["weaker"]
            if part == 0:
                return None
            texts = [replace(text, context=text.context * (1 - part)) for text in cond.conds]
            return replace(cond, texts=(*texts, *cond.unconds))


        @hookimpl
        def register_conditioners():
            amount = Number(name="weaker", label="Weaker by", minimum=0, maximum=1, step=0.1, default=0.0)
            return [Conditioner("weaker", weaker, controls=(amount,), label="Weaker prompt")]
    """
    raise NotImplementedError


@hookspec
def register_postprocessors(places: Places) -> Sequence[PostProcessor]:
    """Adds steps that finished pictures go through.

    Called once. Return `PostProcessor` values; `process(picture, request, studio)` is a task, or a plain function,
    from an RGB picture to an RGB picture, or None when it has nothing to do. Several run in the order (`priority`,
    extension's name), which the infotext tells. An error leaves the picture as it was before the step: it is saved so,
    and told on it with the extension's name.

        from PIL import ImageOps

        from webui.api import PostProcessor, Switch, hookimpl


        def mirror(picture, request, studio):
            return ImageOps.mirror(picture) if request.extras["mirror"] else None


        @hookimpl
        def register_postprocessors():
            switch = Switch(name="mirror", label="Mirror", default=False)
            return [PostProcessor("mirror", mirror, controls=(switch,))]
    """
    raise NotImplementedError


@hookspec
def register_upscalers(places: Places) -> Sequence[Upscaler]:
    """Adds ways to make pictures larger, for every menu of upscalers.

    Called once. Return `Upscaler` values; `upscale(picture, scale, studio)` is a task, or a plain function, that
    returns a larger picture, which is then brought to the exact size. Names clash as samplers' do.

        from PIL import Image

        from webui.api import Upscaler, hookimpl


        def blocks(picture, scale, studio):
            size = (round(picture.width * scale), round(picture.height * scale))
            return picture.resize(size, Image.Resampling.BOX)


        @hookimpl
        def register_upscalers():
            return [Upscaler("Blocks", blocks)]
    """
    raise NotImplementedError


@hookspec
def register_tasks(places: Places) -> Sequence[Task]:
    """Adds kinds of jobs: each gets a tab, an endpoint of the API, and a command.

    Called once. Return `Task` values; `make(request, studio)` is a generator that yields calls, receives their
    replies, and returns a picture, an `Animation` or a `File`. Names clash as samplers' do. An error fails the job,
    with the extension's name.

        from webui.api import COMMON, PROMPTS, Decode, EncodeText, LoadModel, Task, hookimpl


        def upside_down(request, studio):
            model = yield LoadModel(request.model)
            texts = (request.prompt, request.negative_prompt)
            cond = yield EncodeText(model, *texts, request.clip_skip)
            sampling = studio.sampling(cond)
            noise = studio.first_noise(model.latent_shape(request.width, request.height))
            latent = yield from studio.sample(sampling, noise * sampling.sigmas[0])
            picture = studio.picture((yield Decode(model, latent)))
            return picture.rotate(180)


        @hookimpl
        def register_tasks():
            return [Task("upside_down", "Upside down", upside_down, (*PROMPTS, *COMMON))]
    """
    raise NotImplementedError


@hookspec
def register_controls(places: Places) -> Sequence[Group]:
    """Adds controls that no conditioner, post-processor or task has: for `wrap_denoise` and `change_request`.

    Called once. Return `Group` values, drawn folded in the tabs of their `tasks` (empty: every task that samples).
    The values are in `request.extras` by name; a task without the controls has none, so read them with `get`.
    A control whose name is taken is left out and reported.

        from webui.api import Group, Number, hookimpl

        STRENGTH = Number(
            name="my_strength", label="My strength", minimum=0, maximum=2, step=0.1, default=0.0
        )


        @hookimpl
        def register_controls():
            return [Group("Mine", (STRENGTH,), tasks=("txt2img",))]
    """
    raise NotImplementedError


# --- While requests are worked on -----------------------------------------------------------------


@hookspec
def change_request(
    request: GenerationRequest, places: Places, prompts: Sequence[str]
) -> GenerationRequest | None:
    """Changes a request once, when it is accepted, before anything is made of it.

    Called with the complete request (its seed is drawn); return a changed one (`dataclasses.replace`), or None to
    leave it. `prompts` are the names of the texts that are prompts: "prompt", "negative_prompt", then keys of
    `request.extras`. The result is validated again, and is what the job keeps and the infotext tells: a
    job that is repeated is not changed again. Runs in the order (`priority`, extension's name), each seeing what the
    one before returned. A `RequestError` refuses the request with its sentence; with any other error the request goes
    on as if this extension had left it.

        from dataclasses import replace

        from webui.api import hookimpl


        @hookimpl
        def change_request(request):
            if "unicorn" in request.prompt:
                return replace(request, prompt=request.prompt + ", rainbow")
    """
    raise NotImplementedError


@hookspec
def wrap_denoise(call: Denoise, request: GenerationRequest) -> TaskRun | Denoised | None:
    """Stands around every denoising call, of any sampler in any task.

    Return None to let the call pass. Else return a generator (a task): it may change the call, yield it or several
    calls, look at `cond` and `uncond` of a reply, and returns a `Denoised`. Several stand around each other in the
    order (`priority`, extension's name): the first sees the call first and the reply last; the infotext tells the
    order. An error fails the picture, with the extension's name.

        from dataclasses import replace

        from webui.api import hookimpl


        @hookimpl
        def wrap_denoise(call, request):
            if call.sigma > 1 or "soft" not in request.prompt:
                return None
            return softened(call)


        def softened(call):
            reply = yield call
            return replace(reply, denoised=reply.denoised * 0.98)
    """
    raise NotImplementedError


@hookspec
def image_saved(picture: SavedPicture, request: GenerationRequest) -> None:
    """Hears of a picture that is on disk.

    Called once for each, on a thread of its own, in the order (`priority`, extension's name). The request comes
    without its pictures. An error is reported and changes nothing: the picture is there.

        from webui.api import hookimpl


        @hookimpl
        def image_saved(picture, request):
            with open(picture.path.with_suffix(".txt"), "w", encoding="utf-8") as file:
                file.write(picture.parameters)
    """
    raise NotImplementedError


# --- Start and end --------------------------------------------------------------------------------


@hookspec
def startup(places: Places) -> None:
    """Prepares what an extension needs for as long as Easel runs.

    Called once, after every `register_*` hook and before the first request, also by `generate`. An error sets the
    extension aside.

        from webui.api import hookimpl


        @hookimpl
        def startup(places):
            (places.data_dir / "notes").mkdir(exist_ok=True)
    """
    raise NotImplementedError


@hookspec
def shutdown() -> None:
    """Puts away what `startup` prepared.

    Called once, when Easel stops in an orderly way, after the last picture is saved.

        from webui.api import hookimpl


        @hookimpl
        def shutdown():
            print("see you")
    """
    raise NotImplementedError
