"""How the help of every command looks: what it needs, then groups of options, then examples."""

import argparse
import re
from collections.abc import Iterable, Mapping

from sr_runtime import __version__
from sr_runtime.cli.console import DEBUG

__all__ = ["HelpFormatter", "add_general_options", "examples_text"]


class HelpFormatter(argparse.HelpFormatter):
    """The usage shows what a command needs, as one types it, and not all of its options again."""

    def add_usage(
        self,
        usage: str | None,
        actions: Iterable[argparse.Action],
        groups: Iterable[argparse._MutuallyExclusiveGroup],
        prefix: str | None = None,
    ) -> None:
        """Show `INPUT -o OUT [options]`, or `[options] COMMAND` for a program."""
        actions = list(actions)
        shown = [action for action in actions if not action.option_strings]
        options = [action for action in actions if action.option_strings]
        has_commands = any(isinstance(action, argparse._SubParsersAction) for action in shown)
        for option in options:
            if option.required:
                words = f"{option.option_strings[0]} {self._format_args(option, option.dest)}"
                shown.append(argparse.Action([], option.dest, metavar=words))
        if options:
            rest = argparse.Action([], "options", nargs=argparse.OPTIONAL)
            shown.insert(0 if has_commands else len(shown), rest)
        super().add_usage(usage, shown, [], prefix)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        """Wrap paragraphs, but not examples, which are indented."""
        fill = super()._fill_text
        parts = text.rstrip().split("\n\n")
        return "\n\n".join(
            part if re.search("^ ", part, re.M) else fill(part, width, indent) for part in parts
        )

    def _format_action(self, action: argparse.Action) -> str:
        """Show commands without a line above them that only says COMMAND."""
        if isinstance(action, argparse._SubParsersAction):
            return "".join(map(self._format_action, action._get_subactions()))
        return super()._format_action(action)


def add_general_options(parser: argparse.ArgumentParser) -> argparse._ArgumentGroup:
    """Add what every command has; return the group, which the help shows last."""
    group = parser.add_argument_group("general")
    group.add_argument("-h", "--help", action="help", help="show this help")
    group.add_argument("--version", action="version", version=__version__, help="show the version")
    group.add_argument(  # only shown here: `run_cli` takes it from the command line beforehand
        DEBUG, action="store_true", default=argparse.SUPPRESS,
        help="show the traceback of an error (or set SR_DEBUG=1)",
    )  # fmt: skip
    return group


def examples_text(program: str, examples: Mapping[str, str]) -> str:
    """Command lines of `program`, each with a comment, which may be empty."""
    commands = {f"{program} {words}".rstrip(): comment for words, comment in examples.items()}
    width = max((len(command) for command, comment in commands.items() if comment), default=0)
    lines = (
        f"  {command:<{width}}  # {comment}" if comment else f"  {command}"
        for command, comment in commands.items()
    )
    return "\n".join(("examples:", *lines))
