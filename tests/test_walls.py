"""The walls of the house: no circle of files, a small core, functions that are read in one go."""

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

PACKAGE = Path(__file__).parent.parent / "unnoise"


def module_of(file: Path, top: Path) -> str:
    parts = file.relative_to(top.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(node: ast.AST, modules: set[str]) -> Iterator[str]:
    """Modules that a file imports anywhere, functions included, but not for types alone."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and "TYPE_CHECKING" in ast.unparse(child.test):
            continue
        if isinstance(child, ast.ImportFrom) and child.module:
            for name in child.names:
                whole = f"{child.module}.{name.name}"
                yield whole if whole in modules else child.module
        elif isinstance(child, ast.Import):
            yield from (name.name for name in child.names)
        yield from imported(child, modules)


def circles(top: Path) -> list[set[str]]:
    """Sets of files that import each other, directly or through others."""
    files = {module_of(file, top): file for file in top.rglob("*.py")}
    names = set(files)
    below = {
        name: set(imported(ast.parse(file.read_text("utf-8")), names)) & names
        for name, file in files.items()
    }
    reached = {name: set(others) for name, others in below.items()}
    changed = True
    while changed:
        changed = False
        for others in reached.values():
            more = set[str]().union(*(reached[other] for other in others)) - others
            others |= more
            changed = changed or bool(more)
    found: list[set[str]] = []
    for name in sorted(names):
        circle = {other for other in reached[name] if name in reached[other]}
        if name in reached[name] and circle not in found:
            found.append(circle)
    return found


def test_no_circle_of_files():
    assert circles(PACKAGE) == []


def test_canary_circle(tmp_path: Path):
    house = tmp_path / "house"
    house.mkdir()
    (house / "__init__.py").write_text("")
    (house / "a.py").write_text("def f():\n    from house import b\n")
    (house / "b.py").write_text("from house.c import x\n")
    (house / "c.py").write_text("import house.a\n")
    (house / "d.py").write_text(
        "from typing import TYPE_CHECKING\nimport house.a\nif TYPE_CHECKING:\n    import house.d\n"
    )
    assert circles(house) == [{"house.a", "house.b", "house.c"}]


def lines(folder: Path) -> int:
    return sum(len(file.read_text("utf-8").splitlines()) for file in folder.rglob("*.py"))


def test_core_is_small():
    assert 300 < lines(PACKAGE / "core") <= 700


# --------------------------------- a function is read in one go: its branches and its parameters

MOST_BRANCHES, MOST_BRANCHES_OF_VERBS, MOST_PARAMETERS = 15, 12, 8

FORKS = (ast.If, ast.For, ast.AsyncFor, ast.While, ast.ExceptHandler, ast.IfExp, ast.match_case)
FORKS += (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)


class Function(NamedTuple):
    """A function by its name, such as "Class.method", and the class it is a method of."""

    name: str
    node: ast.FunctionDef | ast.AsyncFunctionDef
    owner: ast.ClassDef | None


def functions(tree: ast.AST, name: str = "") -> Iterator[Function]:
    owner = tree if isinstance(tree, ast.ClassDef) else None
    for node in ast.iter_child_nodes(tree):
        here = f"{name}.{node.name}".strip(".") if hasattr(node, "name") else name
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield Function(here, node, owner)
        yield from functions(node, here)


def branches(function: Function) -> int:
    """1, and one for each fork and each further operand of and / or, inner functions included."""
    nodes = list(ast.walk(function.node))
    operands = sum(len(node.values) - 1 for node in nodes if isinstance(node, ast.BoolOp))
    return 1 + sum(isinstance(node, FORKS) for node in nodes) + operands


def too_branched(top: Path) -> set[str]:
    found: set[str] = set()
    for file in top.rglob("*.py"):
        where = file.relative_to(top)
        most = MOST_BRANCHES_OF_VERBS if where.parts[0] == "cli" else MOST_BRANCHES
        for function in functions(ast.parse(file.read_text("utf-8"))):
            if branches(function) > most:
                found.add(f"{where.as_posix()} {function.name}")
    return found


def decorators(node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> set[str]:
    calls = [each.func if isinstance(each, ast.Call) else each for each in node.decorator_list]
    return {ast.unparse(each).rpartition(".")[2] for each in calls}


def parameters(function: Function) -> int:
    """How many a caller may give: self and cls are not given."""
    a = function.node.args
    bound = function.owner is not None and "staticmethod" not in decorators(function.node)
    given = [*a.posonlyargs, *a.args, *a.kwonlyargs, *filter(None, (a.vararg, a.kwarg))]
    return len(given) - bound


def public_names(top: Path) -> set[str]:
    """What stands in any ``__all__``."""
    found: set[str] = set()
    for file in top.rglob("__init__.py"):
        for node in ast.parse(file.read_text("utf-8")).body:
            if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__":
                words = (each for each in ast.walk(node.value) if isinstance(each, ast.Constant))
                found |= {str(word.value) for word in words}
    return found


def too_many_parameters(top: Path) -> set[str]:
    """Settings of what users build and call may be many; a function of the house takes few."""
    found: set[str] = set()
    public = public_names(top)
    for file in top.rglob("*.py"):
        where = file.relative_to(top)
        for function in functions(ast.parse(file.read_text("utf-8"))):
            constructed = function.owner if function.node.name == "__init__" else function.node
            registered = constructed is not None and "register" in decorators(constructed)
            known = function.name.split(".")[0] in public and (
                "." not in function.name or function.owner is not None
            )
            if where.parts[0] == "cli" or registered or known:
                continue
            if parameters(function) > MOST_PARAMETERS:
                found.add(f"{where.as_posix()} {function.name}")
    return found


def test_few_branches():
    assert too_branched(PACKAGE) == set()


def test_few_parameters():
    assert too_many_parameters(PACKAGE) == set()


def test_canary_branches(tmp_path: Path):
    """Sixteen are one too many, whatever they are; in a verb thirteen are."""
    pairs = [
        "if x: pass\n    elif y: pass",
        "for _ in x: pass\n    while x: pass",
        "try: pass\n    except A: pass\n    except B: pass",
        "x = 1 if y else 2\n    x = [i for i in x]",
        "x = a and b and c",
        "match x:\n        case 1: pass\n        case 2: pass",
        "def inner(): return a or b or c",
    ]
    (tmp_path / "cli").mkdir()

    def offenders(count: int) -> set[str]:
        body = "\n    ".join([*pairs[: (count - 1) // 2], *["if x: pass"] * ((count - 1) % 2)])
        for place in ("a.py", "cli/b.py"):
            (tmp_path / place).write_text(f"class Outer:\n  def f():\n    {body}\n")
        return too_branched(tmp_path)

    assert offenders(16) == {"a.py Outer.f", "cli/b.py Outer.f"}
    assert offenders(15) == offenders(13) == {"cli/b.py Outer.f"}
    assert offenders(11) == set()


def test_canary_parameters(tmp_path: Path):
    nine = "a, b, c, d, e=1, *f, g, h, **i"
    (tmp_path / "cli").mkdir()
    (tmp_path / "__init__.py").write_text("__all__ = ['known', 'Known']\n")
    (tmp_path / "cli" / "verb.py").write_text(f"def verb({nine}): pass\n")
    (tmp_path / "a.py").write_text(
        f"def many({nine}): pass\n"
        f"def known({nine}):\n  def inner({nine}): pass\n"
        "def few(a, b, c, d, e=1, *f, g, h): pass\n"
        f"@register('x', 'y')\ndef made({nine}): pass\n"
        f"@register('x', 'z')\nclass Made:\n  def __init__(self, {nine}): pass\n"
        f"  def method(self, {nine}): pass\n"
        f"class Known:\n  def method(self, {nine}): pass\n"
        "class Own:\n  def method(self, a, b, c, d, e, f, g, h): pass\n"
        f"  @staticmethod\n  def lone({nine}): pass\n"
    )
    offenders = {"many", "known.inner", "Made.method", "Own.lone"}
    assert too_many_parameters(tmp_path) == {f"a.py {name}" for name in offenders}


# -- no class of a model or process is asked for ---------------------------------------------------


def bases() -> set[str]:
    """Names of all models, processes and denoisers of the package; protocols are none of them."""
    from unnoise.denoisers.base import ScoreModel
    from unnoise.models import Model
    from unnoise.processes import Process

    found, left = set[str](), [Model, Process, ScoreModel]
    for cls in left:  # which grows on the way
        found.add(cls.__name__)
        left += cls.__subclasses__()
    return found


def asked_for(text: str, known: set[str]) -> list[str]:
    """Classes that ``isinstance`` is asked for, among some."""
    calls = (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call))
    named = (call for call in calls if getattr(call.func, "id", "") == "isinstance")
    words = (ast.walk(call.args[1]) for call in named if len(call.args) == 2)
    return [node.id for each in words for node in each if getattr(node, "id", "") in known]


def test_abilities_are_asked_for_and_no_classes():
    known = bases()
    assert {"Diffusion", "OdeModel", "Classifier", "VP", "GaussianDenoiser"} <= known
    files = PACKAGE.rglob("*.py")
    found = [(file.name, name) for file in files for name in asked_for(file.read_text(), known)]
    assert len(found) <= 3, found


def test_canary_classes():
    text = "isinstance(model, Diffusion) or isinstance(x, (int, VP)) or isinstance(y, Draws)"
    assert asked_for(text, bases()) == ["Diffusion", "VP"]
