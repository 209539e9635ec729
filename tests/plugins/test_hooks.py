"""Implementations against what the hooks offer: what is wrong is told with the nearest that is right."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from tests.plugins.conftest import status
from webui.hookspecs import hookspec


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("def register_sampler(): return []", "no hook 'register_sampler'; did you mean 'register_samplers'?"),
        ("def wrap_denoise(call, req): pass", "wrap_denoise: there is no argument 'req'; it offers call, request"),
        ("def shutdown(places): pass", "shutdown: there is no argument 'places'; it offers none"),
        ("def image_saved(picture, /): pass", "image_saved: there is no argument 'picture'"),
    ],
)  # fmt: skip
def test_what_a_hook_does_not_know_is_told_and_left_out(write, load, source, says):
    write(
        "wrong",
        f"from webui.api import hookimpl\n@hookimpl\n{source}\n@hookimpl\ndef startup(): pass\n",
    )
    wrong = status(load(), "wrong")
    assert (wrong.state, wrong.hooks) == ("on", ("startup",))
    assert len(wrong.problems) == 1 and says in wrong.problems[0]


def test_a_hook_that_nobody_marked_is_told(write, load):
    write("shy", "def register_samplers():\n    return []\ndef startup():\n    pass\n")
    shy = status(load(), "shy")
    assert shy.problems[0] == "register_samplers is a hook's name; mark the function with @hookimpl"
    assert not any("startup" in problem for problem in shy.problems)


def test_an_implementation_takes_what_it_names(write, load, tmp_path):
    """None, some, all by **; a default of its own for what the hook does not offer."""
    write(
        "takes",
        """
        from webui.api import hookimpl
        seen = []

        @hookimpl
        def startup(places, mine=7):
            (places.data_dir / "seen").write_text(str(mine))

        @hookimpl
        def register_samplers(**given):
            assert list(given) == ["places"]
            return []

        @hookimpl
        def register_tasks():
            return []
        """,
    )
    extensions = load()
    extensions.start()
    extensions.stop()
    assert (tmp_path / "seen").read_text() == "7"
    assert status(extensions, "takes").problems == ()


def test_a_deprecated_argument_warns_with_the_extensions_name(write, load):
    @hookspec(warn_on_impl_args={"old": DeprecationWarning("use places, from version 1.1 on")})
    def startup(places, old):
        raise NotImplementedError

    @hookspec(warn_on_impl=DeprecationWarning("implement startup"))
    def begin():
        raise NotImplementedError

    specifications = SimpleNamespace(startup=startup, begin=begin)
    head = "from webui.api import hookimpl\n@hookimpl\n"
    write("dated", f"{head}def startup(old): pass\n@hookimpl\ndef begin(): pass\n")
    write("modern", f"{head}def startup(places): pass\n")
    with pytest.warns(DeprecationWarning, match="extension 'dated', ") as caught:
        extensions = load(specifications=specifications, builtin=SimpleNamespace(startup=startup))
    assert [str(warning.message) for warning in caught] == [
        "extension 'dated', begin: implement startup",
        "extension 'dated', startup, argument 'old': use places, from version 1.1 on",
    ]
    assert {warning.filename.rpartition("/")[2] for warning in caught} == {"dated.py"}
    dated = status(extensions, "dated")
    assert dated.state == "on" and dated.hooks == ("begin", "startup")
    assert any("'old': use places" in problem for problem in dated.problems)
    assert "begin: implement startup" in dated.problems
    assert status(extensions, "modern").problems == ()
