"""Rules that the code keeps everywhere, read from the code itself."""

from __future__ import annotations

import ast
import inspect
import re
import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from pyinfra.api.arguments import all_argument_meta

from tasks.bundle import PODS

PROJECT = Path(__file__).resolve().parents[3]
DEPLOY = PROJECT / "deploy.py"
TASKS = sorted((PROJECT / "tasks").rglob("*.py"))
CAPABILITIES = sorted((PROJECT / "tasks").glob("[!_]*.py"))
MODEL = sorted((PROJECT / "tasks/model").rglob("*.py"))
PROGRAMS = sorted((PROJECT / "files/pods").rglob("*.py"))

LINES, DEPLOY_LINES = 250, 60
"""The most lines of a file, and of deploy.py: a longer one is two things."""

NOT_IN_MODEL = {"pyinfra", "gevent", "os", "pathlib", "subprocess", "socket", "shutil", "tempfile", "requests"}
READS = PROJECT / "tasks/model/templates.py"
"""The one file of the model that reads: templates, which are part of the role."""
LAYERS = {
    "model": ("model",),
    "facts.py": ("model", "command", "bundle"),
    "operations": ("model", "facts", "operations"),
}
"""What of the role each part of tasks/ imports; operations also the helpers beside them."""
SHARED = re.compile(
    r"files\.pods\.([a-z0-9.]+\.protocol|(nfs\.(mount|export)|source\.image|machine\.machine|v1\.(v1|running))_state|"
    r"transition\.(step_ids|documents|version_protocol)|source\.(skill_documents|staging_protocol)|(probe|transition)\.timeouts|common\.ids)"
)
"""What programs and the role both import: ids, timeouts, requests, replies and the files of a migration."""


def named(path: Path) -> str:
    return str(path.relative_to(PROJECT))


def tree(path: Path, version: tuple[int, int] | None = None) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"), named(path), feature_version=version)


def imports(path: Path) -> Iterator[str]:
    """The modules that a file imports, by their full names."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or "."


def operations() -> dict[str, Any]:
    """The role's operations and deploys, by the name of their module and their own."""
    by_name = {}
    for path in [*CAPABILITIES, *(PROJECT / "tasks/operations").glob("[!_]*.py")]:
        module = import_module(named(path).removesuffix(".py").replace("/", "."))
        for name, thing in vars(module).items():
            if hasattr(thing, "_inner") and inspect.unwrap(thing).__module__ == module.__name__:
                by_name[f"{module.__name__}.{name}"] = thing
    return by_name


def operation_calls(path: Path) -> Iterator[tuple[ast.Call, list[ast.AST]]]:
    """The calls of operations in a file, each with what stands around it."""
    names = {
        alias.asname or alias.name
        for node in ast.walk(tree(path))
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tasks.operations.")
        for alias in node.names
    }

    def walk(node: ast.AST, around: list[ast.AST]) -> Iterator[tuple[ast.Call, list[ast.AST]]]:
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in names:
            yield node, around
        for child in ast.iter_child_nodes(node):
            yield from walk(child, [*around, node])

    yield from walk(tree(path), [])


CALLS = [(path, call, around) for path in CAPABILITIES for call, around in operation_calls(path)]
CALL_IDS = [f"{named(path)}:{call.lineno}" for path, call, _around in CALLS]


def test_rules_cover_the_whole_role() -> None:
    """Otherwise the rules below would check nothing."""
    assert len(operations()) > 20 and len(CALLS) > 12 and len(PROGRAMS) > 20


def test_nobody_but_the_strategies_compares_the_name_of_one() -> None:
    """What a strategy needs is asked of it: a new one is added in tasks/model/access alone."""
    compared = [
        f"{named(path)}:{node.lineno}"
        for path in TASKS
        if path.parent.name != "access"
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Compare)
        for side in (node.left, *node.comparators)
        if isinstance(side, ast.Constant) and side.value in ("squash", "chown", "native")
    ]
    assert compared == []


def test_operations_module_says_why_pyinfras_operation_does_not_do() -> None:
    for path in sorted({Path(inspect.getfile(inspect.unwrap(thing))) for thing in operations().values()}):
        if path.parent.name == "operations":
            first = (ast.get_docstring(tree(path)) or "").partition("\n")[0]
            named_operations = re.findall(r"\b([a-z]+)\.([a-z]+)\b", first)
            for module, operation in named_operations:
                assert hasattr(getattr(import_module(f"pyinfra.operations.{module}"), operation), "_inner"), first
            assert named_operations or "pyinfra has nothing" in first, named(path)


@pytest.mark.parametrize("name", operations())
def test_no_parameter_shadows_a_global_argument_of_pyinfra(name: str) -> None:
    assert not set(inspect.signature(operations()[name]._inner).parameters) & set(all_argument_meta)


@pytest.mark.parametrize(("path", "call", "around"), CALLS, ids=CALL_IDS)
def test_operation_call_has_a_name_a_timeout_and_its_own_line(
    path: Path, call: ast.Call, around: list[ast.AST]
) -> None:
    """pyinfra knows an operation by its line; without a name it shows the arguments.

    In `for … in host.loop(…):` it knows it by its line and its turn, and each turn has a name of its own.
    """
    keywords = {keyword.arg: keyword.value for keyword in call.keywords}
    loops = [node for node in around if isinstance(node, _LOOPS)]
    turn = turn_of(loops[0]) if loops else None
    if turn:
        assert names_in(keywords.get("name")) == {turn}, "a name= that is not each turn's own"
    else:
        assert isinstance(keywords.get("name"), ast.Constant), "no name="
    assert "_timeout" in keywords, "no _timeout=: a server that is gone would hang the run"
    assert len(loops) == (1 if turn else 0), "called in a loop"


_LOOPS = (ast.For, ast.While, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


def turn_of(loop: ast.AST) -> str | None:
    """The variable of a loop that is pyinfra's own, `for VARIABLE in host.loop(…):`; None for any other."""
    if not isinstance(loop, ast.For) or not isinstance(loop.target, ast.Name) or not isinstance(loop.iter, ast.Call):
        return None
    return loop.target.id if ast.unparse(loop.iter.func) == "host.loop" else None


def names_in(name: ast.expr | None) -> set[str]:
    """The variables in an f-string; none for anything else."""
    nodes = ast.walk(name) if isinstance(name, ast.JoinedStr) else ()
    return {node.id for node in nodes if isinstance(node, ast.Name)}


@pytest.mark.parametrize(
    ("loop", "turn"),
    [
        ("for n in host.loop(range(3)): pass", "n"),
        ("for n in range(3): pass", None),
        ("for n in other.loop(range(3)): pass", None),
        ("for n in host.loop: pass", None),
        ("for n, m in host.loop(pairs): pass", None),
        ("while host.loop(x): pass", None),
        ("[n for n in host.loop(range(3))]", None),
    ],
)
def test_host_loop_differs_from_other_loops(loop: str, turn: str | None) -> None:
    (node,) = (node for node in ast.walk(ast.parse(loop)) if isinstance(node, _LOOPS))
    assert turn_of(node) == turn


def test_operation_names_are_unique() -> None:
    keywords = [keyword for _path, call, _around in CALLS for keyword in call.keywords]
    names = [ast.unparse(word.value) for word in keywords if word.arg == "name"]
    assert len(set(names)) == len(names)


def test_every_question_to_a_machine_has_a_timeout() -> None:
    questions = [
        (named(path), node.lineno, {keyword.arg for keyword in node.keywords})
        for path in CAPABILITIES
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "ask_machine"
    ]
    assert len(questions) > 4 and not [(path, line) for path, line, keywords in questions if "timeout" not in keywords]
    asking = [named(path) for path in CAPABILITIES if "get_fact(" in path.read_text(encoding="utf-8")]
    assert asking == ["tasks/replies.py"], "else a reply is asked for again"


@pytest.mark.parametrize("path", [DEPLOY, *TASKS, *PROGRAMS], ids=named)
def test_file_is_short_and_has_no_assert(path: Path) -> None:
    assert len(path.read_text(encoding="utf-8").splitlines()) <= (DEPLOY_LINES if path == DEPLOY else LINES)
    assert not [node.lineno for node in ast.walk(tree(path)) if isinstance(node, ast.Assert)], "python -O drops it"


@pytest.mark.parametrize("path", MODEL, ids=named)
def test_model_imports_no_input_or_output(path: Path) -> None:
    allowed = {"pathlib"} if path == READS else set()
    assert not {name.split(".")[0] for name in imports(path)} & NOT_IN_MODEL - allowed
    calls = [node.func for node in ast.walk(tree(path)) if isinstance(node, ast.Call)]
    assert not [func.id for func in calls if isinstance(func, ast.Name) and func.id in ("open", "print", "input")]


@pytest.mark.parametrize("path", TASKS, ids=named)
def test_package_imports_only_lower_layers(path: Path) -> None:
    part = path.relative_to(PROJECT / "tasks").parts[0]
    used = {name.split(".")[1] for name in imports(path) if name.startswith("tasks.")}
    if part in LAYERS:
        helpers = {"command", "bundle", "replies", "report", "run_context"} if part == "operations" else set()
        assert used <= {*LAYERS[part], *helpers}
    others = [name for name in imports(path) if name.startswith(("tests", "files", "deploy"))]
    assert all(SHARED.fullmatch(name) for name in others)


BENEATH = {
    "platform": (),
    "access": (),
    "fleet": ("access", "platform"),
    "nfs": ("access", "fleet", "platform"),
    "ownership": ("access", "fleet", "nfs"),
    "versions": ("access", "fleet", "nfs", "ownership"),
    "host": ("access", "fleet", "nfs", "ownership", "versions", "platform"),
    "migration": ("access", "fleet", "nfs", "ownership", "versions", "host"),
}
"""The rooms of the model: each imports those beneath it, and the files beside the rooms."""


@pytest.mark.parametrize("path", [path for path in MODEL if path.parent.name in BENEATH], ids=named)
def test_model_package_imports_only_lower_packages(path: Path) -> None:
    used = {name for name in imports(path) if name.startswith("tasks.model.")}
    rooms = {name.split(".")[2] for name in used if (PROJECT / "tasks/model" / name.split(".")[2]).is_dir()}
    assert rooms <= {path.parent.name, *BENEATH[path.parent.name]}


def test_every_model_package_has_a_layer() -> None:
    folders = {path.parent.name for path in MODEL if path.parent != PROJECT / "tasks/model"}
    assert folders == set(BENEATH)


def test_only_migration_programs_import_v1() -> None:
    """`common` uses no other room; v1 is nothing that NFS, trees, the guard or the probe know of."""
    rooms = {room: set[str]() for room in sorted({path.relative_to(PODS).parts[0] for path in PROGRAMS})}
    for path in PROGRAMS:
        names = [name.split(".") for name in imports(path) if name.startswith("files.pods.")]
        rooms[path.relative_to(PODS).parts[0]] |= {name[2] for name in names}
    assert rooms["common"] <= {"common"}
    assert [room for room, used in rooms.items() if "v1" in used and room in ("nfs", "trees", "guard", "probe")] == []


@pytest.mark.parametrize("path", PROGRAMS, ids=named)
def test_program_needs_only_python_3_9_and_its_library(path: Path) -> None:
    """Python 3.9 and its library; annotations are never evaluated."""
    parsed = tree(path, version=(3, 9))
    used = [name for name in imports(path) if not name.startswith("files.pods.")]
    assert "__future__" in used
    assert {name.split(".")[0] for name in used} <= set(sys.stdlib_module_names) - {"tomllib"}
    later = [
        node.lineno
        for node in ast.walk(parsed)
        if isinstance(node, ast.Call)
        and {keyword.arg for keyword in node.keywords} & {"slots", "kw_only", "strict", "process_group", "root_dir"}
    ]
    assert not later, "a keyword that Python 3.9 does not know"


@pytest.mark.parametrize("path", [DEPLOY, *TASKS, *PROGRAMS], ids=named)
def test_public_names_have_a_docstring(path: Path) -> None:
    module = tree(path)
    assert ast.get_docstring(module), "the file"
    if path not in TASKS:
        return
    public = [
        node
        for node in module.body
        if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and not node.name.startswith("_")
    ]
    assert not [node.name for node in public if not ast.get_docstring(node)]


def environments(path: Path) -> Iterator[tuple[int, set[str]]]:
    """The lines on which a child gets an environment of its own, and the variables that stand in it."""
    module = tree(path)
    dicts: dict[str, set[str]] = {}
    for node in ast.walk(module):
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Dict) and isinstance(node.targets[0], ast.Name):
            dicts.setdefault(node.targets[0].id, set()).update(keys_of(node.value))
    places = [
        (node.lineno, keyword.value) for node in calls(module) for keyword in node.keywords if keyword.arg == "env"
    ]
    for node in ast.walk(module):
        if isinstance(node, ast.Dict) and "subprocess" in imports(path):
            pairs = zip(node.keys, node.values, strict=True)
            places += [(node.lineno, value) for key, value in pairs if key is not None and ast.unparse(key) == "'env'"]
    for line, value in places:
        yield line, keys_of(value) if isinstance(value, ast.Dict) else dicts.get(ast.unparse(value), set())


def calls(module: ast.Module) -> list[ast.Call]:
    return [node for node in ast.walk(module) if isinstance(node, ast.Call)]


def keys_of(node: ast.Dict) -> set[str]:
    """The names in a dict; those of os.environ, which the start of each program sets, where it is taken over."""
    named = {str(key.value) for key in node.keys if isinstance(key, ast.Constant)}
    inherited = [value for key, value in zip(node.keys, node.values, strict=True) if key is None]
    return named | ({"LC_ALL"} if any(ast.unparse(value) == "os.environ" for value in inherited) else set())


@pytest.mark.parametrize("path", PROGRAMS, ids=named)
def test_child_with_its_own_environment_has_the_c_locale(path: Path) -> None:
    """Others have that of their program, which starts with it (tasks/command.py)."""
    assert not [line for line, names in environments(path) if "LC_ALL" not in names]


def test_rule_finds_environments_of_children() -> None:
    assert sum(len(list(environments(path))) for path in PROGRAMS) >= 4
