"""A broken plugin is named and left out; everything else runs on."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import Field

from sfumato.benchmark.sets import CaseSet
from sfumato.errors import MethodError
from sfumato.events import NetworkInfo
from sfumato.hookspecs import hookimpl
from sfumato.method import Editor
from sfumato.models.catalogue import Checkpoint, from_folder
from sfumato.params import Hint, Params
from sfumato.plugins import describe_method, load_plugins

Plugin = Callable[..., EntryPoint]


def editor(name: str = "mine", **attributes: Any) -> Editor[Any]:
    values = {"name": name, "title": "Mine", "summary": "Does mine.", "edit": lambda *_: None}
    return type("Mine", (Editor,), values | attributes)()


def editors(*methods: Any) -> Callable[[], Sequence[Any]]:
    @hookimpl
    def register_editors() -> Sequence[Any]:
        return methods

    return register_editors


def test_every_built_in_method_and_the_starter_model_load() -> None:
    registry = load_plugins()
    assert registry.broken == ()
    assert {"naive", "ddim", "direct"} <= registry.inverters.keys()
    assert {"ddim_naive", "reprompt", "p2p", "blended", "generate"} <= registry.editors.keys()
    assert (registry.cases["world"].folder / "mapping_file.json").is_file()
    ready = registry.describe()
    models = {model.name: model.size for model in ready.models}
    assert next(iter(models)) == "starter"
    assert {"starter": 128, "starter_instruct": 128}.items() <= models.items()
    assert "starter_control" in {network.name for network in ready.networks}
    assert all(info.origin.startswith("sfumato ") for info in ready.methods)


def test_a_plugin_brings_its_method(plugin: Plugin) -> None:
    registry = load_plugins([plugin("good", register_editors=editors(editor()))])
    assert list(registry.editors) == ["mine"]
    assert registry.info("editor", "mine").title == "Mine"


def test_a_plugin_brings_cases_to_be_measured_on(plugin: Plugin, tmp_path: Path) -> None:
    @hookimpl
    def register_cases() -> Sequence[CaseSet]:
        return [CaseSet("mine", "Mine", tmp_path)]

    registry = load_plugins([plugin("one", register_cases=register_cases)])
    assert registry.cases["mine"].folder == tmp_path
    twice = load_plugins([plugin(name, register_cases=register_cases) for name in ("one", "two")])
    assert [broken.plugin for broken in twice.broken] == ["two"]
    assert "set of cases 'mine' is there already" in twice.broken[0].error


class Followed(Params):
    network: Annotated[str, Field(), Hint("ControlNet", suggests="networks")] = ""
    """Which one."""


def test_a_text_suggests_the_controlnets_there_are(plugin: Plugin, tmp_path: Path) -> None:
    registry = load_plugins([plugin("good", register_editors=editors(editor(params=Followed)))])
    registry.networks["edges"] = from_folder(tmp_path), NetworkInfo("edges", "Edges", "")
    (info,) = registry.describe().methods
    assert [control.choices for control in info.controls] == [("edges",)]


class Unbounded(Params):
    much: float = 1.0
    """How much."""


class Undocumented(Params):
    flag: bool = True


class OutOfItsOwnRange(Params):
    share: Annotated[float, Field(ge=0, le=1)] = 2.0
    """A share."""


@pytest.mark.parametrize(
    ("contents", "said"),
    [
        ({"register_editors": editors(editor(params=Unbounded))}, "bound"),
        ({"register_editors": editors(editor(params=Undocumented))}, "docstring"),
        ({"register_editors": editors(editor(params=OutOfItsOwnRange))}, "share"),
        ({"register_editors": editors(editor(params=dict))}, "Params"),
        ({"register_editors": editors(editor("Not A Name"))}, "name"),
        ({"register_editors": editors(editor("invert"))}, "invert"),
        ({"register_editors": editors(editor(needs=frozenset({"luck"})))}, "luck"),
        ({"register_editors": editors(editor(abilities=frozenset({"magic"})))}, "magic"),
        ({"register_editors": editors(editor(inversion="maybe"))}, "maybe"),
        ({"register_editors": editors(editor(title=""))}, "title"),
        ({"register_editors": editors("a word")}, "str"),
        ({"register_editors": editors(editor(), editor())}, "there already"),
        ({"register_models": editors()}, "PluginValidation"),
        ({"register_editor": hookimpl(lambda: [])}, "register_editor"),
        ({"register_editors": hookimpl(lambda: 1 / 0)}, "ZeroDivisionError"),
        ({"register_editors": hookimpl(lambda: exit("bye"))}, "bye"),
    ],
)
def test_what_is_wrong_is_listed_and_the_rest_runs(
    plugin: Plugin, contents: dict[str, Any], said: str, request: pytest.FixtureRequest
) -> None:
    if said == "PluginValidation":
        contents = {"register_editors": hookimpl(lambda unknown: [])}
    good = plugin("good", register_editors=editors(editor("fine")))
    registry = load_plugins([plugin("bad", **contents), good])
    assert list(registry.editors) == ["fine"]
    (broken,) = registry.broken
    assert broken.plugin == "bad"
    assert said in broken.error
    assert "Traceback" in broken.details


def test_one_that_cannot_be_imported_is_listed() -> None:
    (broken,) = load_plugins([EntryPoint("gone", "no_such_module_at_all", "sfumato")]).broken
    assert "no_such_module_at_all" in broken.error


def test_a_taken_name_is_refused_whole(plugin: Plugin) -> None:
    first = plugin("first", register_editors=editors(editor("same")))
    second = plugin("second", register_editors=editors(editor("other"), editor("same")))
    registry = load_plugins([first, second])
    assert list(registry.editors) == ["same"]
    assert [broken.plugin for broken in registry.broken] == ["second"]


def test_the_built_in_ones_come_first(plugin: Plugin) -> None:
    from importlib.metadata import entry_points

    usurper = plugin("a", register_editors=editors(editor("p2p", title="Usurper")))
    registry = load_plugins([usurper, *entry_points(group="sfumato")])
    assert registry.info("editor", "p2p").title == "Prompt-to-Prompt"
    assert [broken.plugin for broken in registry.broken] == ["a"]


def test_a_folder_that_is_gone_is_listed(tmp_path: Path) -> None:
    registry = load_plugins([], extra=[Checkpoint("gone", "Gone", tmp_path / "gone")])
    assert "neither a known name nor a folder" in registry.broken[0].error
    assert registry.checkpoints == {}


def test_an_unknown_name_is_answered_with_the_known_ones(plugin: Plugin) -> None:
    registry = load_plugins([plugin("good", register_editors=editors(editor()))])
    with pytest.raises(MethodError, match=r"no editor 'nope'.*mine"):
        registry.info("editor", "nope")


def test_a_description_is_plain_data() -> None:
    info = describe_method(editor(), "somewhere 2")
    assert (info.kind, info.name, info.origin, info.inversion) == (
        "editor",
        "mine",
        "somewhere 2",
        "required",
    )
