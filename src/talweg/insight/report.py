"""The report of a run: one HTML page that needs nothing else, neither the network nor a script.

The page forbids itself to load anything: its Content-Security-Policy allows its own styles and the pictures inside it.
"""

from __future__ import annotations

import json
import os
import platform
import shlex
import sys
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np

from talweg._version import __version__
from talweg.disk.writing import written_whole
from talweg.errors import RunFolderError, ShapeError, UsageError
from talweg.insight.curves import learning_curves
from talweg.insight.examples import largest_errors, mistakes
from talweg.insight.markup import Markup, joined, name, table, tag
from talweg.insight.scores import classification, regression, regression_score
from talweg.insight.sections import (
    classes_section,
    classification_headline,
    confusion_section,
    regression_headline,
    residuals_section,
)

TASKS = ("classification", "regression")
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
LONGEST_VALUE = 2000  # characters of one value of the configuration

Section = tuple[str, str, Markup]
"""An id, a heading, and what stands below it."""


def environment() -> dict[str, str]:
    """What a run depends on beside its configuration.

    >>> list(environment())
    ['talweg', 'python', 'numpy', 'platform', 'processor', 'CPUs']
    """
    return {
        "talweg": __version__,
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "numpy": np.__version__,
        "platform": platform.platform(),
        "processor": platform.machine(),
        "CPUs": str(_cpus()),
    }


def _cpus() -> int:
    """How many this process may use, which in a container can be fewer than the machine has."""
    if sys.platform == "linux":
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def write_report(
    path: str | os.PathLike[str],
    *,
    history: Mapping[str, Sequence[Any]],
    config: Mapping[str, Any],
    environment: Mapping[str, Any],
    task: str,
    class_names: Sequence[str] | None,
    x_test: Any,
    y_test: Any,
    predictions: Any,
    input_shape: Sequence[int],
    notes: Sequence[str] = (),
    feature_names: Sequence[str] | None = None,
    command: str | Sequence[str] | None = None,
    title: str | None = None,
) -> None:
    """Writes the page of a run to `path`, whole or not at all.

    history       for "loss", "val_loss", ..., the value at the end of each epoch, as `History.by_epoch` gives it
    task          "classification" or "regression"
    x_test        (n, *input_shape), or flattened; shown beside the mistakes
    y_test        class numbers or one-hot rows, or the numbers to be predicted
    predictions   the network's outputs: probabilities or logits, or the predicted numbers
    notes         sentences on how data was read, shown as they are
    command       how to do it again; else ``config["command"]``, where there is one

    Raises `UsageError` for another task, `DataError` or `ShapeError` for labels and predictions that do not fit, and
    `RunFolderError` where the file cannot be written; what was there before is then still there.
    """
    path = Path(path)
    page = report(
        history=history,
        config=config,
        environment=environment,
        task=task,
        class_names=class_names,
        x_test=x_test,
        y_test=y_test,
        predictions=predictions,
        input_shape=input_shape,
        notes=notes,
        feature_names=feature_names,
        command=command,
        title=title or path.resolve().parent.name or "run",
    )
    try:
        with written_whole(path) as file:
            file.write(page.encode("utf-8"))
    except OSError as error:
        raise RunFolderError(
            f"the report cannot be written to {path}: {error.strerror or error}. Make room, or choose another folder."
        ) from error


def report(
    *,
    history: Mapping[str, Sequence[Any]],
    config: Mapping[str, Any],
    environment: Mapping[str, Any],
    task: str,
    class_names: Sequence[str] | None,
    x_test: Any,
    y_test: Any,
    predictions: Any,
    input_shape: Sequence[int],
    notes: Sequence[str] = (),
    feature_names: Sequence[str] | None = None,
    command: str | Sequence[str] | None = None,
    title: str = "run",
) -> str:
    """The page as text; the arguments are those of `write_report`."""
    if task not in TASKS:
        raise UsageError(f"task must be one of {', '.join(TASKS)}; got {task!r}")
    shape = tuple(int(n) for n in input_shape)
    said = list(notes)
    judged: list[Section] = []
    if y_test is None or len(y_test) == 0:
        headline = tag(
            "p", "There was no test data, so nothing is known of how well this network does.", class_="warning"
        )
    elif len(x_test) != len(y_test):
        raise ShapeError(f"x_test has {len(x_test)} rows, y_test has {len(y_test)}")
    elif task == "classification":
        c = classification(y_test, predictions, class_names)
        said += c.notes
        headline = classification_headline(c)
        judged = [
            ("mistakes", "Mistakes" if c.wrong.any() else "Least sure", mistakes(c, x_test, shape, feature_names)),
            ("confusion", "Confusion matrix", confusion_section(c)),
            ("classes", "Each class", classes_section(c)),
        ]
    else:
        true, predicted = regression(y_test, predictions)
        scores = [regression_score(true[:, k], predicted[:, k]) for k in range(true.shape[1])]
        left_out = max(s.left_out for s in scores)
        if left_out:
            said.append(
                f"{left_out:,} of {len(true):,} predictions are NaN or infinite. They are left out of the scores."
            )
        headline = regression_headline(scores)
        judged = [
            ("errors", "Largest errors", largest_errors(true, predicted, x_test, shape, feature_names)),
            ("residuals", "Predictions and residuals", residuals_section(true, predicted)),
        ]
    sections = [
        ("curves", "Learning curves", learning_curves(history)),
        *judged,
        ("configuration", "Configuration", _settings(config, "Configuration of the run")),
        ("environment", "Environment", _settings(environment, "Environment of the run")),
        ("again", "Do it again", _again(command or config.get("command"))),
    ]
    return _page(title, headline, said, sections)


def _page(title: str, headline: Markup, notes: Sequence[str], sections: Sequence[Section]) -> str:
    style = Markup(files("talweg.insight").joinpath("report.css").read_text(encoding="utf-8"))
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("meta", name="generator", content=f"Talweg {__version__}"),
        tag("title", f"{title} · Talweg"),
        tag("style", style),
    )
    links = [tag("a", heading, href=f"#{key}") for key, heading, _ in sections]
    said = tag("ul", *[tag("li", note) for note in notes], class_="notes") if notes else None
    body = tag(
        "body",
        tag("header", tag("p", "Talweg · report of a run", class_="kicker"), tag("h1", name(title, 120))),
        tag("nav", *links, aria_label="Sections"),
        tag("main", tag("section", headline, said, aria_label="Result"), *[_section(*s) for s in sections]),
        tag("footer", f"Written by Talweg {__version__}. This page is complete: it loads nothing."),
    )
    return f"<!DOCTYPE html>\n{tag('html', head, body, lang='en')}\n"


def _section(key: str, heading: str, content: Markup) -> Markup:
    return tag("section", tag("h2", heading, id=f"{key}-heading"), content, id=key, aria_labelledby=f"{key}-heading")


# ── configuration ─────────────────────────────────────────────────────────────────────────────────────────


def _settings(settings: Mapping[str, Any], caption: str) -> Markup:
    rows = [[tag("code", name(key, 120)), _setting(value)] for key, value in _flat(settings)]
    if not rows:
        return tag("p", "Nothing was recorded.", class_="note")
    return table(["setting", "value"], rows, caption, "settings")


def _flat(settings: Mapping[str, Any], before: str = "") -> Iterator[tuple[str, Any]]:
    """{"a": {"b": 1}} as a.b = 1; lists of descriptions, such as layers, stay together."""
    for key, value in settings.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{before}{key}.")
        else:
            yield f"{before}{key}", value


def _setting(value: Any) -> Markup:
    if isinstance(value, (list, tuple)) and any(isinstance(v, (Mapping, list, tuple)) for v in value):
        lines = ",\n ".join(json.dumps(v, default=str, ensure_ascii=False) for v in value)
        return tag("details", tag("summary", f"{len(value)} entries"), tag("pre", f"[{lines}]"[: LONGEST_VALUE * 10]))
    shown = value if isinstance(value, str) else json.dumps(value, default=str, ensure_ascii=False)
    return tag("code", shown if len(shown) <= LONGEST_VALUE else f"{shown[:LONGEST_VALUE]}…")


def _again(command: Any) -> Markup:
    if not command:
        return tag("p", "The command was not recorded; the configuration above holds all that it said.")
    line = command if isinstance(command, str) else shlex.join(str(part) for part in command)
    return joined(
        [
            tag("pre", tag("code", line)),
            tag("p", "The same seed, data and version give the same numbers.", class_="note"),
        ]
    )
