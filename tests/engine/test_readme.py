"""The README's examples do what they say."""

import contextlib
import io
import re
from pathlib import Path

import simulator.engine

README = Path(simulator.engine.__file__).parent / "README.md"
BLOCK = re.compile(r"^```(python|text)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_examples_print_what_is_printed_below_them():
    text = README.read_text(encoding="utf-8")
    namespace: dict[str, object] = {}
    printed, compared = "", 0
    for kind, body in BLOCK.findall(text):
        if kind == "python":
            assert not printed, f"the README does not show this output: {printed}"
            with contextlib.redirect_stdout(io.StringIO()) as output:
                exec(compile(body, str(README), "exec"), namespace)
            printed = output.getvalue()
        else:
            assert printed == body
            printed, compared = "", compared + 1
    assert compared == 3
