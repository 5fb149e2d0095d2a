# SPDX-License-Identifier: GPL-3.0-or-later
"""The built zip installs, enables, disables and goes away cleanly, and has no path of ours."""

from __future__ import annotations

import re
import threading
import zipfile
from pathlib import Path

from .conftest import PACKAGE, REPOSITORY


def test_it_is_enabled_with_everything_registered(blender, addon):
    assert hasattr(blender.types.Scene, "vividkeys")
    for registered in addon("registration").classes():
        assert registered.is_registered, registered
    names = [n for n in dir(blender.ops.vividkeys) if not n.startswith("_")]
    assert {"animate", "create_head", "export", "cancel", "connect_local"} <= set(names)
    assert addon("jobs.work").__file__.startswith(blender.utils.user_resource("EXTENSIONS")), (
        "the tests must run the installed extension"
    )


def test_each_operator_in_the_folder_is_registered(addon):
    sources = (REPOSITORY / "blender_addon" / "operators").glob("*.py")
    text = "\n".join(source.read_text("utf-8") for source in sources)
    written = set(re.findall(r"^class (VIVIDKEYS_OT_\w+)", text, re.MULTILINE))
    registered = {c.__name__ for c in addon("registration").classes() if "_OT_" in c.__name__}
    assert registered == written and len(written) > 15


def test_operators_do_not_depend_on_the_order_of_registration(blender, addon):
    modules = addon("registration").operator_modules()
    operators = [operator for module in modules for operator in module.CLASSES]
    register, unregister = blender.utils.register_class, blender.utils.unregister_class
    for operator in operators:
        unregister(operator)
    try:
        for operator in reversed(operators):
            register(operator)
        assert all(operator.is_registered for operator in operators)
    finally:
        for operator in operators:
            if not operator.is_registered:
                register(operator)
    settings = blender.ops.vividkeys.animate.get_rna_type().properties.keys()
    assert {"audio_file", "seed", "articulation"} <= set(settings)


def test_disable_leaves_nothing_behind_and_enable_brings_it_back(blender, addon):
    classes = addon("registration").classes()
    before = threading.active_count()
    timer = addon("jobs.timer")
    addon("jobs.work").state().keep_pumping()
    assert blender.app.timers.is_registered(timer.tick)
    blender.ops.preferences.addon_disable(module=PACKAGE)
    try:
        assert not hasattr(blender.types.Scene, "vividkeys")
        assert not any(registered.is_registered for registered in classes)
        assert not blender.app.timers.is_registered(timer.tick)
        assert threading.active_count() <= before
    finally:
        blender.ops.preferences.addon_enable(module=PACKAGE)
    assert hasattr(blender.types.Scene, "vividkeys")


def test_uninstall_removes_the_files_and_install_works_again(blender, built_zip):
    import addon_utils

    folder = blender.utils.user_resource("EXTENSIONS", path="user_default/vividkeys")
    index = next(
        i
        for i, repo in enumerate(blender.context.preferences.extensions.repos)
        if repo.module == "user_default"
    )
    blender.ops.extensions.package_uninstall(repo_index=index, pkg_id="vividkeys")
    try:
        assert addon_utils.check(PACKAGE) == (False, False)
        assert not hasattr(blender.types.Scene, "vividkeys")
        assert not Path(folder).exists()
    finally:
        blender.ops.extensions.package_install_files(
            filepath=str(built_zip), repo="user_default", enable_on_install=True, overwrite=True
        )
    assert addon_utils.check(PACKAGE) == (True, True)


def test_the_zip_carries_the_contracts_and_no_path_of_this_machine(built_zip):
    with zipfile.ZipFile(built_zip) as archive:
        names = set(archive.namelist())
        ours = {"shared/take.py", "connection/session.py"}
        assert {"blender_manifest.toml", "LICENSE", *ours} <= names
        assert "mapping/presets/oculus.json" in names
        for name in names:
            if not name.endswith(".whl"):
                assert str(REPOSITORY).encode() not in archive.read(name), name


def test_only_a_wheel_for_this_python_is_inside(built_zip, installed):
    import zmq

    assert zmq.has("curve"), "the bundled ZeroMQ has no encryption"
