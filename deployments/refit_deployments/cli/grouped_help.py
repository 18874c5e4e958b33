"""`refit --help`: the commands in sections by their use, each with a whole phrase that is never cut."""

from __future__ import annotations

from typing import TYPE_CHECKING

from typer.core import TyperCommand, TyperGroup

if TYPE_CHECKING:
    from typer._click import Context, HelpFormatter


class GroupedCommands(TyperGroup):
    """The group of all commands, listed by the section that each was registered with."""

    def format_commands(self, ctx: Context, formatter: HelpFormatter) -> None:
        """Writes the sections in the order in which they were registered.

        Args:
            ctx: The command line.
            formatter: The help page.
        """
        sections: dict[str, list[tuple[str, str]]] = {}
        names = self.list_commands(ctx)
        width = max(map(len, names))
        for name in names:
            command = self.get_command(ctx, name)
            if isinstance(command, TyperCommand | TyperGroup) and not command.hidden:
                phrase = (command.help or "").partition("\n")[0].removesuffix(".")
                sections.setdefault(str(command.rich_help_panel), []).append((name.ljust(width), phrase))
        for title, rows in sections.items():
            with formatter.section(title):
                formatter.write_dl(rows)
