"""Fits a small network to a curve in several processes: PyTorch's DistributedDataParallel over gloo, on CPUs."""

import argparse
import json
import os
import socket

import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

import runyard

#: Each process takes its part of these, so that what is learned does not depend on how many there are.
POINTS = 960


def curve():
    """The points to learn from; the same everywhere."""
    x = torch.linspace(-3, 3, POINTS, dtype=torch.float64).unsqueeze(1)
    return x, torch.sin(2 * x) + 0.3 * x


def network():
    """The same weights at the start in every process."""
    torch.manual_seed(1)
    return torch.nn.Sequential(torch.nn.Linear(1, 32), torch.nn.Tanh(), torch.nn.Linear(32, 1)).double()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=200, help="optimizer steps (200)")
    parser.add_argument("--lr", type=float, default=0.02, help="learning rate (0.02)")
    options = parser.parse_args()

    # A run on several nodes sets these. Alone, this process is all there is.
    os.environ.setdefault("RANK", "0")
    os.environ.setdefault("WORLD_SIZE", "1")
    os.environ.setdefault("MASTER_ADDR", "127.0.0.1")
    os.environ.setdefault("MASTER_PORT", "29500")
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method="env://")
    rank, size = dist.get_rank(), dist.get_world_size()
    print("rank %d of %d on %s" % (rank, size, socket.gethostname()), flush=True)

    # One process logs for all; the others have the same numbers.
    first = rank == 0
    if first:
        runyard.log_params({"steps": options.steps, "lr": options.lr, "processes": size})

    x, y = curve()
    x, y = x[rank::size], y[rank::size]
    model = DistributedDataParallel(network())
    optimizer = torch.optim.Adam(model.parameters(), lr=options.lr)
    for step in range(1, options.steps + 1):
        optimizer.zero_grad()
        # A sum, divided by what is everybody's: the parts need not be equally large.
        loss = ((model(x) - y) ** 2).sum() * size / POINTS
        # Here the processes exchange their gradients, and take the mean of them.
        loss.backward()
        optimizer.step()
        total = loss.detach().clone()
        dist.all_reduce(total)
        if first:
            runyard.log("train/loss", round(total.item() / size, 6), step=step)
            if step % 50 == 0:
                print("step %3d  loss %.6f" % (step, total.item() / size), flush=True)

    if first:
        os.makedirs("outputs", exist_ok=True)
        weights = {name: value.tolist() for name, value in model.module.state_dict().items()}
        with open(os.path.join("outputs", "weights.json"), "w") as file:
            json.dump(weights, file)
    # The one that keeps the meeting point must not go first.
    dist.barrier()
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
