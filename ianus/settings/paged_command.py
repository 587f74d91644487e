"""A command whose errors of the line name the page of the documents that explains it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click


def with_page(message: str, page: str) -> str:
    """Returns a message with the page that explains it, if it names none. page: its name for `ianus docs`."""
    if "(ianus docs " in message:
        return message
    separator = "\n" if "\n" in message else " "
    return f"{message}{separator}(ianus docs {page})"


class PagedCommand(click.Command):
    """Adds a page to each error of the line that has none yet. page: its name for `ianus docs`."""

    def __init__(self, *args: Any, page: str = "settings", **more: Any) -> None:
        super().__init__(*args, **more)
        self.page = page

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        with self._errors_with_page():
            return super().make_context(info_name, args, parent, **extra)

    def invoke(self, ctx: click.Context) -> Any:
        with self._errors_with_page():
            return super().invoke(ctx)

    @contextmanager
    def _errors_with_page(self) -> Iterator[None]:
        try:
            yield
        except click.UsageError as error:
            raise click.UsageError(with_page(error.format_message(), self.page), error.ctx) from None
