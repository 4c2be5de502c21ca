"""A copy of a network in which everything is linear and positive, for SynFlow.

All parameters become their absolute values, biases zero. Softmax, gates, normalisation and
activations give way to sums, so that what flows into a unit flows out of it: the sum of w dR/dw
over a unit's incoming weights is that over its outgoing ones (Tanaka et al. 2020, theorem 1).

- An embedding takes a one for every token of its table (the pad row apart); positions add nothing.
- Attention adds query, mean key and mean value: all four projections carry flow.
- A frozen BERT puts out ones; an attention to it and the one beside it add halves.
- A LSTM's cell adds its input, forget and cell gates, and its output gate is added to the cell.

A normalised copy divides what each matrix puts out by its mean, as a constant: what meets in a sum
is of one size, whatever lies before it, and flow is conserved as before. In a chain of layers this
changes the unit of R alone. A gate for each matrix multiplies what it puts out: by one, so that
dR/dgate is what flows along the paths through the matrix.
"""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

Passes = Callable[[Tensor, Tensor], Tensor]  # of a matrix and what it puts out, what is passed on


def linear_copy(model: nn.Module) -> nn.Module:
    """The linearised copy, in float64 and on the model's device; the model is not touched.

    Modules are known by what they have, so that no library but torch is needed: fairseq's
    Transformer and LSTM families, and models of plain torch modules.
    """
    return _linearise(copy.deepcopy(model), lambda _, x: x)


def normalised_copy(model: nn.Module) -> tuple[nn.Module, list[Tensor]]:
    """A :func:`linear_copy`, normalised, and the gates of its matrices; tied ones share a gate."""
    linear = copy.deepcopy(model)
    gates: dict[Tensor, Tensor] = {
        weight: torch.ones((), dtype=torch.float64, device=weight.device, requires_grad=True)
        for weight in linear.parameters()
        if weight.dim() > 1
    }

    def passes(weight: Tensor, x: Tensor) -> Tensor:
        mean = x.detach().mean()
        # a mean of zero where masks or a first state let nothing by
        return gates[weight] * x / torch.where(mean > 0, mean, 1.0)

    return _linearise(linear, passes), list(gates.values())


def _linearise(linear: nn.Module, passes: Passes) -> nn.Module:
    linear.double().eval()
    with torch.no_grad():
        for name, parameter in linear.named_parameters():
            is_bias = parameter.dim() < 2 or name.rsplit(".", 1)[-1].startswith("bias")
            parameter.copy_(torch.zeros_like(parameter) if is_bias else parameter.abs())
    for module in linear.modules():
        forward = _linear_forward(module, passes)
        if forward is not None:
            module.forward = forward
        if callable(getattr(module, "activation_fn", None)):
            vars(module)["activation_fn"] = _same
        if getattr(module, "can_use_fastpath", False):
            module.can_use_fastpath = False  # type: ignore[assignment]
    return linear


def _same(x: Any, *_: Any, **__: Any) -> Any:
    return x


def _linear_forward(module: nn.Module, passes: Passes) -> Callable[..., Any] | None:
    kind = type(module).__name__
    if "LayerNorm" in kind or kind in ("Tanh", "Sigmoid", "GELU", "ReLU", "Softmax"):
        return _same
    if "PositionalEmbedding" in kind:
        return lambda tokens, *_, **__: torch.zeros((), dtype=torch.float64, device=tokens.device)
    if isinstance(module, nn.Embedding):
        return lambda tokens: passes(module.weight, _table(module, tokens))
    if isinstance(module, nn.Linear):
        product = module.forward
        return lambda x: passes(module.weight, product(x))
    if isinstance(module, nn.LSTM):
        return lambda x, state=None: _lstm(module, x, state, passes)
    if isinstance(module, nn.LSTMCell):
        return lambda x, state=None: _cell(x, state, *_cell_weights(module), passes)
    if kind == "BertFeatures":
        return lambda pieces: (_ones(module, pieces), None)
    if hasattr(module, "bert_attn"):
        return lambda query, key, value, mask=None, **rest: _fused(
            module, query, key, value, rest.get("key_padding_mask", mask)
        )
    if all(hasattr(module, part) for part in ("q_proj", "k_proj", "v_proj", "out_proj")):
        return lambda query, key=None, value=None, **_: _attention(module, query, key, value)
    if hasattr(module, "input_proj") and hasattr(module, "output_proj"):
        return lambda x, hidden, mask: _dot_attention(module, x, hidden)
    if kind == "DotAttention":
        return lambda x, hidden, mask: _plain_dot_attention(module, x, hidden)
    return None


def _table(module: nn.Embedding, tokens: Tensor) -> Tensor:
    rows = module.weight.sum(dim=0)
    if module.padding_idx is not None:
        rows = rows - module.weight[module.padding_idx]
    return rows.expand(*tokens.shape, -1)


def _attention(module: Any, query: Tensor, key: Any, value: Any) -> tuple[Tensor, None]:
    """(time, batch, width) in and out."""
    key = query if key is None else key
    value = key if value is None else value
    mixed = (module.k_proj(key) + module.v_proj(value)).mean(dim=0, keepdim=True)
    return module.out_proj(module.q_proj(query) + mixed), None


def _fused(module: Any, query: Tensor, key: Tensor, value: Tensor, mask: Any) -> Any:
    """As :func:`_attention`; what BERT puts out comes where padding is told elsewhere."""
    own, _ = _attention(module, query, key, value)
    bert, _ = module.bert_attn(query, mask.features, mask.features)
    return (own + bert) / 2, None


def _ones(module: Any, pieces: Tensor) -> Tensor:
    """(pieces, batch, width)."""
    return torch.ones((*pieces.T.shape, module.width), dtype=torch.float64, device=pieces.device)


def _dot_attention(module: Any, x: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
    """fairseq's LSTM attention: x (batch, width), hidden (time, batch, width)."""
    context = hidden.mean(dim=0) + module.input_proj(x)
    scores = x.new_full((hidden.shape[0], x.shape[0]), 1.0 / hidden.shape[0])
    return module.output_proj(torch.cat((context, x), dim=1)), scores


def _plain_dot_attention(module: Any, x: Tensor, hidden: Tensor) -> tuple[Tensor, Tensor]:
    """That of see2016_lstm: x (batch, words, width), hidden (time, batch, width)."""
    context = hidden.mean(dim=0).unsqueeze(1).expand_as(x)
    scores = x.new_full((*x.shape[:2], hidden.shape[0]), 1.0 / hidden.shape[0])
    return module.output_proj(torch.cat((context, x), dim=2)), scores


def _cell_weights(module: Any, suffix: str = "") -> tuple[Tensor, Tensor]:
    return getattr(module, "weight_ih" + suffix), getattr(module, "weight_hh" + suffix)


def _cell(
    x: Tensor, state: Any, w_ih: Tensor, w_hh: Tensor, passes: Passes
) -> tuple[Tensor, Tensor]:
    width = w_hh.shape[1]
    hidden, cell = state if state is not None else (x.new_zeros(x.shape[0], width),) * 2
    gates = passes(w_ih, x @ w_ih.T) + passes(w_hh, hidden @ w_hh.T)
    i, f, g, o = gates.split(width, dim=1)
    cell = cell + i + f + g
    return cell + o, cell


def _lstm(module: nn.LSTM, x: Any, state: Any, passes: Passes) -> Any:
    """As nn.LSTM, time first: (time, batch, width), packed or not."""
    packed = isinstance(x, PackedSequence)
    lengths = None
    if packed:
        x, lengths = pad_packed_sequence(x)
    directions = 2 if module.bidirectional else 1
    hiddens, cells = [], []
    for layer in range(module.num_layers):
        outputs = []
        for direction in range(directions):
            w_ih, w_hh = _cell_weights(module, f"_l{layer}" + "_reverse" * direction)
            place = layer * directions + direction
            last = None if state is None else (state[0][place], state[1][place])
            steps = []
            for step in x.flip(0) if direction else x:
                last = _cell(step, last, w_ih, w_hh, passes)
                steps.append(last[0])
            outputs.append(torch.stack(steps).flip(0) if direction else torch.stack(steps))
            assert last is not None
            hiddens.append(last[0])
            cells.append(last[1])
        x = torch.cat(outputs, dim=2)
    if packed:
        assert lengths is not None
        x = pack_padded_sequence(x, lengths, enforce_sorted=False)
    return x, (torch.stack(hiddens), torch.stack(cells))
