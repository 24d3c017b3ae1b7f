"""Who may import whom: a module imports only from its left, imports inside functions included."""

import ast
from graphlib import TopologicalSorter
from pathlib import Path

import impact
from impact.estimators import ESTIMATORS

PACKAGE = Path(impact.__file__).parent

LAYERS = (
    {"errors"},
    {"tables", "plots"},
    {"panel"},
    {"places", "prices", "calendar", "formula"},
    {"datasets", "simulate", "published", "outcomes", "events", "warehouse"},
    {"ledger"},
    {"design"},
    {"kernels"},
    {"inference"},
    {"result"},
    {"estimators", "coefficient_table"},
    {"comparison", "families", "recommendation"},
    {"sensitivity", "value"},
    {"evaluation"},
    {"report"},
    {"cli"},
)
RANK = {name: rank for rank, names in enumerate(LAYERS) for name in names}
ARRAYS_ONLY = {"kernels", "inference"}
FORBIDDEN_TO_ARRAYS = {"panel", "design", "result"}
ENTRY = {"__init__", "__main__"}


def modules():
    return sorted(path for path in PACKAGE.rglob("*.py") if path.name not in ("__main__.py",))


def layer_of(path):
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def home_of(path):
    return ".".join(("impact", *path.relative_to(PACKAGE).with_suffix("").parts))


def is_typing_guard(node):
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)


def imports(tree):
    """Yield (line, dotted module, names) of the imports that run."""
    for node in ast.iter_child_nodes(tree):
        if is_typing_guard(node):
            continue
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name, ()
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, node.module or "", tuple(alias.name for alias in node.names)
        else:
            yield from imports(node)


def own_imports(path):
    """Yield (line, layer, dotted module, names) of the imports of our own modules."""
    for line, module, names in imports(ast.parse(path.read_text(encoding="utf-8"))):
        if module == "impact":
            for name in names:
                yield line, name, f"impact.{name}", ()
        elif module.startswith("impact."):
            yield line, module.split(".")[1], module, names


def test_every_module_has_a_layer():
    unknown = {layer_of(path) for path in modules()} - set(RANK) - ENTRY
    assert not unknown, f"give {unknown} a place in LAYERS and in ARCHITECTURE.md"


def test_modules_import_only_from_their_left():
    wrong = [
        f"{path.relative_to(PACKAGE)}:{line} imports {module}, which lies to its right"
        for path in modules()
        if layer_of(path) not in ENTRY
        for line, layer, module, _ in own_imports(path)
        if layer in RANK and layer != layer_of(path) and RANK[layer] >= RANK[layer_of(path)]
    ]
    assert not wrong, "\n".join(wrong)


def named_modules(path, known):
    """Name the modules of ours that a file imports, for types alone too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield from {node.module, *(f"{node.module}.{a.name}" for a in node.names)} & known


def test_no_two_modules_need_each_other_be_it_for_types():
    homes = {home_of(path): path for path in modules() if path.stem not in ENTRY}
    graph = {home: set(named_modules(path, set(homes))) for home, path in homes.items()}
    TopologicalSorter(graph).prepare()  # a circle raises CycleError, which names it


def test_kernels_and_inference_see_arrays_only():
    wrong = [
        f"{path.relative_to(PACKAGE)}:{line} imports {module}"
        for path in modules()
        if layer_of(path) in ARRAYS_ONLY
        for line, layer, module, _ in own_imports(path)
        if layer in FORBIDDEN_TO_ARRAYS
    ]
    assert not wrong, "\n".join(wrong)


def test_no_private_name_is_imported():
    wrong = [
        f"{path.relative_to(PACKAGE)}:{line} imports {name} from {module}"
        for path in modules()
        for line, _, module, names in own_imports(path)
        for name in names
        if name.startswith("_") and not name.startswith("__")
    ]
    assert not wrong, "\n".join(wrong)


def test_no_estimator_imports_another():
    """What two estimators share lies in estimators/parts, which imports no estimator."""
    folder = PACKAGE / "estimators"
    homes = set(ESTIMATORS.values())
    shared = sorted((folder / "parts").glob("*.py"))
    estimators = [path for path in sorted(folder.glob("*.py")) if home_of(path) in homes]
    assert len(estimators) == len(homes)
    wrong = [
        f"{path.relative_to(PACKAGE)}:{line} imports {module}"
        for path in (*estimators, *shared)
        for line, _, module, _ in own_imports(path)
        if module in homes
    ]
    assert not wrong, "\n".join(wrong)


def test_the_checks_see_imports_inside_functions(tmp_path):
    source = tmp_path / "module.py"
    source.write_text("def f():\n    from impact.result import Result\n    return Result\n")
    assert list(own_imports(source)) == [(2, "result", "impact.result", ("Result",))]
