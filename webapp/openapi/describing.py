"""What `/openapi.json` is to say of a view beyond its signature and its docstring."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

View = TypeVar("View", bound=Callable[..., Any])


@dataclass(frozen=True)
class Notes:
    """`form`: a multipart body. `takes`, `sends`: headers of the request and of the answer, by their names.

    `problems`: statuses of errors that do not follow from what the view takes; `never`: those that do, but cannot be.
    `called`: other names for parts of the path, where another route has its own for the same place; to OpenAPI the two
    are one path.
    """

    form: Any = None
    takes: tuple[str, ...] = ()
    sends: tuple[str, ...] = ()
    problems: tuple[int, ...] = ()
    never: tuple[int, ...] = ()
    called: Mapping[str, str] = field(default_factory=dict)


def describe(
    *,
    form: Any = None,
    takes: tuple[str, ...] = (),
    sends: tuple[str, ...] = (),
    problems: tuple[int, ...] = (),
    never: tuple[int, ...] = (),
    called: Mapping[str, str] | None = None,
) -> Callable[[View], View]:
    """Return a decorator that keeps these `Notes` with a view. It stands below that of the route."""

    def keep(view: View) -> View:
        view.notes = Notes(form, takes, sends, problems, never, called or {})  # type: ignore[attr-defined]
        return view

    return keep


def notes_of(view: Callable[..., Any]) -> Notes:
    """Return what was said of a view."""
    notes: Notes = getattr(view, "notes", Notes())
    return notes
