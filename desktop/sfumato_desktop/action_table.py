"""Every action as data: its menu, text, keys, tip and icon. Menus, tooltips and the shortcut sheet follow."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Scope = Literal["window", "canvas"]


@dataclass(frozen=True)
class Spec:
    """An action as data. Keys of scope "canvas" work only while the canvas has focus."""

    name: str
    menu: str
    text: str
    keys: tuple[str, ...] = ()
    tip: str = ""
    icon: str = ""
    scope: Scope = "window"
    checkable: bool = False
    needs_document: bool = True


def _app(name: str, menu: str, text: str, *keys: str, tip: str, icon: str = "") -> Spec:
    """An action that needs no open picture."""
    return Spec(name, menu, text, keys, tip, icon, needs_document=False)


def _key(name: str, menu: str, text: str, *keys: str, tip: str, icon: str = "") -> Spec:
    return Spec(name, menu, text, keys, tip, icon, scope="canvas")


def _mode(name: str, menu: str, text: str, *keys: str, tip: str, icon: str = "") -> Spec:
    """A canvas mode that is on or off."""
    return Spec(name, menu, text, keys, tip, icon, scope="canvas", checkable=True)


def _doc(name: str, menu: str, text: str, *keys: str, tip: str, icon: str = "") -> Spec:
    return Spec(name, menu, text, keys, tip, icon)


FILE, EDIT, SELECT, TOOLS, LAYER = "&File", "&Edit", "&Select", "&Tools", "&Layer"
GENERATE, VIEW, PLUGINS, HELP = "&Generate", "&View", "&Plugins", "&Help"
SEPARATOR = None
ACTIONS: tuple[Spec | None, ...] = (
    _app("open", FILE, "&Open…", "Ctrl+O", tip="Open a picture or a project", icon="open"),
    _app(
        "new_from_words",
        FILE,
        "&New picture from words…",
        "Ctrl+N",
        tip="Draw a picture that you describe",
        icon="sparkle",
    ),
    _app("new_from_clipboard", FILE, "New from clip&board", "Ctrl+Shift+V", tip="Open the copied picture"),
    SEPARATOR,
    _doc("save", FILE, "&Save project", "Ctrl+S", tip="Save layers, mask and prompts", icon="save"),
    _doc("save_as", FILE, "Save project &as…", "Ctrl+Shift+S", tip="Save under another name"),
    _doc(
        "export",
        FILE,
        "&Export picture…",
        "Ctrl+Alt+Shift+S",
        tip="Write a PNG, JPEG, WebP or TIFF with the recipe inside",
        icon="export",
    ),
    _doc("load_recipe", FILE, "Load &recipe…", tip="Take the prompts and settings of an exported file"),
    SEPARATOR,
    _doc("close", FILE, "&Close picture", "Ctrl+W", tip="Close the picture", icon="close"),
    _app("quit", FILE, "&Quit", "Ctrl+Q", tip="Leave Sfumato"),
    _doc("undo", EDIT, "&Undo", "Ctrl+Z", tip="Take back the last step", icon="undo"),
    _doc("redo", EDIT, "&Redo", "Ctrl+Shift+Z", "Ctrl+Y", tip="Do it again", icon="redo"),
    SEPARATOR,
    _doc("copy", EDIT, "&Copy picture", "Ctrl+Shift+C", tip="Copy all visible layers as one"),
    _app("paste", EDIT, "&Paste", "Ctrl+V", tip="Paste the copied picture as a layer", icon="paste"),
    _doc("select_all", SELECT, "&All", "Ctrl+A", tip="Let the edit change everything", icon="mask-all"),
    _doc("select_none", SELECT, "&None", "Ctrl+D", "Ctrl+Shift+A", tip="Remove the mask", icon="mask-clear"),
    _doc(
        "select_invert",
        SELECT,
        "&Invert",
        "Ctrl+Shift+I",
        tip="Swap inside and outside",
        icon="mask-invert",
    ),
    SEPARATOR,
    _doc("mask_word", SELECT, "From the &word at the cursor", tip="Mask what a word of the prompt looks at"),
    _doc("mask_auto", SELECT, "&Find automatically", tip="Mask what the two prompts disagree about"),
    SEPARATOR,
    _mode(
        "quick_mask",
        SELECT,
        "&Quick mask",
        "Q",
        tip="Paint where the edit may change things",
        icon="mask",
    ),
    _mode("hand", TOOLS, "&Hand", "H", tip="Move the view; Space does it with any tool", icon="hand"),
    _mode(
        "brush",
        TOOLS,
        "&Brush",
        "B",
        tip="Paint the mask: where the edit may change things",
        icon="brush",
    ),
    _mode("eraser", TOOLS, "&Eraser", "E", tip="Erase the mask: protect the picture", icon="eraser"),
    SEPARATOR,
    _key("smaller", TOOLS, "&Smaller brush", "[", tip="Make the brush smaller"),
    _key("larger", TOOLS, "&Larger brush", "]", tip="Make the brush larger"),
    _key("softer", TOOLS, "S&ofter brush", "Shift+[", "{", "Shift+{", tip="Make the brush's edge softer"),
    _key("harder", TOOLS, "H&arder brush", "Shift+]", "}", "Shift+}", tip="Make the brush's edge harder"),
    _doc("layer_duplicate", LAYER, "&Duplicate", "Ctrl+J", tip="Duplicate the layer", icon="duplicate"),
    _doc("layer_rename", LAYER, "Re&name", "F2", tip="Rename the layer"),
    _doc("layer_delete", LAYER, "D&elete", "Ctrl+Del", tip="Delete the layer", icon="trash"),
    SEPARATOR,
    _doc("layer_raise", LAYER, "&Raise", "Ctrl+]", tip="Move the layer up", icon="up"),
    _doc("layer_lower", LAYER, "&Lower", "Ctrl+[", tip="Move the layer down", icon="down"),
    _doc("layer_above", LAYER, "Select layer &above", "Alt+]", tip="Select the layer above"),
    _doc("layer_below", LAYER, "Select layer &below", "Alt+[", tip="Select the layer below"),
    SEPARATOR,
    _doc("rerun", LAYER, "Re-&run", tip="Run the edit again on what is below", icon="rerun"),
    _doc(
        "use_settings",
        LAYER,
        "&Use its settings",
        tip="Show the layer's recipe in Edit",
        icon="settings-from",
    ),
    _doc("invert", GENERATE, "&Invert photo", "Ctrl+I", tip="Prepare the photo; it is kept for every edit"),
    _app(
        "focus_prompt", GENERATE, "Go to the &prompt", "Alt+A", tip="Put the cursor where the change is said"
    ),
    _app("run", GENERATE, "&Run the edit", "Ctrl+Return", "Ctrl+Enter", tip="Run the edit", icon="play"),
    _app(
        "stop",
        GENERATE,
        "&Stop",
        "Ctrl+.",
        tip="Stop the running edit; the picture stays as it is",
        icon="stop",
    ),
    _doc("fit", VIEW, "&Fit", "Ctrl+0", tip="Show the whole picture", icon="fit"),
    _doc("zoom_100", VIEW, "&100 %", "Ctrl+1", tip="One picture pixel per screen pixel"),
    _doc("zoom_200", VIEW, "&200 %", "Ctrl+2", tip="Two screen pixels per picture pixel"),
    _doc("zoom_400", VIEW, "&400 %", "Ctrl+3", tip="Four screen pixels per picture pixel"),
    _doc("zoom_in", VIEW, "Zoom &in", "Ctrl++", "Ctrl+=", tip="Zoom in at the cursor", icon="zoom-in"),
    _doc("zoom_out", VIEW, "Zoom &out", "Ctrl+-", tip="Zoom out at the cursor", icon="zoom-out"),
    _doc("focus_canvas", VIEW, "Go to the pict&ure", "Esc", tip="Give the picture the keyboard"),
    SEPARATOR,
    _mode("overlay", VIEW, "&Mask overlay", "\\", tip="Show or hide the mask's tint", icon="overlay"),
    _mode("heat_map", VIEW, "&Heat map of a word", "T", tip="Show where the word at the cursor looks"),
    _mode("error_map", VIEW, "Inversion &error", tip="Show where the inversion gives the photo back wrongly"),
    _mode(
        "wipe",
        VIEW,
        "&Wipe before | after",
        "Y",
        tip="Compare with the original; drag the divider",
        icon="wipe",
    ),
    _app(
        "manage_plugins",
        PLUGINS,
        "&Methods and plugins…",
        tip="List methods and broken plugins",
        icon="plug",
    ),
    _app("models", PLUGINS, "M&odels…", tip="Add, look at and choose models", icon="sparkle"),
    _app("shortcuts", HELP, "&Shortcuts", "F1", tip="List every key", icon="help"),
    _app(
        "offline",
        HELP,
        "Why “&Offline”?",
        tip="How to check that nothing leaves this machine",
        icon="offline",
    ),
    _app("about", HELP, "&About Sfumato", tip="Version and licence"),
)
SPECS: tuple[Spec, ...] = tuple(spec for spec in ACTIONS if spec is not None)

GESTURES: tuple[tuple[str, str], ...] = (
    ("Wheel", "Zoom at the cursor"),
    ("Space + drag, middle button", "Move the view"),
    ("`  (hold)", "Show the original while held"),
    ("Shift + drag with a brush", "Brush size (across) and hardness (up and down)"),
)
"""What the mouse and held keys do on the canvas, for the shortcut sheet."""
