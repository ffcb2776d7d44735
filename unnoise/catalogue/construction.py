"""Validated construction of registered objects: a metaclass checks and records every call.

A registered class keeps its own ``__init__``. Between the caller and it stands the class's own
class: Python answers ``VP(beta_max=12)`` by ``type(VP).__call__(VP, beta_max=12)``, and that is
where names become members, where every value is checked, and where the call is noted, for ``spec``
to print.
"""

import copyreg
import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, final

from torch import nn

from unnoise.catalogue.schema import Schema, member_of, parameters_of
from unnoise.core.errors import InputError, short

_EMPTY = inspect.Parameter.empty
_PLACED = inspect.Parameter.POSITIONAL_OR_KEYWORD
_NOTE = "_made_by"  # where an object keeps (its constructor, the arguments)
_OWN = "_constructor"  # where a class or function keeps its own

Member = Callable[[tuple[Any, bool], Any, str, Mapping[str, Any] | None], Any]


def _no_arguments(self: object) -> None:
    """What ``object.__init__`` is: its own signature says that it takes anything."""


@final
class Constructor:
    """A registered class, or function that returns an object, with its schema.

    Arguments:
        family, kind: where it stands in the catalogue.
        maker: the class or function.
        member: builds the member that a value stands for; raises InputError.
        reduced: what pickle and copy keep of an object.
    """

    def __init__(
        self,
        family: str,
        kind: str,
        maker: Callable[..., Any],
        member: Member,
        reduced: Callable[[Any], Any],
    ) -> None:
        self.family, self.kind, self.maker = family, kind, maker
        self.member, self.reduced = member, reduced
        call: Any = maker.__init__ if isinstance(maker, type) else maker
        self.call: Callable[..., Any] = _no_arguments if call is object.__init__ else call
        found = list(inspect.signature(self.call).parameters.values())
        own = found[1:] if isinstance(maker, type) else found  # without self
        self.signature = inspect.Signature(own)
        self.defaults: dict[str, Any] = {p.name: p.default for p in own}
        self._needed = {p.name for p in own if p.default is _EMPTY}
        self._places = [p.name for p in own if p.kind is _PLACED]
        # What has *args or **kwargs is bound by the standard library, which takes longer.
        self._ordinary = all(p.kind in (_PLACED, inspect.Parameter.KEYWORD_ONLY) for p in own)
        self._call = maker

    def __deepcopy__(self, memo: object) -> "Constructor":
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        return constructor_of, (self.installed,)

    @functools.cached_property
    def members(self) -> dict[str, tuple[Any, bool]]:
        """Parameters that take a registered object (member): its family's base, and whether many.

        Not before the first call: hints may name what is defined further down in the file.
        """
        found = {k: member_of(a) for k, a in parameters_of(self.call).items()}
        return {k: v for k, v in found.items() if v is not None}

    @functools.cached_property
    def schema(self) -> Schema:
        """The schema of all other parameters, made at the first call."""
        return Schema(self.call)

    def bind(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
        """All arguments of a call by name, with defaults.

        Raises:
            TypeError: Python's own words for a call that does not fit the signature.
        """
        given = {**dict(zip(self._places, args, strict=False)), **kwargs} if args else kwargs
        found = {**self.defaults, **given}
        fits = len(given) == len(args) + len(kwargs) and len(found) == len(self.defaults)
        if self._ordinary and fits and self._needed <= given.keys():
            return found
        bound = self.signature.bind(*args, **kwargs)
        bound.apply_defaults()
        return dict(bound.arguments)

    def read(
        self, arguments: dict[str, Any], where: str, fill: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Validate arguments: members are built, every value is checked.

        Arguments:
            arguments: by name.
            where: what a refusal calls the object, such as "model.network".
            fill: values for arguments that members lack.

        Raises:
            InputError: one line for each mistake.
        """
        found = dict(arguments) if self.members else arguments
        problems: list[str] = []
        for name, member in self.members.items():
            value = arguments.get(name)
            if value is not None:
                try:
                    found[name] = self.member(member, value, f"{where}.{name}", fill)
                except InputError as error:
                    problems.append(str(error))
                    found[name] = None
        values, wrong = self.schema.read(found, where)
        if problems or wrong:
            raise InputError("\n".join([*wrong, *problems]))
        return values

    @property
    def brought(self) -> frozenset[str]:
        """Arguments that only Python gives, for what is no recipe's: never filled nor written."""
        return frozenset(getattr(self.maker, "brought", ()))

    def make(self, arguments: dict[str, Any]) -> Any:
        """Build the object from validated arguments, and record them on it."""
        if self._ordinary:
            obj = self._call(**arguments)
        else:
            bound = self.signature.bind_partial()
            bound.arguments.update(arguments)
            obj = self._call(*bound.args, **bound.kwargs)
        object.__setattr__(obj, _NOTE, (self, arguments))
        if type(obj) not in copyreg.dispatch_table:
            copyreg.pickle(type(obj), self.reduced)
        return obj

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """A call from Python, such as ``VP(beta_max=12)``."""
        arguments = self.bind(args, kwargs)
        if self.brought:
            arguments = self.maker.adopt(arguments)  # pyright: ignore[reportFunctionMemberAccess]
        return self.make(self.read(arguments, self.maker.__name__))

    @functools.cached_property
    def installed(self) -> Callable[..., Any]:
        """The registered class or function, with every call validated by this constructor."""
        maker = self.maker
        if not isinstance(maker, type):

            @functools.wraps(maker)
            def made(*args: Any, **kwargs: Any) -> Any:
                return self(*args, **kwargs)

            setattr(made, _OWN, self)
            return made
        plainly: Any = type(maker).__call__  # what a call of the class does without us
        self.maker = maker = _with_class(maker)
        self._call = functools.partial(plainly, maker)
        setattr(maker, _OWN, self)
        if maker.__repr__ in (object.__repr__, nn.Module.__repr__):
            maker.__repr__ = described  # pyright: ignore[reportAttributeAccessIssue]
        return maker


class _Catalogued(type):
    """The class of registered classes: calling one goes by its constructor."""

    def __call__(cls, *args: Any, **kwargs: Any) -> Any:
        own: Constructor = getattr(cls, _OWN)
        if own.maker is not cls:  # a class derived from a registered one is its own affair
            return super().__call__(*args, **kwargs)
        return own(*args, **kwargs)

    @property
    def __signature__(cls) -> inspect.Signature:
        own: Constructor = getattr(cls, _OWN)
        if own.maker is not cls:
            raise AttributeError("__signature__")
        return own.signature


def _with_class(maker: Any) -> Any:
    """A class whose own class is the above, beside what it was, such as ABCMeta."""
    of: type[type] = type(maker)
    if issubclass(of, _Catalogued):
        return maker
    if of is type:
        # Python keeps the class of such classes; one derived from it may have another.
        kept = ("__module__", "__qualname__", "__doc__")
        return _Catalogued(maker.__name__, (maker,), {name: getattr(maker, name) for name in kept})
    maker.__class__ = _metaclass(of)
    return maker


@functools.cache
def _metaclass(of: type[type]) -> type[type]:
    return type(of.__name__, (_Catalogued, of), {})


def constructor_of(maker: Callable[..., Any]) -> Constructor:
    """The constructor of a registered class or function."""
    return vars(maker)[_OWN]


def note_of(obj: object) -> tuple[Constructor, dict[str, Any]] | None:
    """Constructor and arguments that an object was built from; None where it is not registered."""
    return getattr(obj, _NOTE, None)


def amend(obj: object, **arguments: Any) -> None:
    """Change what is recorded of an object's construction, to what it was told since."""
    note = note_of(obj)
    if note is not None:
        object.__setattr__(obj, _NOTE, (note[0], {**note[1], **arguments}))


def described(obj: object) -> str:
    """One-line repr of an object: its class, and the arguments that are not the defaults."""
    note = note_of(obj)
    if note is None:
        return object.__repr__(obj)
    told = [f"{k}={short(v)}" for k, v in changed(*note).items()]
    return f"{type(obj).__name__}({', '.join(told)})"


def changed(constructor: Constructor, arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments that are not the defaults."""
    return {k: v for k, v in arguments.items() if not _is(v, constructor.defaults[k])}


def _is(value: object, default: object) -> bool:
    """Whether a value is the default; what cannot be compared is not."""
    return value is default or (type(value) is type(default) and bool(value == default))
