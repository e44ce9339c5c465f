"""The network of the phone head, and how it is fitted to speech."""

import math
import time

import numpy as np
from language import SYMBOLS
from sound import FRAMES_PER_SECOND, generator, session

FEATURES = 288


def hours(data):
    return sum(len(item[0]) for item in data) / FRAMES_PER_SECOND / 3600


def network(width=192, blocks=2, dropout=0.0):
    """LayerNorm, a projection, residual convolutions over five frames (dilated 1, 2, ..), log-probabilities."""
    import torch
    from torch import nn

    class Block(nn.Module):
        def __init__(self, dilation):
            super().__init__()
            self.norm = nn.LayerNorm(width)
            self.conv = nn.Conv1d(width, width, 5, dilation=dilation, padding=2 * dilation)
            self.out = nn.Linear(width, width)
            self.drop = nn.Dropout(dropout)

        def forward(self, x):
            y = torch.relu(self.conv(self.norm(x).transpose(1, 2))).transpose(1, 2)
            return x + self.drop(self.out(y))

    class Head(nn.Module):
        def __init__(self):
            super().__init__()
            self.norm = nn.LayerNorm(FEATURES)
            self.project = nn.Linear(FEATURES, width)
            self.drop = nn.Dropout(dropout)
            self.blocks = nn.ModuleList(Block(n + 1) for n in range(blocks))
            self.last = nn.LayerNorm(width)
            self.out = nn.Linear(width, len(SYMBOLS))

        def forward(self, x):
            x = self.drop(torch.relu(self.project(self.norm(x))))
            for block in self.blocks:
                x = block(x)
            return torch.log_softmax(self.out(self.last(x)), -1)

    return Head()


def batches(data, rng, most=3000):
    """Indices of items of like length, at most `most` frames together."""
    order = sorted(range(len(data)), key=lambda n: len(data[n][0]) + rng.integers(0, 40))
    out, batch = [], []
    for n in order:
        if batch and len(data[n][0]) * (len(batch) + 1) > most:
            out.append(batch)
            batch = []
        batch.append(n)
    out.append(batch)
    rng.shuffle(out)
    return out


def masked(x, rng):
    """Some frames and a band of channels silenced."""
    x = x.astype(np.float32)
    for _ in range(1 + len(x) // 120):
        size = int(rng.integers(1, 9))
        at = int(rng.integers(0, max(1, len(x) - size)))
        x[at : at + size] = 0 if rng.random() < 0.5 else x.mean(0)
    size = int(rng.integers(0, 40))
    at = int(rng.integers(0, FEATURES - size))
    x[:, at : at + size] = 0
    return x


def usable(data):
    """The items that CTC can align: (features, label) with enough frames for its phones."""
    return [item for item in data if item[1] and len(item[0]) > 1.15 * len(item[1]) + 2]


def fit(head, data, rng, steps, rate, kept):
    """AdamW on CTC; the running mean of the weights, which `kept` is given every hundred steps and at the end.

    `data` are (features, label); the rate rises for 80 steps, holds, and falls along a cosine.
    """
    import torch

    spread = np.std(np.concatenate([item[0][:50].astype(np.float32) for item in data[::20]]))
    mean = {k: v.clone() for k, v in head.state_dict().items()}
    optimiser = torch.optim.AdamW(head.parameters(), lr=rate, weight_decay=0.02)
    start, step, losses, queue = time.time(), 0, [], []
    while step < steps:
        queue = queue or batches(data, rng)
        items = [data[n] for n in queue.pop()]
        done = step / steps
        fall = 1 if done < 0.3 else max(0.02, 0.5 + 0.5 * math.cos(math.pi * (done - 0.3) / 0.7))
        for group in optimiser.param_groups:
            group["lr"] = rate * min(1, (step + 1) / 80) * fall
        x = np.zeros((len(items), max(len(item[0]) for item in items), FEATURES), np.float32)
        for n, item in enumerate(items):
            x[n, : len(item[0])] = masked(item[0], rng)
        x += rng.standard_normal(x.shape, dtype=np.float32) * (spread * 0.05)
        logp = head(torch.from_numpy(x)).transpose(0, 1)
        target = torch.tensor([s for item in items for s in item[1]])
        sizes = torch.tensor([len(item[0]) for item in items]), torch.tensor([len(item[1]) for item in items])
        loss = torch.nn.functional.ctc_loss(logp, target, *sizes, reduction="sum", zero_infinity=True) / len(target)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(head.parameters(), 5.0)
        optimiser.step()
        keep = min(0.998, (step + 1) / (step + 10))
        with torch.no_grad():
            for name, value in head.state_dict().items():
                mean[name].lerp_(value, 1 - keep)
        losses.append(loss.item())
        step += 1
        if step % 100 == 0 or step == steps:
            print(f"step {step}: {np.mean(losses[-100:]):.3f} per phone, {time.time() - start:.0f} s", flush=True)
            kept(mean)
    return mean


def graph(head, file):
    """Writes the head as ONNX, compares it with torch, and says what is to be known of the file."""
    import torch

    names = {"feat": {0: "batch", 1: "frames"}, "logp": {0: "batch", 1: "frames"}}
    torch.onnx.export(
        head,
        (torch.zeros(1, 100, FEATURES),),
        str(file),
        input_names=["feat"],
        output_names=["logp"],
        dynamic_axes=names,
        opset_version=17,
        dynamo=False,
    )
    running, apart = session(file), 0.0
    for batch, frames in ((1, 1), (1, 42), (3, 333)):
        x = 3 * generator("parity", batch, frames).standard_normal((batch, frames, FEATURES), dtype=np.float32)
        with torch.no_grad():
            y = head(torch.from_numpy(x)).numpy()
        apart = max(apart, float(np.abs(running.run(None, {"feat": x})[0] - y).max()))
    assert apart < 1e-4, apart
    print(f"{file}: {file.stat().st_size} bytes, at most {apart:.1e} from torch")
    return {
        "symbols": SYMBOLS,
        "blank": 0,
        "frame_s": 0.024,
        "input": {"name": "feat", "type": "f32", "shape": ["batch", "frames", FEATURES]},
        "output": {"name": "logp", "type": "f32", "shape": ["batch", "frames", len(SYMBOLS)]},
        "encoder": "Moonshine tiny-en, encoder_model.ort",
        "parameters": sum(p.numel() for p in head.parameters()),
        "parity_with_torch": apart,
    }
