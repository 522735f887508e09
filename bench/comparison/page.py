"""The page of the comparison."""

from __future__ import annotations

import datetime as dt
from typing import Any

from report import table

_HEAD = """\
# Containers with a session for each request

The same program in five containers: an engine in the process, a session with a transaction for each request, a service that needs the session,
and a route of FastAPI that needs the service. Each is written as the documentation of its package recommends, and passes `mypy --strict` and pyright.
`python bench/compare.py` runs the programs, sends requests to them, and adds mistakes to copies of them; the tables are its results.

{date}; CPython {python}; {versions}.

"""
_PROGRAMS = """\
## The programs

The lines of the program and of a test that replaces the session, without empty lines, and when the engine is opened.

"""
_REQUESTS = """\
## What happens to the transaction

Four requests: one that succeeds, one whose service raises `ValueError`, one whose service raises `HTTPException(418)`, and one whose commit fails.
The statuses are those that the client receives.

"""
_REQUESTS_NOTES = """\
- In **wireup** and **typedbus** the session is closed before the response, so a client never receives the success of a commit that fails.
  In typedbus a middleware around the application closes it, and the server answers with 500;
  in wireup, and in typedbus without `scopes=True`, the application does, so that its own exception handlers see the failure.
- In **dishka** the failure is the value of the `yield`, and nothing is raised there: `try` and `except` around a `yield` commit.
  FastAPI turns an `HTTPException` into a response before dishka's middleware sees it.
- In **svcs** the container is a dependency of FastAPI with `yield`, which ends after the response. Failures of closing are logged as warnings.
  Failures reach the generator with `suppress_context_exit=False` alone, since 26.1.
- In **that-depends** a `ContextResource` is closed without the failure.

"""
_MISTAKES = """\
## What finds a mistake

A mistake in each program, and everything that reports it: mypy, pyright, the import or the start of the application, a request, or the test that contains it.
A dash stands for a mistake that cannot be written: where a container wires by annotations, an argument of another class cannot be named,
and factories of svcs live no longer than a request.

"""
_END = """\
## What the others do better

- **wireup** and **dishka** find arguments by the annotations of a constructor, so a declaration does not repeat them.
  typedbus names each argument: a line is longer, two objects of one class need no marker, and checkers compare the classes.
- **wireup** answers requests faster: see [what a scope costs](scopes.md).
- **dishka** lets a program define scopes beside those of a connection and of a request, and has integrations for bots, gRPC and task queues.
- **svcs** has health checks for the services that are registered, and adapters for Flask, aiohttp and Starlette as well.
- The other containers build an object of the process when a request first needs it, and build no object that is never needed.
  typedbus starts all components, in order, and the start fails if a component cannot start.
"""


def page(figures: dict[str, Any]) -> str:
    """Return *figures* as Markdown."""
    versions = ", ".join(f"{name} {version}" for name, version in figures["versions"].items())
    date = dt.datetime.now(dt.UTC).date().isoformat()
    packages = list(figures["lines"])
    mistakes = [[name, *[outcomes[package] for package in packages]] for name, outcomes in figures["mistakes"].items()]
    observed = figures["observed"]
    parts = [
        _HEAD.format(date=date, python=figures["python"], versions=versions),
        _PROGRAMS,
        table(
            ["", "program", "test", "the engine is opened"],
            [
                [_links(package), *map(str, figures["lines"][package]), _opened(observed[package])]
                for package in packages
            ],
            "---",
        ),
        "\n",
        _REQUESTS,
        table(
            ["", "success", "`ValueError`", "`HTTPException`", "failed commit"],
            [
                [name, *[_result(result["requests"][each]) for each in ("tea", "broken", "teapot", "unpaid")]]
                for name, result in observed.items()
            ],
            "---",
        ),
        "\n",
        _REQUESTS_NOTES,
        _MISTAKES,
        table(["", *packages], mistakes, "---"),
        "\n",
        _END,
    ]
    return "".join(parts)


def _links(package: str) -> str:
    name = package.replace("-", "_")
    program, test = (f"../../bench/comparison/{name}_{kind}.py" for kind in ("shop", "test"))
    return f"{package}: [program]({program}), [test]({test})"


def _opened(observed: dict[str, Any]) -> str:
    return "at the start" if observed["started"] else "in the first request"


def _result(request: dict[str, Any]) -> str:
    """Return the end of the transaction of *request*, and what the client received."""
    events, status = request["events"], request["status"]
    if "roll back" in events:
        return f"rolled back, {status}"
    if "commit fails" in events:
        return f"{status}" if status >= 500 else f"**{status}**"
    is_first = "respond" not in events or events.index("commit") < events.index("respond")
    when = "before" if is_first else "after"
    is_wrong = status >= 400
    return f"**committed**, {status}" if is_wrong else f"committed {when} the response, {status}"
