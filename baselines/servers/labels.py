"""Labels of a server become labels of the task: by name, or as the user maps them, and never by position."""

from collections.abc import Mapping, Sequence

from baselines.servers.protocols.base import InvalidAnswer, ServerLabel


class UnknownLabel(InvalidAnswer):
    """A label that is none of the task's; `remedy` is how the user maps it."""

    def __init__(self, message: str, remedy: str) -> None:
        super().__init__(message)
        self.remedy = remedy


class LabelColumns:
    """The column of a task's label for each label of a server.

    A server's name for a label is the task's, or the same but for case, blanks and hyphens. `mapped` holds
    what the user named, and comes first. A column without a name is known only there.
    """

    def __init__(self, labels: Sequence[str], mapped: Mapping[str, str]) -> None:
        self._labels = tuple(labels)
        self._columns: dict[ServerLabel, int] = {label: column for column, label in enumerate(labels)}
        plain = {_plain(label): column for column, label in enumerate(labels)}
        self._plain = plain if len(plain) == len(labels) else {}
        for name, label in mapped.items():
            column = self._labels.index(label)
            self._columns[name] = column
            if name.isascii() and name.isdecimal():
                self._columns[int(name[:18])] = column

    def column(self, label: ServerLabel) -> int:
        """Return the column of a server's label; UnknownLabel where there is none."""
        column = self._columns.get(label)
        if column is None and isinstance(label, str):
            column = self._plain.get(_plain(label))
        if column is None:
            raise self._unknown(label)
        return column

    def _unknown(self, label: ServerLabel) -> UnknownLabel:
        shown = f"column {label}, without a name," if isinstance(label, int) else f"the label {label[:80]!r}"
        message = f"it answered {shown} and the task has {', '.join(self._labels)}"
        return UnknownLabel(message, f"Map each by its name: --system-labels {self._example(label)}.")

    def _example(self, label: ServerLabel) -> str:
        """Return a mapping from names like this one; which is which, only the user knows."""
        number = str(label).rpartition("_")[2]
        prefix = str(label).removesuffix(number) if number.isdecimal() else "NAME_"
        return ",".join(f"{prefix}{place}={name}" for place, name in enumerate(self._labels))


def _plain(name: str) -> str:
    return name.strip().casefold().replace(" ", "_").replace("-", "_")
