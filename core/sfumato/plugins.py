"""Load the plugins, each in a `try` of its own, and check what they bring before anybody uses it."""

from __future__ import annotations

import logging
import re
import traceback
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import EntryPoint, entry_points
from typing import Any, Literal, TypeVar

import pluggy

from sfumato import hookspecs
from sfumato.benchmark.sets import CaseSet
from sfumato.errors import MethodError
from sfumato.events import Broken, ModelInfo, NetworkInfo, Ready
from sfumato.method import Ability, Editor, Inverter, Masker, Method, MethodInfo, Need
from sfumato.models.catalogue import Checkpoint
from sfumato.models.control_folder import describe_network, is_network
from sfumato.models.inspection import describe
from sfumato.pairing import PairingError
from sfumato.params import Control, Params, controls, parse
from sfumato.preprocessor import Preprocessor, PreprocessorInfo

log = logging.getLogger(__name__)

GROUP = "sfumato"
RESERVED = frozenset({"invert", "mask", "control"})
_NAME = re.compile(r"[a-z][a-z0-9_]*")
Kind = Literal["inverter", "editor", "masker"]
T = TypeVar("T")


@dataclass(frozen=True)
class Registry:
    """What can be used, by name, and what could not be loaded."""

    inverters: dict[str, Inverter[Any]] = field(default_factory=dict)
    editors: dict[str, Editor[Any]] = field(default_factory=dict)
    checkpoints: dict[str, Checkpoint] = field(default_factory=dict)
    broken: tuple[Broken, ...] = ()
    infos: dict[tuple[Kind, str], MethodInfo] = field(default_factory=dict)
    models: dict[str, ModelInfo] = field(default_factory=dict)
    maskers: dict[str, Masker[Any]] = field(default_factory=dict)
    brought: tuple[str, ...] = ()
    """Names of the checkpoints that plugins bring."""
    preprocessors: dict[str, Preprocessor[Any]] = field(default_factory=dict)
    controls: dict[str, PreprocessorInfo] = field(default_factory=dict)
    networks: dict[str, tuple[Checkpoint, NetworkInfo]] = field(default_factory=dict)
    """ControlNets; they are checkpoints, but no model to edit with."""
    cases: dict[str, CaseSet] = field(default_factory=dict)

    def describe(self) -> Ready:
        """Everything in plain data, for the window and the command line."""
        return Ready(
            tuple(replace(each, controls=self._suggesting(each.controls)) for each in self.infos.values()),
            tuple(self.models.values()),
            self.broken,
            tuple(self.checkpoints[name] for name in self.brought),
            tuple(self.controls.values()),
            tuple(info for _, info in self.networks.values()),
        )

    def _suggesting(self, shown: Iterable[Control]) -> tuple[Control, ...]:
        """The controls of a form, those of texts with what there is to suggest."""
        names = tuple(self.networks)
        return tuple(replace(each, choices=names) if each.suggests == "networks" else each for each in shown)

    def info(self, kind: Kind, name: str) -> MethodInfo:
        """Describe a method. Raises `PairingError` naming the ones there are."""
        if (kind, name) in self.infos:
            return self.infos[kind, name]
        known = ", ".join(sorted(n for k, n in self.infos if k == kind)) or "none"
        raise PairingError(f"There is no {kind} '{name}'.", advice=f"There are: {known}.")

    def parsed(self, kind: Kind, name: str, values: Mapping[str, Any]) -> Params:
        """Parse plain values as a method's parameters. Raises `InputError` or `PairingError`."""
        title = self.info(kind, name).title
        return parse(self._of(kind)[name].params, values, title)

    def _of(self, kind: Kind) -> Mapping[str, Method[Any]]:
        return {"inverter": self.inverters, "editor": self.editors, "masker": self.maskers}[kind]

    def preprocessor(self, name: str, values: Mapping[str, Any]) -> tuple[Preprocessor[Any], Params]:
        """Find a preprocessor and parse its values. Raises `PairingError` or `InputError`."""
        if name not in self.preprocessors:
            known = ", ".join(self.preprocessors) or "none"
            raise PairingError(f"There is no preprocessor '{name}'.", advice=f"There are: {known}.")
        found = self.preprocessors[name]
        return found, parse(found.params, values, found.title)


@dataclass(frozen=True)
class _Contribution:
    """What one plugin brings, checked, before it is merged."""

    inverters: tuple[Inverter[Any], ...]
    editors: tuple[Editor[Any], ...]
    checkpoints: tuple[Checkpoint, ...]
    infos: tuple[MethodInfo, ...]
    models: tuple[ModelInfo, ...]
    maskers: tuple[Masker[Any], ...] = ()
    preprocessors: tuple[Preprocessor[Any], ...] = ()
    controls: tuple[PreprocessorInfo, ...] = ()
    networks: tuple[tuple[Checkpoint, NetworkInfo], ...] = ()
    cases: tuple[CaseSet, ...] = ()


def load_plugins(found: Iterable[EntryPoint] | None = None, *, extra: Sequence[Checkpoint] = ()) -> Registry:
    """Load every entry point of group `sfumato`, and the checkpoints a person pointed at.

    A plugin that cannot be imported, raises in a hook, or declares anything wrongly is listed as broken and
    left out whole. The program's own come first, so that nobody can take their names.
    """
    merged, broken = Registry(), []
    for point in _ordered(entry_points(group=GROUP) if found is None else found):
        try:
            _merge(merged, _load(point))
        except (Exception, SystemExit) as error:
            log.warning("Plugin %s is not used", point.name, exc_info=True)
            broken.append(Broken(point.name, _sentence(error), traceback.format_exc()))
    brought = tuple(merged.checkpoints)
    for checkpoint in extra:
        try:
            _merge(merged, _contribution(checkpoints=(checkpoint,)))
        except Exception as error:
            broken.append(Broken(checkpoint.name, _sentence(error), traceback.format_exc()))
    return replace(merged, broken=tuple(broken), brought=brought)


def _ordered(points: Iterable[EntryPoint]) -> list[EntryPoint]:
    return sorted(points, key=lambda point: (_distribution(point) != "sfumato", _distribution(point)))


def _distribution(point: EntryPoint) -> str:
    return point.dist.name if point.dist else ""


def _load(point: EntryPoint) -> _Contribution:
    """Import a plugin and ask it what it brings; a plugin manager of its own keeps its faults to itself."""
    manager = pluggy.PluginManager(GROUP)
    manager.add_hookspecs(hookspecs)
    manager.register(point.load(), name=point.name)
    manager.check_pending()
    origin = f"{point.dist.name} {point.dist.version}" if point.dist else point.value
    inverters = _brought(manager.hook.register_inverters(), Inverter)
    editors = _brought(manager.hook.register_editors(), Editor)
    maskers = _brought(manager.hook.register_masks(), Masker)
    checkpoints = _brought(manager.hook.register_models(), Checkpoint)
    preprocessors = _brought(manager.hook.register_controls(), Preprocessor)
    found = _contribution((*inverters, *editors, *maskers), checkpoints, preprocessors, origin=origin)
    return replace(found, cases=_brought(manager.hook.register_cases(), CaseSet))


def _contribution(
    methods: tuple[Method[Any], ...] = (),
    checkpoints: tuple[Checkpoint, ...] = (),
    preprocessors: tuple[Preprocessor[Any], ...] = (),
    *,
    origin: str = "",
) -> _Contribution:
    """Describe what was brought; a checkpoint is a model or a ControlNet, by what its folder says."""
    networks = tuple(each for each in checkpoints if is_network(each.folder))
    models = tuple(each for each in checkpoints if each not in networks)
    return _Contribution(
        inverters=tuple(each for each in methods if isinstance(each, Inverter)),
        editors=tuple(each for each in methods if isinstance(each, Editor)),
        maskers=tuple(each for each in methods if isinstance(each, Masker)),
        infos=tuple(describe_method(method, origin) for method in methods),
        checkpoints=models,
        models=tuple(describe(each) for each in models),
        preprocessors=preprocessors,
        controls=tuple(describe_preprocessor(each, origin) for each in preprocessors),
        networks=tuple((each, describe_network(each)) for each in networks),
    )


def _brought(answers: Iterable[Iterable[Any]], wanted: type[T]) -> tuple[T, ...]:
    brought = tuple(each for answer in answers for each in answer)
    for each in brought:
        if not isinstance(each, wanted):
            raise TypeError(f"a hook gave a {type(each).__name__} where {wanted.__name__} objects belong")
    return brought


def kind_of(method: Method[Any]) -> Kind:
    """Which of the three a method is."""
    if isinstance(method, Masker):
        return "masker"
    return "inverter" if isinstance(method, Inverter) else "editor"


def describe_method(method: Method[Any], origin: str = "") -> MethodInfo:
    """Describe a method in plain data. Raises `TypeError` if it declares anything wrongly."""
    kind = kind_of(method)
    shown = _declared(method)
    if wrong := [need for need in method.needs if not isinstance(need, Need)]:
        raise TypeError(f"{type(method).__name__} needs {wrong[0]!r}, which is no Need")
    if wrong := [ability for ability in method.abilities if not isinstance(ability, Ability)]:
        raise TypeError(f"{type(method).__name__} asks for {wrong[0]!r}, which is no Ability")
    inversion = method.inversion if isinstance(method, Editor) else "none"
    if inversion not in ("none", "optional", "required"):
        raise TypeError(f"{type(method).__name__}.inversion cannot be {inversion!r}")
    return MethodInfo(
        kind=kind,
        name=method.name,
        title=method.title,
        summary=method.summary,
        paper=method.paper,
        needs=method.needs,
        abilities=method.abilities,
        controls=shown,
        inversion=inversion,
        origin=origin,
    )


def describe_preprocessor(preprocessor: Preprocessor[Any], origin: str = "") -> PreprocessorInfo:
    """Describe a preprocessor in plain data. Raises `TypeError` if it declares anything wrongly."""
    shown = _declared(preprocessor)
    return PreprocessorInfo(preprocessor.name, preprocessor.title, preprocessor.summary, shown, origin)


def _declared(plugin: Method[Any] | Preprocessor[Any]) -> tuple[Control, ...]:
    """Check how a plugin names itself and return the controls of its parameters. Raises `TypeError`."""
    for attribute in ("name", "title", "summary"):
        if not isinstance(getattr(plugin, attribute, None), str) or not getattr(plugin, attribute):
            raise TypeError(f"{type(plugin).__name__} has no {attribute}")
    if not _NAME.fullmatch(plugin.name) or plugin.name in RESERVED:
        raise TypeError(f"'{plugin.name}' cannot be the name of a plugin")
    if not (isinstance(plugin.params, type) and issubclass(plugin.params, Params)):
        raise TypeError(f"{type(plugin).__name__}.params is not a Params class")
    shown = controls(plugin.params)
    plugin.params.model_validate(plugin.params().model_dump())
    return shown


def _merge(registry: Registry, new: _Contribution) -> None:
    """Add a contribution whole, or, if any of its names is taken, not at all."""
    names = [(info.kind, info.name) for info in new.infos]
    names += [("model", checkpoint.name) for checkpoint in new.checkpoints]
    names += [("preprocessor", info.name) for info in new.controls]
    names += [("ControlNet", info.name) for _, info in new.networks]
    names += [("set of cases", each.name) for each in new.cases]
    taken = [*registry.infos, *(("model", name) for name in registry.checkpoints)]
    taken += [("preprocessor", name) for name in registry.controls]
    taken += [("ControlNet", name) for name in registry.networks]
    taken += [("set of cases", name) for name in registry.cases]
    for index, (kind, name) in enumerate(names):
        if (kind, name) in taken or (kind, name) in names[:index]:
            raise MethodError(f"The {kind} '{name}' is there already.")
    registry.inverters.update({method.name: method for method in new.inverters})
    registry.editors.update({method.name: method for method in new.editors})
    registry.maskers.update({method.name: method for method in new.maskers})
    registry.checkpoints.update({checkpoint.name: checkpoint for checkpoint in new.checkpoints})
    registry.infos.update({(info.kind, info.name): info for info in new.infos})
    registry.models.update({info.name: info for info in new.models})
    registry.preprocessors.update({each.name: each for each in new.preprocessors})
    registry.controls.update({info.name: info for info in new.controls})
    registry.cases.update({each.name: each for each in new.cases})
    registry.networks.update({info.name: (checkpoint, info) for checkpoint, info in new.networks})


def _sentence(error: BaseException) -> str:
    if isinstance(error, MethodError):
        return str(error)
    text = " ".join(str(error).split()) or "no reason given"
    return f"{type(error).__name__}: {text[:300]}"
