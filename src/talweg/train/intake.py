"""From what a user passes to `fit`, `evaluate` and `predict` to sources of checked rows for one model.

A model whose input shape is not known yet is built here, from the first data; where these turn out to be wrong, it is
as unbuilt afterwards as before (`unbuilt_on_error`).
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from talweg.errors import UsageError
from talweg.graph import Array
from talweg.train import rows as rows_
from talweg.train.labels import class_weights, labels
from talweg.train.network import by_name
from talweg.train.programs import WEIGHT, X, Y, feed
from talweg.train.rows import Rows
from talweg.train.sources import InMemory, Source, Stream, batches_of, checked_batch, is_stream, ran_out

if TYPE_CHECKING:
    from talweg.train.model import Model

USUAL_BATCH = 32


@contextmanager
def unbuilt_on_error(model: Model) -> Iterator[None]:
    """What happens within builds the model, or leaves it as it was."""
    was_built = model.built
    try:
        yield
    except BaseException:
        if not was_built:
            model.unbuild()
        raise


def taken(model: Model, x: Any, argument: str = "x") -> dict[str, Array]:
    """x as the model takes it, by the names of a program's inputs. Builds it where its input shape comes from data."""
    if not model.built:
        if not model.layers:
            raise UsageError(f"model {model.name!r} has no layers; add() some first")
        array = rows_.features(x, None, model.precision, argument)
        model.build(array.shape[1:])
        model.network.examine(model.inputs[0], array, argument)
        return {X: array}
    names = model.input_names
    found: dict[str, Array] = {}
    given = by_name(_out_of_a_list(x, model) if len(names) == 1 else x, names, argument)
    for name, placeholder in zip(names, model.inputs, strict=True):
        shown = f"{argument}[{name!r}]" if len(names) > 1 else argument
        taker = f"input {name!r}" if len(names) > 1 else f"the first layer, {_first_layer(model)!r},"
        array = rows_.features(given[name], placeholder.example_shape, model.precision, shown, taker)
        if found:
            rows_.same_length(next(iter(found.values())), array, f"{argument}[{names[0]!r}]", shown)
        model.network.examine(placeholder, array, shown)
        found[feed(X, name, names)] = array
    return found


def _out_of_a_list(x: Any, model: Model) -> Any:
    """The array in a list of one, as Keras takes it where a model has one input; a list of examples stays."""
    is_listed = isinstance(x, (list, tuple)) and len(x) == 1
    return x[0] if is_listed and len(getattr(x[0], "shape", ())) == model.inputs[0].ndim else x


def _first_layer(model: Model) -> str:
    calls = model.network.calls
    return calls[0].block.title if calls else model.input_names[0]


def rows_of(model: Model, x: Any, y: Any = None, sample_weight: Any = None, of: str = "") -> Rows:
    """Checked examples and labels. `of` is put before the arguments' names in messages: "validation "."""
    feeds = taken(model, x, f"{of}x")
    if y is None:
        raise UsageError(f"{of}y is missing: for each example there must be a label")
    first = next(iter(feeds.values()))
    names, aims = model.output_names, model.aims
    several = len(names) > 1
    wanted = [name for name, aim in zip(names, aims, strict=True) if aim.needs_labels]
    by_all = several and isinstance(y, (list, tuple)) and len(y) == len(names)
    given = by_name(y, names if by_all else wanted, f"{of}y", "output") if several else {names[0]: y}
    weights = _weights(sample_weight, names, f"{of}sample_weight")
    for name, aim, output in zip(names, aims, model.outputs, strict=True):
        if not aim.needs_labels:
            continue
        shown = f"{of}y[{name!r}]" if several else f"{of}y"
        array = rows_.as_array(given[name], shown)
        rows_.same_length(first, array, f"{of}x", shown)
        feeds[feed(Y, name, names)] = labels(array, aim.loss, output.tensor, model.precision, shown)
    for name, weight in weights.items():
        shown = f"{of}sample_weight[{name!r}]" if several else f"{of}sample_weight"
        of_each = model.outputs[names.index(name)].example_shape
        array_or_none = rows_.example_weights(weight, len(first), model.precision, shown, of_each)
        if array_or_none is not None and feed(Y, name, names) in feeds:
            feeds[feed(WEIGHT, name, names)] = array_or_none
    return Rows(feeds)


def _weights(sample_weight: Any, names: list[str], argument: str) -> dict[str, Any]:
    """The weights of examples for each output: one array for all, a list, or a dictionary that may leave some out."""
    if isinstance(sample_weight, Mapping):
        if unknown := [name for name in sample_weight if name not in names]:
            raise UsageError(f"{argument} names an output {unknown[0]!r}; the model's outputs are {', '.join(names)}")
        return {name: sample_weight.get(name) for name in names}
    one_each = isinstance(sample_weight, (list, tuple)) and any(
        w is None or hasattr(w, "__len__") for w in sample_weight
    )
    if len(names) > 1 and one_each:
        return by_name(sample_weight, names, argument, "output")
    return dict.fromkeys(names, sample_weight)


def by_class(model: Model, rows: Rows, class_weight: Any) -> Rows:
    """The rows, each counting what its class counts."""
    if class_weight is None:
        return rows
    if len(model.output_names) > 1:
        raise UsageError("class_weight is for models with one output; give sample_weight, a list with one for each")
    return rows.weighted(class_weights(rows.feeds[Y], class_weight, model.outputs[0].example_shape, model.precision))


def training_source(
    model: Model,
    data: tuple[Any, Any, Any],
    batch_size: int | None,
    shuffle: bool,
    class_weight: Any,
    validation_split: float,
    steps: int | None,
) -> tuple[Source, Rows | None]:
    """What `fit` trains on, and the rows that it keeps for validation."""
    x, y, sample_weight = data
    if is_stream(x):
        _nothing_beside(x, y=y, sample_weight=sample_weight)
        if validation_split:
            raise UsageError("validation_split needs arrays; give validation_data beside a data set of batches")

        def check(x: Any, y: Any = None, weight: Any = None) -> Rows:
            return by_class(model, rows_of(model, x, y, weight), class_weight)

        return Stream(x, check, steps, "x", "steps_per_epoch"), None
    rows, kept = _split(rows_of(model, x, y, sample_weight), validation_split)
    size = _size(len(rows), batch_size, steps)
    return InMemory(by_class(model, rows, class_weight), size, shuffle, steps), kept


def evaluation_source(
    model: Model,
    data: tuple[Any, Any, Any],
    batch_size: int | None,
    steps: int | None,
    of: str = "",
    limit: str = "steps",
) -> Source:
    """What `evaluate`, or the validation within a `fit`, measures."""
    x, y, sample_weight = data
    if is_stream(x):
        _nothing_beside(x, y=y, sample_weight=sample_weight)

        def check(x: Any, y: Any = None, weight: Any = None) -> Rows:
            return rows_of(model, x, y, weight, of)

        return Stream(x, check, steps, "validation_data" if of else "x", limit, anew=True)
    return _first(rows_of(model, x, y, sample_weight, of), batch_size, steps, limit)


def validation_source(model: Model, data: Any, batch_size: int | None, steps: int | None) -> Source | None:
    """`validation_data` in any of its forms: rows kept by a split, (x, y), (x, y, sample_weight), or a stream."""
    if data is None:
        return None
    if isinstance(data, Rows):
        return _first(data, batch_size, steps, "validation_steps")
    if not is_stream(data):
        if not isinstance(data, (tuple, list)) or len(data) not in (2, 3):
            size = f" of {len(data)}" if isinstance(data, (tuple, list)) else ""
            raise UsageError(
                f"validation_data must be (x, y), (x, y, sample_weight) or a data set of batches; "
                f"got a {type(data).__name__}{size}"
            )
        return evaluation_source(model, (*data, None)[:3], batch_size, steps, "validation ", "validation_steps")
    return evaluation_source(model, (data, None, None), batch_size, steps, "validation ", "validation_steps")


def prediction_pieces(
    model: Model, x: Any, batch_size: int | None, steps: int | None
) -> tuple[int | None, int | None, Iterable[Rows]]:
    """How many batches, if that is known, how long they are, and the examples: all at once, or batch by batch."""
    if not is_stream(x):
        rows = Rows(taken(model, x))
        size = _size(len(rows), batch_size, steps)
        source = _first(rows, size, steps, "steps")
        return steps or source.steps, size, [visit.rows for visit in source.epoch(0, 0)]
    return steps, None, _checked_pieces(model, x, steps)


def _checked_pieces(model: Model, x: Any, steps: int | None) -> Iterator[Rows]:
    def check(x: Any, y: Any = None, weight: Any = None) -> Rows:
        return Rows(taken(model, x))

    number = -1
    for number, batch in enumerate(batches_of(x) if steps is None else itertools.islice(batches_of(x), steps)):
        yield checked_batch(check, batch, f"batch {number} of x")
    if steps is not None and number + 1 < steps:
        ran_out("x", number + 1, steps, "steps")


def _size(rows: int, batch_size: int | None, steps: int | None) -> int:
    """How long a batch is. Where only their number is given, as long as it takes for all rows, as in Keras."""
    return batch_size or (USUAL_BATCH if steps is None else -(-rows // steps))


def _first(rows: Rows, batch_size: int | None, steps: int | None, limit: str) -> InMemory:
    """The rows in their order, or so many batches of them."""
    batch_size = _size(len(rows), batch_size, steps)
    source = InMemory(rows if steps is None else rows.part(0, steps * batch_size), batch_size)
    if steps is not None and source.steps < steps:
        ran_out("x" if limit == "steps" else "validation_data", source.steps, steps, limit)
    return source


def _split(rows: Rows, part: float) -> tuple[Rows, Rows | None]:
    """The rows without the last part of them, and that part."""
    if not part:
        return rows, None
    at = int(len(rows) * (1 - part))
    if at in (0, len(rows)):
        raise UsageError(f"validation_split={part} of {len(rows)} examples leaves one part empty")
    return rows.part(0, at), rows.part(at, len(rows))


def _nothing_beside(stream: Any, **arguments: Any) -> None:
    for name, value in arguments.items():
        if value is not None:
            raise UsageError(
                f"{name} must not be given beside a {type(stream).__name__}, which gives batches of (x, y) or "
                "(x, y, sample_weight)"
            )
