"""The commands `zoo list`, `zoo fit` and `zoo add`."""

from __future__ import annotations

import argparse
import dataclasses
import pathlib
from collections.abc import Collection, Mapping
from typing import Any

from zoo import recipes
from zoo.api import add, fit, fitted as stored, learn
from zoo.cli import flags, help as help_
from zoo.data import learning
from zoo.train import execution

# flags of training that change the programs
EXECUTION_OF_PROGRAMS = ("mesh", "accumulate", "average", "remat", "skip")
KINDS = {"text": "search", "history": "recommendation"}  # by what a system asks for


def list_command(commands: Any) -> None:
    added = flags.command(
        commands, "list", "the systems and their papers", "zoo list --options", list_systems
    )
    added.add_argument(
        "--options",
        action="store_true",
        help="with every option: type, accepted values, help, and the value in each size",
    )


def list_systems(parsed: argparse.Namespace) -> None:
    """Prints each system: task, paper and sizes, and its options if asked for."""
    for name in recipes.names():
        recipe = recipes.get(name)
        print(f"{name} ({KINDS[recipe.asks]})")
        print(f"    {recipe.paper}\n    sizes: {', '.join(recipe.presets)}")
        if parsed.options:
            print("\n".join(help_.recipe_options(recipe)))


def fit_command(commands: Any) -> None:
    added = flags.command(
        commands,
        "fit",
        "fit a system to a collection; if interrupted, repeat the command to resume",
        "zoo fit dsi --data pydocs --size small --set steps=2000 --out runs/dsi",
        fit_system,
        help_action=help_.SystemHelp,
    )
    added.add_argument("recipe", metavar="RECIPE", help=", ".join(recipes.names()))
    flags.data(added)
    added.add_argument(
        "--size", default="small", choices=recipes.SIZES, help="preset (default: small)"
    )
    flags.settings(added, "change an option of the preset; repeatable")
    flags.seed(added)
    flags.out(added, "a new folder, or the folder of the same fit, interrupted")
    added.add_argument(
        "--learn",
        default=learning.KINDS[0],
        choices=learning.KINDS,
        help="train+dev learns from dev too, to be evaluated on test; all learns from everything, "
        "for use (default: train)",
    )
    added.add_argument(
        "--init-from",
        metavar="DIR",
        help="initial weights: a folder with T5's (safetensors or a t5x checkpoint) and its "
        "tokenizer, or an earlier fit",
    )
    group = added.add_argument_group("execution, the same for every system that trains")
    execution_flags(group)
    group.add_argument(
        "--processes",
        metavar="auto|ADDRESS:PORT,NUMBER,COUNT",
        help="join a training run by several processes; start each with the same command",
    )


def fit_system(parsed: argparse.Namespace) -> None:
    """Fits a system and prints what it was fitted to."""
    fields = dataclasses.fields(execution.Execution)
    executed = {field.name: getattr(parsed, field.name) for field in fields}
    if parsed.processes:
        from zoo.train import processes

        processes.start(parsed.processes)
    fitted = fit.fit(
        parsed.recipe,
        parsed.data,
        size=parsed.size,
        options=flags.options_of(parsed),
        seed=parsed.seed,
        learn=parsed.learn,
        inputs={} if parsed.init_from is None else {fit.WEIGHTS: parsed.init_from},
        out=parsed.out,
        **executed,
    )
    about = fitted.about
    if "num_users" in about:
        print(_events(about))
    learned = "" if parsed.learn == "train" else f", learning from {parsed.learn}"
    parameters = f", {about['parameters']:,} parameters" if about["parameters"] else ""
    print(
        f"{parsed.out}: {fitted.name} fitted to {about['num_documents']} documents of "
        f"{about['collection']}{learned} in {about['seconds']:.0f} s{parameters}"
    )


def add_command(commands: Any) -> None:
    added = flags.command(
        commands,
        "add",
        "add documents to a fitted system, which names them, or learns them too (--by)",
        "zoo add runs/genret later --out runs/genret-more",
        add_documents,
    )
    flags.folder(added)
    added.add_argument(
        "documents", metavar="NAME|PATH", help="a collection, of which only the documents are read"
    )
    added.add_argument(
        "--by",
        default=learn.INDEX,
        choices=learn.WAYS,
        help="index names them, without training; edit changes the decoder in closed form; "
        "continue trains on queries made of them and replayed ones (default: index)",
    )
    flags.fitted_data(added)
    flags.settings(added, "change an option of edit or continue; repeatable")
    flags.seed(added)
    flags.out(added)


def add_documents(parsed: argparse.Namespace) -> None:
    """Adds documents and writes the larger system to a new folder."""
    from zoo.data import atomic

    atomic.refuse_occupied(parsed.out)  # not even an unfinished fit
    after = learn.learn(
        stored.load(parsed.folder),
        parsed.documents,
        by=parsed.by,
        data=parsed.data,
        options=flags.options_of(parsed),
        seed=parsed.seed,
    )
    stored.save(after, parsed.out)
    count = after.about["changes"][-1]["added"]
    print(
        f"{parsed.out}: {after.name} with {count} documents more than {parsed.folder}, "
        f"{after.about['num_documents']} in all; {learn.sentence(after)}"
    )


def remove_command(commands: Any) -> None:
    added = flags.command(
        commands,
        "remove",
        "remove documents from a fitted system; the others keep their identifiers",
        "zoo remove runs/genret d3 d17 --out runs/genret-less",
        remove_documents,
    )
    flags.folder(added)
    added.add_argument("ids", nargs="*", metavar="ID", help="ids of documents")
    added.add_argument("--ids", dest="ids_file", metavar="FILE", help="a document id per line")
    flags.out(added)


def remove_documents(parsed: argparse.Namespace) -> None:
    """Removes documents and writes the smaller system to a new folder."""
    from zoo.data import atomic

    atomic.refuse_occupied(parsed.out)  # not even an unfinished fit
    ids = list(parsed.ids)
    if parsed.ids_file is not None:
        lines = pathlib.Path(parsed.ids_file).read_text(encoding="utf-8").splitlines()
        ids += [line for line in lines if line]
    after = add.remove(stored.load(parsed.folder), ids)
    stored.save(after, parsed.out)
    print(
        f"{parsed.out}: {after.name} without {after.about['changes'][-1]['removed']} documents of "
        f"{parsed.folder}, {after.about['num_documents']} left"
    )


def execution_flags(group: argparse._ArgumentGroup, names: Collection[str] | None = None) -> None:
    """A flag per field of `Execution`, or per field of `names`."""
    for field in dataclasses.fields(execution.Execution):
        if names is not None and field.name not in names:
            continue
        about = field.metadata["about"]
        if isinstance(field.default, bool):
            group.add_argument(f"--{field.name}", action="store_true", help=about)
            continue
        default = field.metadata["none"] or field.default
        group.add_argument(
            f"--{field.name}",
            type=type(field.default),
            default=field.default,
            metavar=field.metadata["metavar"],
            help=f"{about} (default: {default})",
        )


def _events(about: Mapping[str, Any]) -> str:
    """One line on the users and events that a system was fitted to."""
    notes = [
        (about["tied_events"], "at the same time as another of their user, in file order"),
        (about["repeated_events"], "with an item that their user had before"),
    ]
    left_out = about["users_left_out"]
    short = f" ({left_out:,} left out for fewer than 3 events)" if left_out else ""
    events = max(1, about["num_events"])
    noted = "".join(f"; {count:,} ({count / events:.1%}) {what}" for count, what in notes if count)
    return f"{about['num_users']:,} users{short}, {about['num_events']:,} events{noted}"
