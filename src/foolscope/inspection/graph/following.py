"""Follows one forward pass of any model: which layer or operation computes which tensor from which others."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

__all__ = ["Kind", "Step", "followed"]

Kind = Literal["input", "parameter", "layer", "operation", "loss"]
_SIGNS = {"add": "+", "sub": "−", "mul": "×", "div": "÷", "truediv": "÷", "matmul": "@"}
_CONTAINERS = (nn.Sequential, nn.ModuleList, nn.ModuleDict, nn.ParameterList, nn.ParameterDict)


@dataclass(frozen=True)
class Step:
    """A layer or operation that computed tensors.

    Args:
        name: path of the layer in the model, or of the layer that an operation is in.
        kind: what it is.
        operation: class of the layer, or name of the operation.
        outputs: its results; nothing overwrites them.
        ways: step that made an input, and that input on its way here; ``None`` where the input cannot be told
            from its other uses, as a parameter in a layer.
    """

    name: str
    kind: Kind
    operation: str
    outputs: tuple[Tensor, ...]
    ways: tuple[tuple[int, Tensor | None], ...] = ()


@dataclass(frozen=True)
class _Handed:
    """An input of a step: the tensor that the model has, its way to the step, and what the step gets.

    One that nothing known has made, such as zeros to be written into, has no source and is given as it is.
    """

    source: int | None
    held: Tensor
    way: Tensor
    given: Tensor
    version: int

    @property
    def written(self) -> bool:
        """Whether the step has overwritten it."""
        return self.given._version > self.version


@dataclass
class _Notes:
    """What has been seen so far; tensors are known by identity and kept, so that none takes another's."""

    names: dict[int, str]
    steps: list[Step] = field(default_factory=list)
    made: dict[int, tuple[int, Tensor]] = field(default_factory=dict)
    modules: list[str] = field(default_factory=list)
    whole: int = 0  # within a layer that counts as one

    def source(self, tensor: Tensor) -> int | None:
        """Return the step that made a tensor; a parameter is one of its own from its first use on."""
        if id(tensor) in self.made:
            return self.made[id(tensor)][0]
        if id(tensor) not in self.names:
            return None
        name = self.names[id(tensor)]
        self.made[id(tensor)] = (len(self.steps), tensor)
        self.steps.append(Step(name, "parameter", name.rpartition(".")[2], (tensor,)))
        return self.made[id(tensor)][0]

    def handed(self, value: Any, into: list[_Handed]) -> Any:
        """Return a copy of every tensor whose origin is known, whose way here is a tensor of its own."""
        if isinstance(value, Tensor):
            if not value.is_floating_point():
                return value
            source = self.source(value)
            if source is None:
                into.append(_Handed(None, value, value, value, value._version))
            else:
                way = value.clone()
                into.append(_Handed(source, value, way, way.clone(), 0))
            return into[-1].given
        return _mapped(value, lambda each: self.handed(each, into))

    def note(
        self, step: tuple[str, Kind, str], inputs: list[_Handed], parameters: list[int], result: Any
    ) -> Any:
        """Record a step; return its results as copies that the model may overwrite."""
        ways: list[tuple[int, Tensor | None]] = [
            (each.source, each.way) for each in inputs if each.source is not None
        ]
        ways += [(each, None) for each in parameters]
        if not ways:
            return result
        outputs: dict[int, Tensor] = {}
        copies: list[Tensor] = []

        def kept(value: Any) -> Any:
            if not isinstance(value, Tensor):
                return _mapped(value, kept)
            if not value.is_floating_point():
                return value
            copies.append(outputs.setdefault(id(value), value.clone()).clone())
            return copies[-1]

        copied = kept(result)
        for each in inputs:
            if each.written:  # so is what the model holds; x[0] = y does that and returns nothing
                if each.source is None and each.held._is_view():
                    raise ValueError("it writes into a part of a tensor")
                each.held.copy_(outputs.setdefault(id(each.given), each.given.clone()))
                copies.append(each.held)
        if not outputs:
            return result
        position = len(self.steps)
        self.steps.append(Step(*step, tuple(outputs.values()), tuple(ways)))
        self.made |= {id(copy): (position, copy) for copy in copies}
        return copied


class _Operations(TorchFunctionMode):
    """Records every operation outside of layers."""

    def __init__(self, notes: _Notes) -> None:
        super().__init__()
        self.notes = notes

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        """Run an operation and record it."""
        notes, named = self.notes, kwargs or {}
        name = _name_of(func)
        if notes.whole or name.startswith("new_") or name.endswith("_like"):  # of its shape, not its values
            return func(*args, **named)
        inputs: list[_Handed] = []
        args, named = notes.handed(args, inputs), notes.handed(named, inputs)
        result = func(*args, **named)
        where = notes.modules[-1] if notes.modules else ""
        return notes.note((where, "operation", name), inputs, [], result)


def followed(
    model: nn.Module, images: Tensor, level: int | None = None
) -> tuple[Tensor, int | None, list[Step]]:
    """Run a model and record its steps in order.

    Its code runs as it is, branches and loops included. A layer is a module without parts, or any of
    PyTorch's own; operations between layers are steps too. Modules at the depth ``level`` (1: the model's
    children) count as one layer with all they have. The model has hooks meanwhile.

    Returns:
        What the model returned; which step made it, ``None`` if none did; and the steps, each after those
        that made its inputs.
    """
    notes = _Notes({id(parameter): name for name, parameter in model.named_parameters()})
    notes.steps.append(Step("images", "input", "images", (images,)))
    entering = images.clone()
    notes.made[id(entering)] = (0, entering)
    with _layers_noted(model, notes, level), _Operations(notes):
        logits: Tensor = model(entering)
    return logits, notes.source(logits), notes.steps


@contextmanager
def _layers_noted(model: nn.Module, notes: _Notes, level: int | None) -> Iterator[None]:
    """Let the modules of a model tell when they begin and end."""
    running: list[list[_Handed]] = []

    def begin_layer(module: nn.Module, args: Any, kwargs: Any) -> Any:
        notes.whole += 1
        if notes.whole > 1:
            return None
        running.append([])
        return notes.handed(args, running[-1]), notes.handed(kwargs, running[-1])

    def end_layer(name: str) -> Callable[..., Any]:
        def end(module: nn.Module, args: Any, kwargs: Any, output: Any) -> Any:
            if notes.whole > 1:
                notes.whole -= 1
                return None
            own = [notes.source(each) for each in module.parameters() if each.is_floating_point()]
            parameters = [each for each in own if each is not None]
            noted = notes.note((name, "layer", type(module).__name__), running.pop(), parameters, output)
            notes.whole -= 1
            return noted

        return end

    def begin_group(name: str) -> Callable[..., None]:
        return lambda *unused: notes.modules.append(name)

    def end_group(*unused: Any) -> None:
        notes.modules.pop()

    with ExitStack() as hooks:
        for name, module in model.named_modules():
            deep = level is not None and bool(name) and name.count(".") + 1 >= level
            one = deep or _is_layer(name, module)
            begin, end = (begin_layer, end_layer(name)) if one else (begin_group(name), end_group)
            hooks.callback(module.register_forward_pre_hook(begin, with_kwargs=True).remove)
            hooks.callback(module.register_forward_hook(end, with_kwargs=True).remove)
        yield


def _is_layer(name: str, module: nn.Module) -> bool:
    """Tell whether a module is one of PyTorch's own that holds no others, or a part without parts."""
    if type(module).__module__.startswith("torch.nn.modules.") and not isinstance(module, _CONTAINERS):
        return True
    return bool(name) and not any(True for _ in module.children())


def _mapped(value: Any, function: Callable[[Any], Any]) -> Any:
    """Apply a function to what is in tuples, lists and dictionaries; other things stay as they are."""
    if type(value) in (tuple, list):
        return type(value)(function(each) for each in value)
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*(function(each) for each in value))
    if type(value) is dict:
        return {key: function(each) for key, each in value.items()}
    return value


def _name_of(function: Callable[..., Any]) -> str:
    name = getattr(function, "__name__", type(function).__name__)
    if name == "__get__":  # a property, such as x.mT
        name = getattr(getattr(function, "__self__", None), "__name__", name)
    name = name.partition(".")[0].strip("_")
    if name not in _SIGNS and name[:1] in ("i", "r") and name[1:] in _SIGNS:  # __iadd__, __radd__
        name = name[1:]
    return _SIGNS.get(name, name)
