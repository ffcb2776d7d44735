"""The walls of the house: no circle of files, a small core; each rule with its canary."""

import ast
from collections.abc import Iterator
from pathlib import Path

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
