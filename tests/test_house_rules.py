"""The rules of the house, and for each a canary: a small offender that the rule must report."""

import ast
import importlib
import inspect
import pkgutil
import re
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from enum import Enum
from functools import cached_property, singledispatchmethod
from pathlib import Path
from typing import NamedTuple, Protocol

import pydantic
import pytest

import unnoise

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "unnoise"
NOISE = PACKAGE / "core" / "noise.py"  # the one file that may draw


def module_names() -> list[str]:
    walked = pkgutil.walk_packages(unnoise.__path__, "unnoise.")
    return [module.name for module in walked if not module.name.endswith("__main__")]


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    """A fresh interpreter: what this one has imported says nothing."""
    return subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, capture_output=True, text=True, timeout=120
    )


# ------------------------------------------------------------------ a file fits into one reading


def too_long(text: str, limit: int = 400) -> bool:
    return len(text.splitlines()) > limit


def test_files_are_short():
    folders = ("unnoise", "tests", "benchmarks", "examples")
    files = [file for folder in folders for file in (ROOT / folder).rglob("*.py")]
    assert len(files) > 10
    assert [str(file) for file in files if too_long(file.read_text("utf-8"))] == []


def test_canary_long_file():
    assert too_long("x = 1\n" * 401)
    assert not too_long("x = 1\n" * 400)


# ---------------------------- a class is abstract or final; a concrete method is never overridden

METHODS = (
    type(lambda: None),
    property,
    classmethod,
    staticmethod,
    cached_property,
    singledispatchmethod,
)


def is_abstract(cls: type) -> bool:
    """A Protocol, a class with work left to do, or one that calls itself a base by deriving ABC."""
    return getattr(cls, "_is_protocol", False) or inspect.isabstract(cls) or ABC in cls.__bases__


def is_exempt(cls: type) -> bool:
    """Families whose inheritance is Python's or pydantic's way of speaking, not ours."""
    return issubclass(cls, (BaseException, Enum, tuple, dict, pydantic.BaseModel))


def concrete_methods(cls: type) -> set[str]:
    """The methods that a class fills in, without dunders: `__init__`, `__repr__` are personal."""
    if getattr(cls, "_is_protocol", False):
        return set()  # a Protocol states methods, it does not fill them in
    return {
        name
        for name, value in vars(cls).items()
        if isinstance(value, METHODS)
        and not getattr(value, "__isabstractmethod__", False)
        and not (name.startswith("__") and name.endswith("__"))
    }


def inheritance_problems(classes: list[type]) -> list[str]:
    """Offences among `classes`; bases from elsewhere (nn.Module, its forward) do not count."""
    known = {cls for cls in classes if not is_exempt(cls)}
    problems: set[str] = set()
    for cls in known:
        line = [base for base in cls.__mro__ if base in known]
        for base in line[1:]:
            if not is_abstract(base):
                problems.add(f"{cls.__qualname__} derives from the final {base.__qualname__}")
        # Along the whole line, not only in cls: two bases may each bring a method of one name.
        owner: dict[str, type] = {}
        for base in line:
            for name in concrete_methods(base):
                first = owner.setdefault(name, base)
                if first is not base:
                    problems.add(
                        f"{first.__qualname__}.{name} overrides {base.__qualname__}.{name}"
                    )
    return sorted(problems)


def package_classes() -> list[type]:
    modules = [importlib.import_module(name) for name in module_names()]
    members = ((module, cls) for module in modules for cls in vars(module).values())
    return [c for m, c in members if isinstance(c, type) and c.__module__ == m.__name__]


def test_classes_are_abstract_or_final():
    classes = package_classes()
    assert len(classes) > 10
    assert inheritance_problems(classes) == []


def test_canary_inheritance():
    class Base(ABC):
        @abstractmethod
        def step(self): ...

        def walk(self):
            return 1

    class Good(Base):
        def step(self): ...

    class DerivesFromFinal(Good):
        pass

    class Overrides(Base):
        def step(self): ...

        def walk(self):
            return 1

    class Mixin(ABC):
        @property
        def walk(self):
            return 1

    class Clash(Mixin, Base):
        def step(self): ...

    class Stated(Protocol):
        def step(self): ...

    class Fills(Stated):
        def step(self): ...

    class Trouble(ValueError):
        def hint(self): ...

    class MoreTrouble(Trouble):
        def hint(self): ...

    class Pair(NamedTuple):
        one: int

    def found(*classes: type) -> int:
        return len(inheritance_problems(list(classes)))

    assert found(Base, Good, Mixin, Stated, Fills, Trouble, MoreTrouble, Pair) == 0
    assert found(Good, DerivesFromFinal) == 1
    assert found(Base, Overrides) == 1
    assert found(Base, Mixin, Clash) == 1


# --------------------------------------------------------- what is not needed is not imported

HEAVY = {"accelerate", "diffusers", "matplotlib", "pandas", "PIL", "rich", "scipy", "sklearn"}
HEAVY |= {"torch._dynamo", "torchmetrics", "typer"}


def imported_by(statement: str, names: set[str]) -> set[str]:
    """Those of `names` that are loaded after a statement in a fresh interpreter."""
    done = python("-c", f"{statement}\nimport sys\nprint(*sys.modules, sep='\\n')")
    assert done.returncode == 0, done.stderr[-1000:]
    return names & set(done.stdout.split())


def imported_by_run(*arguments: str) -> set[str]:
    """Every module that a run of the interpreter loads; `-X importtime` reports one a line."""
    done = python("-X", "importtime", *arguments)
    assert done.returncode == 0, done.stderr[-1000:]
    return set(re.findall(r"^import time:.*\|\s*(\S+)$", done.stderr, re.MULTILINE))


def test_import_is_light():
    assert imported_by("import unnoise", HEAVY) == set()


@pytest.mark.parametrize("verb", [[], ["train"], ["sample"]])
def test_help_needs_no_torch(verb: list[str]):
    assert "torch" not in imported_by_run("-m", "unnoise", *verb, "--help")


def test_canary_imports():
    assert imported_by("import PIL", HEAVY) == {"PIL"}
    assert {"PIL", "json"} <= imported_by_run("-c", "import PIL, json")


# --------------------------------------------- importing calls no one: no network, no processes

GUARDED_IMPORT = """
import importlib, sys
calls = []
def hook(event, arguments):
    if event in {"socket.connect", "socket.bind", "socket.getaddrinfo", "urllib.Request",
                 "subprocess.Popen", "os.system", "os.posix_spawn"}:
        calls.append(f"{name}: {event}")
        raise PermissionError(event)
sys.addaudithook(hook)
for name in sys.argv[1:]:
    try:
        importlib.import_module(name)
    except PermissionError:
        pass
print(*calls, sep="\\n")
"""


def calls_at_import(names: list[str], folder: Path = ROOT) -> list[str]:
    program = f"import sys; sys.path.insert(0, {str(folder)!r})\n{GUARDED_IMPORT}"
    done = python("-c", program, *names)
    assert done.returncode == 0, done.stderr[-1000:]
    return done.stdout.split("\n")[:-1] if done.stdout.strip() else []


def test_import_calls_no_one():
    assert calls_at_import(module_names()) == []


def test_canary_calls_at_import(tmp_path: Path):
    (tmp_path / "phones.py").write_text(
        "import socket\nsocket.socket().connect(('127.0.0.1', 9))", "utf-8"
    )
    (tmp_path / "spawns.py").write_text("import subprocess\nsubprocess.run(['true'])", "utf-8")
    found = calls_at_import(["phones", "json", "spawns"], tmp_path)
    assert found == ["phones: socket.connect", "spawns: subprocess.Popen"]


# ------------------------------------------------------- what no source file of the package does


def names_in(node: ast.AST) -> Iterator[str]:
    """`a`, `x.a` and `import a` all name a."""
    if isinstance(node, ast.Attribute):
        yield node.attr
    elif isinstance(node, ast.Name):
        yield node.id
    elif isinstance(node, ast.alias):
        yield node.name


# Ruff's TID251 sees torch.randn and its kin; these are methods, of any tensor, or torch.nn.init's.
# Layers of torch.nn initialise themselves under the model's seeded() context; they need no call.
IN_PLACE_DRAWS = {"normal_", "uniform_", "random_", "bernoulli_", "exponential_", "cauchy_"}
IN_PLACE_DRAWS |= {"geometric_", "log_normal_", "trunc_normal_", "orthogonal_", "sparse_"}
IN_PLACE_DRAWS |= {
    f"{who}_{law}_" for who in ("xavier", "kaiming") for law in ("normal", "uniform")
}


def draws(text: str) -> list[str]:
    nodes = ast.walk(ast.parse(text))
    return [name for node in nodes for name in names_in(node) if name in IN_PLACE_DRAWS]


PICKLERS = {"pickle", "cPickle", "_pickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"}


def runs_foreign_code(text: str) -> list[str]:
    """Pickle in any of its disguises, eval and exec: reading a file must not run it."""
    found: list[str] = []
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Import(names):
                found += [a.name for a in names if a.name.split(".")[0] in PICKLERS]
            case ast.ImportFrom(module=str(module), names=names):
                found += [module] if module.split(".")[0] in PICKLERS else []
                found += [a.name for a in names if module == "torch" and a.name in {"load", "save"}]
            case ast.Attribute(value=ast.Name(id="torch"), attr="load" | "save" as name):
                found.append(f"torch.{name}")
            case ast.keyword(arg="allow_pickle", value=value):
                if not (isinstance(value, ast.Constant) and value.value is False):
                    found.append("allow_pickle")
            case ast.Call(func=ast.Name(id="eval" | "exec" as name)):
                found.append(name)
            case _:
                pass
    return found


PROCESS = re.compile(r".*Process|VP|VE|SubVP|Cosine|Rectified|EDM")


def asks_for_process(text: str) -> list[str]:
    """isinstance(_, SomeProcess): a process says what it does by its methods, not by its name.

    A solver's `needs` is a variable, so its one check passes.
    """
    found: list[str] = []
    for node in ast.walk(ast.parse(text)):
        match node:
            case ast.Call(func=ast.Name(id="isinstance" | "issubclass"), args=[_, kinds]):
                names = (name for part in ast.walk(kinds) for name in names_in(part))
                found += [name for name in names if PROCESS.fullmatch(name)]
            case ast.MatchClass(cls=kind):
                found += [name for name in names_in(kind) if PROCESS.fullmatch(name)]
            case _:
                pass
    return found


@pytest.mark.parametrize("rule", [draws, runs_foreign_code, asks_for_process])
def test_source(rule: Callable[[str], list[str]]):
    files = [file for file in PACKAGE.rglob("*.py") if not (rule is draws and file == NOISE)]
    found = {str(file.relative_to(ROOT)): rule(file.read_text("utf-8")) for file in files}
    assert {file: problems for file, problems in found.items() if problems} == {}


@pytest.mark.parametrize(
    ("rule", "bad"),
    [
        (draws, "x.normal_()"),
        (draws, "torch.empty(3).uniform_(0, 1)"),
        (draws, "nn.init.kaiming_uniform_(w)"),
        (draws, "from torch.nn.init import trunc_normal_"),
        (draws, "model.apply(nn.init.orthogonal_)"),
        (runs_foreign_code, "import pickle"),
        (runs_foreign_code, "from joblib import load"),
        (runs_foreign_code, "torch.load(f, weights_only=True)"),
        (runs_foreign_code, "from torch import load"),
        (runs_foreign_code, "np.load(f, allow_pickle=True)"),
        (runs_foreign_code, "eval('1')"),
        (runs_foreign_code, "exec('1')"),
        (asks_for_process, "isinstance(p, VP)"),
        (asks_for_process, "isinstance(p, (int, processes.GaussianProcess))"),
        (asks_for_process, "isinstance(p, A | EDM)"),
        (asks_for_process, "match p:\n    case VE(): pass"),
    ],
)
def test_canary_bad_source(rule: Callable[[str], list[str]], bad: str):
    assert len(rule(bad)) == 1


@pytest.mark.parametrize(
    ("rule", "good"),
    [
        (draws, "nn.init.zeros_(w); noise.normal(like=x)"),
        (runs_foreign_code, "model.eval(); spec.loader.exec_module(m); torch.no_grad()"),
        (runs_foreign_code, "np.load(f, allow_pickle=False); model.load(f)"),
        (asks_for_process, "isinstance(process, solver.needs); isinstance(x, Tensor); VP()"),
    ],
)
def test_canary_good_source(rule: Callable[[str], list[str]], good: str):
    assert rule(good) == []
