"""The subcommands of ``accsim``, one module each.

``simulator/commands/NAME.py`` holds ``app``, a :class:`typer.Typer`: with one command
it becomes ``accsim NAME``, with several (or a callback) ``accsim NAME SUBCOMMAND``.  A
module is imported only when its command is used or help is printed, so it keeps
pandas, numba and matplotlib inside its functions.
"""
