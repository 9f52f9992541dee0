"""The models a person has: what is found where, what is said about it, what is remembered and forgotten."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from sfumato.errors import InputError, ModelError
from sfumato.models.catalogue import Checkpoint
from sfumato.models.places import RECORD, all_found, cached
from sfumato.models.places import hub_cache as cache_folder
from sfumato.models.shelf import Origin, Shelf
from sfumato.settings import ModelDefaults, Settings
from tests.core.sources.conftest import COMMIT, STARTER

BUILT_IN = (Checkpoint("starter", "Starter (built in)", STARTER, note="small"),)
Make = Callable[..., Path]


def saved(settings: Settings) -> dict[str, object]:
    return json.loads(settings.path.read_text(encoding="utf-8"))


def downloaded(folder: Path, settings: Settings, repo: str) -> Path:
    place = settings.data_dir / "models" / repo.replace("/", "--")
    place.parent.mkdir(parents=True)
    folder.rename(place)
    (place / RECORD).write_text(json.dumps({"repo": repo, "commit": COMMIT}))
    return place


def test_models_of_every_origin_are_listed_once(
    settings: Settings, model_folder: Make, hub_cache: Make
) -> None:
    mine = model_folder("mine")
    settings = settings.changed(models=(mine,))
    downloaded(model_folder("other"), settings, "artist/landscapes")
    hub_cache("somebody/portraits")
    hub_cache("artist/landscapes")
    listed = {model.name: model for model in Shelf(settings, BUILT_IN).list()}
    assert {name: model.origin for name, model in listed.items()} == {
        "starter": Origin.BUILT_IN,
        str(mine): Origin.ADDED,
        "artist/landscapes": Origin.OWN,
        "somebody/portraits": Origin.CACHED,
    }
    assert {model.size for model in listed.values()} == {128}
    assert [name for name, model in listed.items() if model.preferred] == ["starter"]
    assert [checkpoint.name for checkpoint in all_found(settings)] == list(listed)[1:]


def test_a_cached_snapshot_is_used_in_place_through_its_links(hub_cache: Make) -> None:
    snapshot = hub_cache("somebody/portraits")
    (found,) = cached()
    assert (found.name, found.title, found.folder) == ("somebody/portraits", "portraits", snapshot)
    assert (snapshot / "unet" / "config.json").is_symlink()


def test_an_incomplete_or_foreign_repository_of_the_cache_is_passed_over(hub_cache: Make) -> None:
    hub_cache("somebody/portraits", without="vae")
    hub_cache("text/only", without="model_index")
    assert cached() == ()


def test_an_older_revision_is_named_by_its_commit(hub_cache: Make) -> None:
    hub_cache("a/b", "a" * 40)
    hub_cache("a/b", "b" * 40)
    names = {found.name for found in cached()}
    assert names in ({"a/b", "a/b@aaaaaaaa"}, {"a/b", "a/b@bbbbbbbb"})


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"HF_HUB_CACHE": "/x"}, "/x"),
        ({"HF_HOME": "/y"}, "/y/hub"),
        ({"XDG_CACHE_HOME": "/z"}, "/z/huggingface/hub"),
    ],
)
def test_the_cache_is_where_its_variables_say(
    variables: dict[str, str], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("HF_HUB_CACHE", "HF_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert cache_folder() == Path(expected)


def test_adding_remembers_the_folder_and_leaves_it_where_it_is(
    settings: Settings, model_folder: Make
) -> None:
    folder, shelf = model_folder("mine"), Shelf(settings)
    before = sorted(folder.rglob("*"))
    added = shelf.add(folder)
    assert (added.name, added.origin, added.size) == (str(folder), Origin.ADDED, 128)
    shelf.add(folder)
    assert saved(settings)["models"] == [str(folder)]
    assert sorted(folder.rglob("*")) == before


def test_what_is_no_model_is_not_added(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match=r"no model_index\.json"):
        Shelf(settings).add(tmp_path / "empty")
    assert not settings.path.exists()


def test_a_folder_that_is_gone_is_listed_with_the_reason(settings: Settings, tmp_path: Path) -> None:
    shelf = Shelf(settings.changed(models=(tmp_path / "gone",)))
    (model,) = shelf.list()
    assert model.size is None
    assert "gone" in model.problem
    assert shelf.remove("gone").startswith("'gone' is off the list")
    assert shelf.list() == ()


def test_removing_a_persons_folder_deletes_nothing(settings: Settings, model_folder: Make) -> None:
    folder, shelf = model_folder("mine"), Shelf(settings)
    shelf.add(folder)
    shelf.set_default("mine")
    shelf.set_defaults("mine", ModelDefaults(steps=20))
    shelf.remove("mine", files=True)
    assert (folder / "model_index.json").is_file()
    assert (shelf.list(), shelf.settings.default_model, shelf.settings.model_defaults) == ((), "", {})


def test_a_download_is_deleted_only_if_its_files_are_named(settings: Settings, model_folder: Make) -> None:
    place, shelf = downloaded(model_folder("x"), settings, "artist/landscapes"), Shelf(settings)
    with pytest.raises(InputError, match="--files"):
        shelf.remove("artist/landscapes")
    assert place.is_dir()
    shelf.remove("artist/landscapes", files=True)
    assert not place.exists()
    assert (STARTER / "unet" / "diffusion_pytorch_model.safetensors").is_file()


def test_what_belongs_to_others_cannot_be_removed(settings: Settings, hub_cache: Make) -> None:
    hub_cache("somebody/portraits")
    shelf = Shelf(settings, BUILT_IN)
    for name in ("starter", "somebody/portraits"):
        with pytest.raises(InputError, match="cannot be removed here"):
            shelf.remove(name, files=True)


def test_an_unknown_name_lists_the_known_ones(settings: Settings) -> None:
    with pytest.raises(InputError, match=r"no model 'x'.*'starter'"):
        Shelf(settings, BUILT_IN).inspect("x")


def test_inspecting_says_family_parts_bytes_and_licence(settings: Settings, model_folder: Make) -> None:
    folder, shelf = model_folder("mine"), Shelf(settings)
    shelf.add(folder)
    (folder / "MODEL_CARD.md").unlink()
    assert shelf.inspect("mine").content.licence == ""
    (folder / "MODEL_CARD.md").write_text("# A model\n\n## Licence\nKeep the notice.\n\n## Use\nPaint.\n")
    assert shelf.inspect("mine").content.licence == "Keep the notice."
    (folder / "README.md").write_text("---\nlicense: openrail\n---\nA model.")
    details = shelf.inspect("mine")
    assert details.content.licence == "openrail"
    parts = {part.name: part for part in details.content.parts}
    assert parts["unet"].kind == "UNet2DConditionModel"
    weights = STARTER / "unet" / "diffusion_pytorch_model.safetensors"
    assert parts["unet"].bytes > weights.stat().st_size
    assert details.content.bytes == sum(part.bytes for part in details.content.parts)
    (folder / "LICENSE.txt").write_text("Do as you like.")
    assert shelf.inspect("mine").content.licence == "Do as you like."


def test_the_fingerprint_is_that_of_loading(settings: Settings, model_folder: Make) -> None:
    def hashed(name: str) -> str:
        steps = shelf.fingerprint(name)
        while True:
            try:
                next(steps)
            except StopIteration as end:
                return end.value

    folder, shelf = model_folder("mine"), Shelf(settings, BUILT_IN)
    shelf.add(folder)
    assert hashed("mine") == hashed("starter")
    assert len(hashed("mine")) == hashlib.sha256().digest_size * 2
    config = folder / "unet" / "config.json"
    config.write_text(config.read_text() + "\n")
    assert hashed("mine") != hashed("starter")


def test_defaults_are_kept_by_model(settings: Settings, model_folder: Make) -> None:
    shelf = Shelf(settings, BUILT_IN)
    shelf.add(model_folder("mine"))
    shelf.set_default("mine")
    shelf.set_defaults("mine", ModelDefaults(steps=8, guidance=1.0))
    again = Shelf(Settings.model_validate({**saved(settings), **_dirs(settings)}), BUILT_IN)
    assert again.find("mine").preferred
    assert again.defaults(again.find("mine").name) == ModelDefaults(steps=8, guidance=1.0)
    assert again.defaults("starter") == ModelDefaults()
    again.set_defaults("mine", ModelDefaults())
    assert again.settings.model_defaults == {}


def test_a_model_that_cannot_be_used_is_no_default(settings: Settings, tmp_path: Path) -> None:
    with pytest.raises(ModelError):
        Shelf(settings.changed(models=(tmp_path / "gone",))).set_default("gone")


def _dirs(settings: Settings) -> dict[str, Path]:
    return {name: getattr(settings, name) for name in ("data_dir", "cache_dir", "state_dir")}
