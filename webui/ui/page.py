"""The page as a whole: header, one tab for each task, the server around it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import gradio as gr
import httpx
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import ASGIApp

from webui import descriptors
from webui.errors import RequestError, Sentence
from webui.registry import Catalog
from webui.settings import Settings
from webui.types import EngineFace, ExtensionsFace, GalleryFace, Visitor
from webui.ui.addresses import free_port, loopback, own_names
from webui.ui.asset_cache import AssetCache
from webui.ui.connections import Connections, queue_many, rested
from webui.ui.endpoints import add_endpoints
from webui.ui.extensions import draw_extensions, draw_note, wire_extensions
from webui.ui.files import UPLOAD_BYTES
from webui.ui.footer import draw_footer, wire_footer
from webui.ui.forms import Forms
from webui.ui.gallery import draw_gallery
from webui.ui.gradio_adapter import (
    UNWATCHED,
    components_of,
    event_at,
    few_at_once,
    login_of,
    pending_of,
    rest,
    server_of,
    state_of,
)
from webui.ui.gradio_validation import GradioValidation
from webui.ui.info import draw_png_info
from webui.ui.limits import draw_limits
from webui.ui.model_defaults import form_state, model_updates
from webui.ui.models import draw_models, wire_models
from webui.ui.pictures import OwnPictures
from webui.ui.preferences import draw_preferences
from webui.ui.queue import draw_queue, wire_queue
from webui.ui.send_to import draw_send_to, wire_send_to
from webui.ui.tab import IN_TURN, best_card, card_of, draw_tab, menu
from webui.ui.theme import MARK, css, theme
from webui.ui.translations import MOUNT, english, key, keyed
from webui.ui.uploads import KEEP_S, Uploads, UploadsFolder
from webui.ui.visitors import Visitors
from webui.ui.wiring import wire

__all__ = ["Page", "draw_page", "launch_page"]

# Browser tabs whose components Gradio keeps, about 0.9 MB each. Calls of the API count too: one that names no session
# has its own. What is kept too briefly is made again, for no handler depends on it.
SESSIONS = 24
WAITERS = 400  # threads for handlers; they only decode pictures and encode previews

HEADER = """<a class="easel-skip" href="#easel-content">Skip to the content</a>
<div class="easel-name">{mark}<h1>Easel</h1>
<p>Describe a picture and press Generate; it is painted on this machine.</p></div>"""
THEME_BUTTON = '<button type="button" class="easel-theme" aria-label="Light or dark" title="Light or dark">◐</button>'


class Page:
    """The running page. `url` is where it answers."""

    def __init__(self, blocks: gr.Blocks, uploads: UploadsFolder) -> None:
        self._blocks = blocks
        self.uploads = uploads
        self.url: str = blocks.local_url
        self._woken = rested(server_of(blocks))

    def close(self) -> None:
        """Stops answering and frees the port. Jobs are the engine's and go on."""
        self._woken()
        self._blocks.close(verbose=False)


def launch_page(
    engine: EngineFace,
    catalog: Catalog,
    settings: Settings,
    extensions: ExtensionsFace | None = None,
    *,
    gallery: GalleryFace | None = None,
    models: bool = False,
    quiet: bool = False,
    logins: Sequence[tuple[str, str]] = (),
    gate: Callable[..., ASGIApp] | None = None,
) -> Page:
    """Draws the page and serves it; returns when it answers. Without `extensions` it has no tab of them.

    `logins` are the users, with their passwords, who may come in; without any everybody may. `gate(app, login)` makes
    what stands in front of Gradio's app: it is told whose login a request's cookies are, answers what is not the
    page's, and says in `state.visitor` who asks. `models` draws the Models tab, which needs its routes. Raises
    `RequestError` for a taken port.
    """
    visitors = Visitors(_noted) if gate is not None else Visitors()
    drawn = draw_page(engine, catalog, settings, extensions, visitors, gallery, models)
    blocks, uploads = drawn.blocks, UploadsFolder()
    uploads.sweep()  # nothing is under way yet
    middleware = [
        Middleware(AssetCache, stale=drawn.stale),
        Middleware(Uploads, folder=uploads),
        Middleware(
            GradioValidation,
            endpoints=drawn.endpoints,
            event=partial(event_at, blocks),
            asked=pending_of(blocks),
        ),
    ]

    if gate is not None:
        middleware.insert(0, Middleware(gate, login=partial(login_of, blocks)))
    if loopback(settings.host):
        middleware.insert(
            0, Middleware(TrustedHostMiddleware, allowed_hosts=own_names(settings.host))
        )
    try:
        with few_at_once():
            blocks.launch(
                server_name=settings.host,
                server_port=settings.port or free_port(settings.host),
                prevent_thread_lock=True,
                quiet=quiet,
                i18n=gr.I18n(**english(components_of(blocks))),
                auth=[tuple(one) for one in logins] or None,
                share=False,
                inbrowser=False,
                show_error=False,
                max_threads=WAITERS,
                max_file_size=UPLOAD_BYTES,
                state_session_capacity=SESSIONS,
                enable_monitoring=False,
                run_history=False,
                footer_links=["api"],
                theme=theme(),
                css=css(),
                js="() => window.Easel && Easel.start()",
                favicon_path=MARK,
                **UNWATCHED,
                app_kwargs={
                    "middleware": middleware,
                    **dict.fromkeys(("docs_url", "redoc_url", "openapi_url")),  # of Gradio's inside
                },
            )
    except OSError as error:
        raise RequestError(
            Sentence(
                "port {port}: cannot be used on {host}; choose another with --port, or "
                "0 for any free one",
                port=settings.port,
                host=settings.host,
            ),
            "port",
        ) from error
    server = server_of(blocks)
    together = Connections(descriptors.connections(), max(32, descriptors.connections() // 4))
    server.config.http_protocol_class = together.protocols(server.config.http_protocol_class)
    queue_many(server)
    page = Page(blocks, uploads)
    with suppress(httpx.HTTPError):  # so that nobody waits until it is packed for the first time
        httpx.head(page.url, timeout=None, trust_env=False)
    return page


@dataclass(frozen=True, slots=True)
class Drawn:
    """A page that is not yet served, and the parameters of its public endpoints. `stale` says whether what its forms
    show at first has been overtaken, by settings or by models that came."""

    blocks: gr.Blocks
    endpoints: Mapping[str, Any]
    stale: Callable[[], bool]


def _noted(request: gr.Request) -> Visitor:
    """Who asks, as the gate has noted it."""
    visitor: Visitor = state_of(request).visitor
    return visitor


def draw_page(
    engine: EngineFace,
    catalog: Catalog,
    settings: Settings,
    extensions: ExtensionsFace | None = None,
    visitors: Visitors | None = None,
    gallery: GalleryFace | None = None,
    models: bool = False,
) -> Drawn:
    visitors = visitors or Visitors()
    own = OwnPictures(engine, gallery, visitors)
    with gr.Blocks(
        title="Easel", analytics_enabled=False, fill_width=True, delete_cache=(3600, KEEP_S)
    ) as blocks:
        with gr.Row(elem_classes="easel-head"):
            gr.HTML(
                keyed(HEADER).format(mark=MARK.read_text(encoding="utf-8")),
                js_on_load=MOUNT,
                elem_classes="easel-title",
                apply_default_css=False,
            )
            note = draw_note(extensions) if extensions is not None else None
            card = best_card(catalog)
            model = gr.Dropdown(
                menu(catalog, card.name if card is not None else None),
                value=card.name if card is not None else None,
                label=key("Model"),
                elem_id="easel-model",
                elem_classes="easel-model",
                interactive=True,
            )
            gr.HTML(
                keyed(THEME_BUTTON),
                js_on_load=MOUNT,
                elem_classes="easel-look",
                apply_default_css=False,
            )
        with gr.Tabs(
            elem_id="easel-content", elem_classes="easel-tabs", overflow_behavior="wrap"
        ) as bar:
            tabs = [draw_tab(task, model, catalog, settings) for task in catalog.tasks.values()]
            if gallery is not None:
                draw_gallery(catalog.tasks.values())
            queue = draw_queue()
            draw_png_info(catalog.tasks.values())
            shelf = draw_models() if models else None
            if extensions is not None:
                listed = draw_extensions(extensions, settings)
                wire_extensions(note, listed, bar, extensions, settings)
            chosen = draw_preferences()
        wire_footer(draw_footer(), bar)
        forms = Forms(tabs, card, catalog, settings)
        forms.wire(blocks, model)
        for tab in tabs:
            wire(tab, forms, engine, catalog, settings, visitors, own)
        wire_queue(queue, bar, engine, catalog, visitors, own, forms, tabs)
        wire_send_to(draw_send_to(), tabs, forms, bar, catalog, own)
        draw_limits(catalog.tasks.values())
        update = model_updates(tabs, forms, catalog, settings)
        # "once" would drop the model that is chosen while another's values are asked for
        model.input(
            update,
            [model],
            forms.component,
            js="(model) => Easel.asking(model)",  # a press of Generate waits for it
            trigger_mode="always_last",
            preprocess=False,
            **IN_TURN,
        )
        if shelf is not None:
            wire_models(shelf, model, catalog, update, [], [forms.component])

        def renewed(chosen: Any) -> list[Any]:
            card = card_of(chosen, catalog)
            shown = card.name if card is not None else None
            return [gr.Dropdown(choices=menu(catalog, shown)), update(shown, chosen)]

        both = [model, forms.component]
        chosen.refresh(
            update,
            [model],
            forms.component,
            trigger_mode="always_last",
            preprocess=False,
            **IN_TURN,
        )
        forms.component.renew(renewed, [model], both, preprocess=False, **IN_TURN)
        endpoints = add_endpoints(blocks, engine, catalog, settings, extensions, visitors)
    blocks.queue(api_open=False, default_concurrency_limit=None)
    rest(blocks)
    before = form_state(tabs, catalog, settings)
    return Drawn(blocks, endpoints, lambda: form_state(tabs, catalog, settings) != before)
