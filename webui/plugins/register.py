"""All that is registered, in order: who comes first has the name, and the loser is told. Makes the engine's parts."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import Any

from webui.errors import Sentence
from webui.plugins.checking import FIELDS, KINDS, Kind, control_problem, extras_of, value_problem
from webui.plugins.extension import Extension, Fault
from webui.plugins.guards import guarded, guarded_wrapper
from webui.plugins.hooks import Implementation
from webui.registry import folded, nearest
from webui.types import Control, Group, Parts, Places, Sampler, Schedule, Task

__all__ = ["Register"]

# The groups of those options that are no fields of a request.
OPTIONS = {Sampler: "Sampler options", Schedule: "Schedule options"}


class Register:
    """What built-in parts (`own`) and extensions have registered so far.

    `reserved` are names that no task may have: commands and endpoints of ours.
    """

    def __init__(self, own: Extension, reserved: Collection[str] = ()) -> None:
        self._own = own
        self._reserved = frozenset(reserved)
        self._values: dict[str, list[tuple[Extension, Any]]] = {hook: [] for hook in KINDS}
        self._names: dict[str, dict[str, tuple[Extension, str]]] = {hook: {} for hook in KINDS}
        self._extras: dict[str, Extension] = {}
        # of samplers and schedules, several of which may have one: each with the first that has it
        self._options: dict[str, tuple[Control, type]] = {}

    def ask(self, implementations: Sequence[Implementation], places: Places) -> None:
        """Calls an extension's `register_*` hooks, each with a limit, and takes what they return."""
        for hook in KINDS:
            for implementation in implementations:
                if implementation.hook == hook and not implementation.extension.set_aside:
                    self._ask(implementation, places)

    def _ask(self, implementation: Implementation, places: Places) -> None:
        extension, hook = implementation.extension, implementation.hook
        if extension is self._own:
            self._take(extension, hook, implementation.call(places=places))
            return
        try:
            values = implementation.limited(extension.limits.hook_s, places=places)
        except Fault:  # told already
            return
        try:
            self._take(extension, hook, values)
        except Exception as error:  # the boundary: attributes of its values are the extension's
            extension.failed(hook, error)

    # --- taking values ----------------------------------------------------------------------------

    def _take(self, extension: Extension, hook: str, values: Any) -> None:
        kind = KINDS[hook]
        if not isinstance(values, Sequence) or isinstance(values, str):
            got = "nothing" if values is None else f"a value of type {type(values).__name__}"
            extension.problem(f"{hook} returned {got}; return a list of {kind.type.__name__}")
            return
        for value in values:
            if not isinstance(value, kind.type):
                got = f"a value of type {type(value).__name__}"
                extension.problem(f"{hook} returned {got} where {kind.type.__name__} belongs")
            elif isinstance(value, Group):
                self._take_group(extension, hook, value)
            else:
                self._take_value(extension, hook, kind, value)

    def _take_value(self, extension: Extension, hook: str, kind: Kind, value: Any) -> None:
        if not isinstance(value.name, str) or not value.name.strip():
            extension.problem(f"{hook}: {value.name!r} is no name; the {kind.noun} is left out")
            return
        sentence = value_problem(kind, value) or self._taken(hook, value)
        if not sentence:
            for control in extras_of(value):
                shares = isinstance(value, Sampler | Schedule | Task)
                if shares and self._option(control.name) == control:
                    continue
                if wrong := self._control_taken(extension, control):
                    sentence = Sentence(
                        "control {name}: {wrong}", name=repr(control.name), wrong=wrong
                    )
                    break
        if not sentence and isinstance(value, Task):
            shared = [control for control in value.flat_controls() if control.name in FIELDS]
            wrongs = [(c.name, w) for c in shared if (w := control_problem(c))]
            sentence = f"control {wrongs[0][0]!r}: {wrongs[0][1]}" if wrongs else ""
        if sentence:
            extension.problem(f"{kind.noun} {value.name!r}: {sentence}; it is left out")
            return
        for name in names_of(value):
            self._names[hook].setdefault(folded(name), (extension, value.name))
        self._keep(extension, hook, value, extras_of(value))

    def _take_group(self, extension: Extension, hook: str, group: Group) -> None:
        """A group without the controls that cannot be taken: hooks read the values with `get`."""
        sentence = value_problem(KINDS[hook], group)
        if sentence:
            extension.problem(f"group {group.label!r}: {sentence}; it is left out")
            return
        controls: list[Control] = []
        for control in group.controls:
            if wrong := self._control_taken(extension, control):
                extension.problem(f"control {control.name!r}: {wrong}; it is left out")
            else:
                controls.append(control)
        if controls:
            self._keep(extension, hook, replace(group, controls=tuple(controls)), controls)

    def _keep(self, extension: Extension, hook: str, value: Any, extras: list[Control]) -> None:
        for control in extras:
            self._extras.setdefault(control.name, extension)
            if isinstance(value, Sampler | Schedule):
                self._options.setdefault(control.name, (control, type(value)))
        in_menus = hook not in ("register_conditioners", "register_postprocessors")
        extension.has_menus = extension.has_menus or in_menus or bool(extras)
        ours = extension is self._own
        self._values[hook].append((extension, value if ours else guarded(extension, value)))

    def _option(self, name: str) -> Control | None:
        return self._options[name][0] if name in self._options else None

    def _taken(self, hook: str, value: Any) -> str:
        """Who has the name of a value already, "" where nobody has."""
        known = self._names[hook].get(folded(value.name))
        if known is not None:
            owner, name = known
            return f"the name is taken by {name!r} ({self._who(owner)})"
        if isinstance(value, Task) and value.name in self._reserved:
            return "the name is taken by a command or endpoint of Easel"
        return ""

    def _control_taken(self, extension: Extension, control: Control) -> str:
        """Why a control's name cannot be a key of `extras`, "" where it can."""
        if sentence := control_problem(control):
            return sentence
        if control.name in FIELDS:
            return "the name is taken by a field of every request"
        if control.name in self._options:
            kind = self._options[control.name][1].__name__.lower()
            return f"the name is taken by a {kind}'s option that is another control"
        owner = self._extras.get(control.name, extension)
        if owner is not extension:
            return f"the name is taken by a control of another ({self._who(owner)})"
        return ""

    def _who(self, owner: Extension) -> str:
        return "built-in" if owner is self._own else f"extension {owner.name!r}"

    # --- the engine's parts -----------------------------------------------------------------------

    def parts(self, wrappers: Sequence[Implementation]) -> Parts:
        """Everything registered, as the engine and the faces take it; `wrappers` implement `wrap_denoise`."""
        self._check_references()
        conditioners = self._in_order("register_conditioners")
        postprocessors = self._in_order("register_postprocessors")
        added = [(Group(c.label or c.name, c.controls, tasks=c.tasks), True) for c in conditioners]
        added += [(group, True) for _, group in self._values["register_controls"]]
        for kind, label in OPTIONS.items():
            options = tuple(control for control, of in self._options.values() if of is kind)
            added += [(Group(label, options), True)] if options else []
        added += [
            (Group(p.label or p.name, p.controls, tasks=p.tasks), False) for p in postprocessors
        ]
        tasks = {
            task.name: replace(task, controls=(*task.controls, *groups_for(task, added)))
            for _, task in self._values["register_tasks"]
        }
        return Parts(
            tasks=MappingProxyType(tasks),
            samplers=self._by_name("register_samplers"),
            schedules=self._by_name("register_schedules"),
            upscalers=self._by_name("register_upscalers"),
            conditioners=conditioners,
            postprocessors=postprocessors,
            wrappers=tuple(
                guarded_wrapper(one) for one in sorted(wrappers, key=lambda one: one.order)
            ),
        )

    def _by_name(self, hook: str) -> MappingProxyType[str, Any]:
        return MappingProxyType({value.name: value for _, value in self._values[hook]})

    def _in_order(self, hook: str) -> tuple[Any, ...]:
        """Values by (priority, extension's name), in the order they came where these are equal."""

        def order(item: tuple[Extension, Any]) -> tuple[int, str]:
            return item[1].priority, item[0].name

        return tuple(value for _, value in sorted(self._values[hook], key=order))

    def _check_references(self) -> None:
        """What names something else must name something that there is: schedules and tasks."""
        schedules = [value.name for _, value in self._values["register_schedules"]]
        kept = []
        for extension, sampler in self._values["register_samplers"]:
            if sampler.schedule in schedules:
                kept.append((extension, sampler))
            else:
                what = Sentence(
                    "there is no schedule {schedule}{hint}",
                    schedule=repr(sampler.schedule),
                    hint=nearest(sampler.schedule, schedules),
                )
                extension.problem(f"sampler {sampler.name!r}: {what}; it is left out")
        self._values["register_samplers"] = kept
        tasks = [value.name for _, value in self._values["register_tasks"]]
        for hook in ("register_conditioners", "register_postprocessors", "register_controls"):
            for extension, value in self._values[hook]:
                for name in value.tasks:
                    if name not in tasks:
                        label = getattr(value, "name", value.label)
                        what = Sentence(
                            "there is no task {name}{hint}",
                            name=repr(name),
                            hint=nearest(name, tasks),
                        )
                        extension.problem(f"{KINDS[hook].noun} {label!r}: {what}")


def names_of(value: Any) -> Iterator[str]:
    """Every name that people may write for a value."""
    yield value.name
    yield from getattr(value, "aliases", ())
    if label := getattr(value, "label", ""):
        yield label


def groups_for(task: Task, added: Sequence[tuple[Group, bool]]) -> Iterator[Group]:
    """The groups that belong to a task, without what it has itself; True marks those that, naming no task,
    belong to all that sample."""
    own = {control.name for control in task.flat_controls()}
    for group, sampling in added:
        if task.name in group.tasks if group.tasks else task.samples or not sampling:
            controls = tuple(control for control in group.controls if control.name not in own)
            own.update(control.name for control in controls)
            if controls:
                yield replace(group, controls=controls)
