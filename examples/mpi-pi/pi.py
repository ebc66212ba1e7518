"""Computes pi in several processes by MPI: each adds up its part of an integral, and all get the sum."""

import argparse
import json
import math
import os

from mpi4py import MPI

import runyard


def part(rank, size, slices):
    """What one process adds up: every size-th slice of the area below 4 / (1 + x^2) from 0 to 1."""
    width = 1.0 / slices
    return math.fsum(4.0 / (1.0 + ((i + 0.5) * width) ** 2) for i in range(rank, slices, size)) * width


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=12, help="each has twice the slices of the one before (12)")
    options = parser.parse_args()

    world = MPI.COMM_WORLD
    rank, size = world.Get_rank(), world.Get_size()
    print("rank %d of %d on %s" % (rank, size, MPI.Get_processor_name()), flush=True)

    # One process logs for all; the others have the same numbers.
    first = rank == 0
    if first:
        runyard.log_params({"rounds": options.rounds, "processes": size})
    slices = 64
    for number in range(1, options.rounds + 1):
        pi = world.allreduce(part(rank, size, slices), op=MPI.SUM)
        if first:
            # Rounded: the sum's last digit differs with the number of processes.
            runyard.log_metrics({"pi": round(pi, 12), "error": round(abs(pi - math.pi), 12)}, step=number)
            print("%7d slices  pi %.10f" % (slices, pi), flush=True)
        slices *= 2

    if first:
        os.makedirs("outputs", exist_ok=True)
        with open(os.path.join("outputs", "pi.json"), "w") as file:
            json.dump({"pi": round(pi, 12), "processes": size}, file)


if __name__ == "__main__":
    main()
