"""Which module an operator belongs to, forward and backward.

Forward: global module hooks keep a stack of qualified names.  Backward: each
autograd node made under a module gets a hook that restores the module's name
when the engine reaches the node.  Operators outside every submodule carry the
name of the root's class; the optimizer's carry ``optimizer``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from simulator.trace.export.recorder import Recorder


class ModulePaths:
    """Keeps ``recorder.module`` up to date while the root module runs."""

    def __init__(self, recorder: Recorder, root: Any) -> None:
        self._recorder = recorder
        self._root_name = type(root).__name__
        self._names = {id(module): name for name, module in root.named_modules() if name}
        self._stack: list[str] = []
        self._tagged: dict[int, Any] = {}

    @contextmanager
    def followed(self) -> Iterator[None]:
        """Follow module calls for as long as this context lasts."""
        from torch.nn.modules import module as hooks

        handles = (
            hooks.register_module_forward_pre_hook(self._enter),
            hooks.register_module_forward_hook(self._leave, always_call=True),
        )
        self._recorder.module = self._root_name
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()
            self._stack.clear()
            self._tagged.clear()

    def tag(self, results: Any) -> None:
        """Mark the autograd nodes behind ``results`` with the current module."""
        if isinstance(results, list | tuple):
            for result in results:
                self.tag(result)
            return
        pending = [getattr(results, "grad_fn", None)]
        while pending:
            node = pending.pop()
            # A node's Python wrapper is its identity only while it lives, hence the value.
            if node is None or id(node) in self._tagged:
                continue
            self._tagged[id(node)] = node
            node.register_prehook(self._restore(self._recorder.module))
            pending.extend(parent for parent, _ in node.next_functions)

    def _restore(self, path: str) -> Callable[[Any], None]:
        def hook(_gradients: Any) -> None:
            self._recorder.module = path

        return hook

    def _enter(self, module: Any, _inputs: Any) -> None:
        self._stack.append(self._recorder.module)
        self._recorder.module = self._names.get(id(module), self._recorder.module)

    def _leave(self, _module: Any, _inputs: Any, _output: Any) -> None:
        if self._stack:
            self._recorder.module = self._stack.pop()
