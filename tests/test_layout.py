"""The house keeps its order: who may import whom, how large a file may grow, what starts without what."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SRC = ROOT / "src"
PACKAGE = "hublet"

ENTRIES = {"pyproject.toml", "README.md", "config.example.yaml", "src", "tests", "systemd", "launchd"}
"""What a stranger sees first. Dotfiles besides, and nothing else."""

ADAPTERS = ("upstream", "store", "keys", "door", "host", "export", "mcp", "describe")
"""Each touches one part of the world, and knows none of the others. (describe touches none: it is held to the same.)"""
ALLOWED = {("store", "keys.source")}
"""A protocol, no adapter: what a store needs of a key source."""
TOGETHER = {"config", "configfile", "settings", "settling", "sync", "serve", "tending", "ui", "daemon"}
"""What puts the parts together; only the cli and the demo stand above."""
CORE_NEEDS = {"cryptography", "orjson", "yaml"}
NOT_AT_START = ("httpx", "yaml", "apscheduler", "watchdog", "click", "rich", "keyring", "httpcore", "tzlocal", "mcp")
BAGS = {"utils", "util", "helpers", "helper", "common", "misc", "tools", "shared"}
LARGEST = 400


@dataclass(frozen=True)
class Module:
    """A module of the package, and what it imports (`hublet...` by module, others by their first name)."""

    name: str
    path: Path
    tree: ast.Module

    @property
    def folder(self) -> str:
        """`core` of hublet.core.errors, `sync` of hublet.passes.sync, "" of hublet itself."""
        return self.name.split(".")[1] if "." in self.name else ""


def read(path: Path) -> Module:
    parts = path.relative_to(SRC).with_suffix("").parts
    name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
    return Module(name, path, ast.parse(path.read_text(encoding="utf-8")))


MODULES = {module.name: module for module in map(read, sorted((SRC / PACKAGE).rglob("*.py")))}


def statements(node: ast.AST) -> Iterator[ast.Import | ast.ImportFrom]:
    """Every import statement, those within functions too, those for type checkers only not."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            yield from (each for other in child.orelse for each in statements(other))
        elif isinstance(child, ast.Import | ast.ImportFrom):
            yield child
        else:
            yield from statements(child)


def imports(module: Module, *, at_start: bool = False) -> Iterator[str]:
    """Names of the modules that a module imports; `at_start` only what its own import runs."""
    found = module.tree.body if at_start else [module.tree]
    for node in found:
        if at_start and not isinstance(node, ast.Import | ast.ImportFrom):
            continue
        for statement in [node] if isinstance(node, ast.Import | ast.ImportFrom) else statements(node):
            yield from named(statement)


def named(node: ast.AST) -> Iterator[str]:
    """The modules that an import statement names; none for any other node."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        assert node.level == 0, f"a relative import in line {node.lineno}"
        base = node.module or ""
        yield from (f"{base}.{alias.name}" if f"{base}.{alias.name}" in MODULES else base for alias in node.names)


def own(module: Module) -> Iterator[str]:
    return (name for name in imports(module) if name.split(".")[0] == PACKAGE)


def test_there_is_something_to_look_at() -> None:
    """The walk finds the package, its imports and those within functions."""
    assert {"hublet", "hublet.core.judgement", "hublet.daemon", "hublet.upstream.worker"} <= set(MODULES)
    assert "hublet.core.records" in set(own(MODULES["hublet.core.state"]))
    assert "httpx" in set(imports(MODULES["hublet.upstream.forward"]))
    assert "httpx" not in set(imports(MODULES["hublet.upstream.forward"], at_start=True))


def refuse_cycles(graph: dict[str, set[str]]) -> None:
    done: set[str] = set()

    def visit(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, "a cycle: " + " -> ".join((*way[way.index(name) :], name))
        if name not in done:
            for other in sorted(graph[name]):
                visit(other, (*way, name))
            done.add(name)

    for name in graph:
        visit(name, ())


def test_no_module_leads_back_to_itself() -> None:
    """No import cycle, not even one that is put off into a function, or is there for type checkers alone: a reader has
    to follow that, too."""
    graph = {}
    for name, module in MODULES.items():
        graph[name] = {each for node in ast.walk(module.tree) for each in named(node)} & set(MODULES) - {name}
    refuse_cycles(graph)


@pytest.mark.parametrize("module", [m for m in MODULES.values() if m.folder == "core"], ids=lambda m: m.name)
def test_the_core_imports_only_itself(module: Module) -> None:
    """And the standard library, and three libraries that compute and touch nothing."""
    for name in imports(module):
        first = name.split(".")[0]
        assert name.startswith(f"{PACKAGE}.core") or first in sys.stdlib_module_names | CORE_NEEDS, name


TOUCHING = {"socket", "ssl", "sqlite3", "subprocess", "os", "pathlib", "time", "random", "secrets", "threading", "http"}


@pytest.mark.parametrize("module", [m for m in MODULES.values() if m.folder == "core"], ids=lambda m: m.name)
def test_the_core_touches_nothing(module: Module) -> None:
    """Time, randomness and bytes are passed in."""
    assert not {name.split(".")[0] for name in imports(module)} & TOUCHING


@pytest.mark.parametrize("module", [m for m in MODULES.values() if m.folder in ADAPTERS], ids=lambda m: m.name)
def test_an_adapter_imports_the_core_and_itself(module: Module) -> None:
    """Never another adapter, and nothing that puts them together."""
    for name in own(module):
        where = name.removeprefix(f"{PACKAGE}.")
        fine = name == PACKAGE or where.split(".")[0] in ("core", module.folder) or (module.folder, where) in ALLOWED
        assert fine, f"{module.name} imports {name}"


@pytest.mark.parametrize("module", [m for m in MODULES.values() if m.folder in TOGETHER], ids=lambda m: m.name)
def test_only_the_top_imports_downwards(module: Module) -> None:
    """The parts below know neither the commands nor the demo; the daemon is known to the commands only."""
    for name in own(module):
        folder = name.split(".")[1] if "." in name else ""
        assert folder not in ("cli", "demo"), f"{module.name} imports {name}"
        assert folder != "daemon" or module.folder == "daemon", f"{module.name} imports {name}"


@pytest.mark.parametrize("module", [m for m in MODULES.values() if m.folder == "demo"], ids=lambda m: m.name)
def test_the_demo_hub_knows_nothing_of_hublet(module: Module) -> None:
    """It is the other side of the wire: a mistake that both made would show nowhere."""
    for name in own(module):
        assert name.startswith(f"{PACKAGE}.demo"), f"{module.name} imports {name}"


@pytest.mark.parametrize("module", MODULES.values(), ids=lambda m: m.name)
def test_a_file_is_a_pleasure_to_read(module: Module) -> None:
    """Not too long, named for what it does, and it says at its top what it is."""
    assert len(module.path.read_text(encoding="utf-8").splitlines()) <= LARGEST
    assert module.path.stem not in BAGS
    if not module.path.stem.startswith("_") or module.path.stem == "__init__":
        assert ast.get_docstring(module.tree), f"{module.name} has no docstring"


def test_the_top_of_the_repository_is_agreed_upon() -> None:
    """Each entry has a reason; a new one needs one too."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False)
    if listed.returncode == 0 and listed.stdout:
        names = {name.partition("/")[0] for name in listed.stdout.decode().split("\0") if name}
    else:
        # Unpacked from an archive; a build can have left its own beside.
        names = {path.name for path in ROOT.iterdir()} - {"PKG-INFO", "build", "dist"}
    assert {name for name in names if not name.startswith(".")} <= ENTRIES


def test_every_agreed_entry_is_there() -> None:
    """And the package says that it is typed."""
    assert not [name for name in ENTRIES if not (ROOT / name).exists()]
    assert (SRC / PACKAGE / "py.typed").exists()


def loaded(module: str) -> set[str]:
    """The modules that a fresh interpreter has loaded after one import."""
    code = f"import sys, {module}; print(*sys.modules, sep='\\n')"
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    return set(done.stdout.split())


def test_the_daemon_starts_without_what_it_may_never_need() -> None:
    """A pass runs in a child: neither HTTP client nor YAML is loaded for it here; nor what only commands use."""
    assert not loaded("hublet.daemon") & set(NOT_AT_START)


def test_the_page_is_no_part_of_the_daemon() -> None:
    """It is served by a process of its own, which can't open the cache and leaves to the daemon what it asks."""
    assert not {name for name in loaded("hublet.daemon") if name.startswith("hublet.ui")}
    found = loaded("hublet.ui.server")
    assert not found & set(NOT_AT_START)
    assert not {
        name for name in found if name.startswith(("hublet.store", "hublet.keys", "hublet.serve", "hublet.passes.sync"))
    }


def test_the_worker_knows_no_store() -> None:
    """The process that looks into what came off the network can't open the cache."""
    found = loaded("hublet.upstream.worker")
    assert "httpx" in found
    assert not {name for name in found if name in ("sqlite3", "hublet.daemon") or name.startswith("hublet.store")}
    assert not {name for name in found if name.startswith(("hublet.keys", "hublet.serve", "hublet.door"))}


def pythons(module: Module) -> Iterator[bool]:
    """Each place where a module names the interpreter: whether it is a command line that goes on with -P."""
    safe: set[ast.expr] = set()
    for node in ast.walk(module.tree):
        words = node.elts if isinstance(node, ast.List | ast.Tuple) else node.args if isinstance(node, ast.Call) else []
        safe |= {one for one, then in pairwise(words) if isinstance(then, ast.Constant) and then.value == "-P"}
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Attribute) and node.attr == "executable" and ast.unparse(node.value) == "sys":
            yield node in safe
        elif isinstance(node, ast.ImportFrom) and node.module == "sys":
            yield from (False for alias in node.names if alias.name == "executable")


def test_a_python_that_is_started_imports_nothing_from_the_current_folder() -> None:
    """Without -P the folder that a person happens to be in comes first: a click.py in it would be run."""
    found = {name: list(pythons(module)) for name, module in MODULES.items()}
    assert [name for name, places in found.items() if not all(places)] == []
    assert sum(map(len, found.values())) >= 3


@pytest.mark.parametrize("folder", ["systemd", "launchd"])
def test_a_service_starts_the_installed_script(folder: str) -> None:
    """It imports from its own folder; `python -m` would from the current one."""
    units = [path for path in (ROOT / folder).rglob("*") if path.is_file()]
    assert units
    assert not [path for path in units if "python" in path.read_text(encoding="utf-8").lower()]
