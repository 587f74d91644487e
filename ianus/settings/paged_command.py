"""A command whose errors of the line name the page of the documents that explains it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click


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
            message = error.format_message()
            if "(ianus docs " in message:
                raise
            separator = "\n" if "\n" in message else " "
            raise click.UsageError(f"{message}{separator}(ianus docs {self.page})", error.ctx) from None
