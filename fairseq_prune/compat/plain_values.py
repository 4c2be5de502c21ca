"""The values that a config may spell as text, such as ``[(512, 3)] * 20``, without ``eval``."""

import ast
import operator
from collections.abc import Callable
from typing import Any

_OPERATORS: dict[type[ast.AST], Callable[..., Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.USub: operator.neg,
    ast.UAdd: operator.pos,
}


def plain_value(text: Any) -> Any:
    """Returns what ``eval(text)`` returns, for constants, containers of them and arithmetic.

    Raises:
        ValueError: the text is anything else: a name, a call, an attribute, no expression at all.
    """
    try:
        return _value(ast.parse(str(text).strip(), mode="eval").body)
    except (SyntaxError, TypeError, ValueError, RecursionError, ZeroDivisionError):
        raise ValueError(
            f"the option {text!r} is not a plain value; write numbers, strings, True, False, None, "
            "lists, tuples and dicts of these, joined by + - * /."
        ) from None


def _value(node: ast.AST) -> Any:
    match node:
        case ast.Constant(value):
            return value
        case ast.List(items):
            return [_value(item) for item in items]
        case ast.Tuple(items):
            return tuple(_value(item) for item in items)
        case ast.Dict(keys, values) if None not in keys:
            return {_value(k): _value(v) for k, v in zip(keys, values, strict=True) if k}
        case ast.BinOp(left, op, right) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](_value(left), _value(right))
        case ast.UnaryOp(op, operand) if type(op) in _OPERATORS:
            return _OPERATORS[type(op)](_value(operand))
    raise ValueError
