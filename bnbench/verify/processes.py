"""Two processes with half a batch each against one process with the whole."""

import os
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from datetime import timedelta
from functools import cache
from pathlib import Path

import torch
from torch import Tensor, distributed

import bnbench
from bnbench.verify.rows import FLOAT32, FLOAT64, Errors
from bnbench.verify.subjects import Case, build, inputs, upstream

STEPS = 5
SHAPES = ((8, 6), (4, 6, 5, 5))
TIMEOUT = 60  # seconds


def two_processes(dtype: torch.dtype) -> Errors:
    """Outputs, gradients of the input, γ and β, and running statistics over five steps."""
    errors = Errors()
    found = _run()
    if isinstance(found, str):
        errors.fail(found)
        return errors
    for shape in SHAPES:
        whole = _train(shape, dtype, None)
        halves = [outcome[f"{shape} {dtype}"] for outcome in found]
        for name, expected in whole.items():
            where = f"{name}, input {shape}"
            if name in ("output", "input gradient"):  # of images: one part after the other
                errors.compare(torch.cat([half[name] for half in halves], 1), expected, where)
            elif name.startswith("running"):  # the same everywhere
                for half in halves:
                    errors.compare(half[name], expected, where)
            else:  # gradients of γ and β: each process has its images' part
                errors.compare(torch.stack([half[name] for half in halves]).sum(0), expected, where)
    return errors


@cache
def _run() -> list[dict[str, dict[str, Tensor]]] | str:
    """What each process found, in both dtypes; or why there is nothing."""
    with tempfile.TemporaryDirectory() as folder:
        # -P: no file of the user's in the current folder stands for a module. PYTHONPATH: bnbench may not be installed.
        # -c, not -m: runpy warns of a module that its package has imported, and the warning would pass for the reason.
        code = "import sys; from bnbench.verify.processes import main; main(*sys.argv[1:])"
        command = [sys.executable, "-P", "-c", code, folder]
        paths = [os.environ.get("PYTHONPATH", ""), str(Path(bnbench.__file__).parent.parent)]
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
        said = [Path(folder) / f"{rank}.stderr" for rank in range(2)]
        results = [Path(folder) / f"{rank}.pt" for rank in range(2)]
        workers: list[subprocess.Popen[bytes]] = []
        try:
            for rank in range(2):
                with said[rank].open("wb") as stderr:
                    workers.append(subprocess.Popen([*command, str(rank)], stderr=stderr, env=environment))
            failed = _wait(workers, results)
        finally:
            for worker in workers:
                worker.kill()
                worker.wait()
        if isinstance(failed, str):
            return failed
        if failed is not None:
            words = said[failed].read_text(errors="replace").strip().splitlines()
            return f"a process failed: {words[-1] if words else f'no results, exit code {workers[failed].returncode}'}"
        return [torch.load(result, weights_only=True) for result in results]


def _wait(workers: list[subprocess.Popen[bytes]], results: list[Path]) -> int | str | None:
    """Until all results are there: None; or the rank of the first process that ended without; or that it took too long.

    A result is there as a whole or not at all. How its process ends after that says nothing about the norm.
    """
    until = time.monotonic() + TIMEOUT
    while time.monotonic() < until:
        ended = [worker.poll() is not None for worker in workers]  # before the look at the results, not after
        there = [result.exists() for result in results]
        if all(there):
            return None
        for rank in range(len(workers)):
            if ended[rank] and not there[rank]:
                return rank
        time.sleep(0.02)
    return f"two processes did not finish in {TIMEOUT} s"


def _train(shape: tuple[int, ...], dtype: torch.dtype, rank: int | None) -> dict[str, Tensor]:
    """Five steps on this process's part of the batch (all of it for None), the losses summed over images."""
    layer = build("sync_batch", Case(shape), dtype)
    # Unequal parts: the statistics must weigh values, not processes.
    cut = shape[0] * 3 // 4
    part = {None: slice(None), 0: slice(cut), 1: slice(cut, None)}[rank]
    outputs, gradients = [], []
    for step in range(STEPS):
        x = inputs(shape, dtype, step)[part].clone().requires_grad_()
        y = layer(x)
        (y * upstream(shape, dtype, step)[part]).sum().backward()
        assert x.grad is not None
        outputs.append(y.detach())
        gradients.append(x.grad)
    found = {"output": torch.stack(outputs), "input gradient": torch.stack(gradients)}
    found |= {f"gradient of {name}": p.grad for name, p in layer.named_parameters() if p.grad is not None}
    return found | {name: value.double() for name, value in layer.named_buffers() if value.is_floating_point()}


def main(folder: str, rank: str) -> None:
    """One of the two processes, a program of its own: it writes what it found to FOLDER/RANK.pt, and ends."""
    torch.set_num_threads(1)
    store = distributed.FileStore(f"{folder}/store", 2)  # type: ignore[attr-defined]
    limit = timedelta(seconds=TIMEOUT)
    distributed.init_process_group("gloo", store=store, rank=int(rank), world_size=2, timeout=limit)
    found = {f"{shape} {dtype}": _train(shape, dtype, int(rank)) for shape in SHAPES for dtype in (FLOAT64, FLOAT32)}
    part = Path(folder) / f"{rank}.part"
    torch.save(found, part)
    part.replace(part.with_suffix(".pt"))
    # Wait for the other, whose last sum may still need this process; it may also be gone by now.
    with suppress(RuntimeError):
        distributed.barrier()
    # No teardown: gloo's threads abort the process there at times ("terminate called without an active exception").
    os._exit(0)
