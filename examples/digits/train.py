"""Learns to read handwritten digits (1,797 pictures of 8x8 pixels) in plain Python, logging to Runyard as it goes."""

import argparse
import gzip
import json
import os
import random
import sys

import runyard
from network import Network
from pictures import sheet

HERE = os.path.dirname(os.path.abspath(__file__))

#: Every fifth picture is for testing, whatever the seed, so that runs can be compared.
TEST_EVERY = 5


def load():
    """[(64 pixels of 0..16, label)] from the data set beside this file."""
    with gzip.open(os.path.join(HERE, "digits.csv.gz"), "rt") as file:
        rows = [[int(float(word)) for word in line.split(",")] for line in file]
    return [(row[:64], row[64]) for row in rows]


def sparse(pixels):
    """The pixels that are not empty as (index, 0..1)."""
    return [(index, value / 16.0) for index, value in enumerate(pixels) if value]


def shuffled(items, rng):
    """A shuffled copy; the same on every Python (random() is promised to be, shuffle() is not)."""
    items = list(items)
    for i in range(len(items) - 1, 0, -1):
        j = int(rng.random() * (i + 1))
        items[i], items[j] = items[j], items[i]
    return items


def confusion_matrix(labels, predicted):
    """Rows are the true digits, columns the predicted ones."""
    matrix = [[0] * 10 for _ in range(10)]
    for label, guess in zip(labels, predicted):
        matrix[label][guess] += 1
    return matrix


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=20, help="passes over the training set (20)")
    parser.add_argument("--lr", type=float, default=0.5, help="learning rate at the start (0.5)")
    parser.add_argument("--batch-size", type=int, default=32, help="pictures a step (32)")
    parser.add_argument("--hidden", type=int, default=64, help="hidden units (64)")
    parser.add_argument("--seed", type=int, default=1, help="the same seed gives the same metrics (1)")
    options = parser.parse_args()

    rng = random.Random(options.seed)
    data = load()
    test_set = data[TEST_EVERY - 1::TEST_EVERY]
    train_set = [sample for number, sample in enumerate(data, 1) if number % TEST_EVERY]
    test_samples = [(sparse(pixels), label) for pixels, label in test_set]
    train_samples = [(sparse(pixels), label) for pixels, label in train_set]
    network = Network(64, options.hidden, 10, rng)

    runyard.log_params({"epochs": options.epochs, "lr": options.lr, "batch_size": options.batch_size,
                        "hidden": options.hidden, "seed": options.seed})
    runyard.set_tags({"data": "UCI optical digits 8x8", "python": "%d.%d.%d" % sys.version_info[:3]})
    print("%d pictures to learn from, %d to test with" % (len(train_samples), len(test_samples)))

    step = 0
    for epoch in range(1, options.epochs + 1):
        rate = options.lr / (1.0 + 0.1 * (epoch - 1))
        samples = shuffled(train_samples, rng)
        loss_sum, right = 0.0, 0
        for start in range(0, len(samples), options.batch_size):
            batch = samples[start:start + options.batch_size]
            loss, hits = network.train(batch, rate)
            step += 1
            loss_sum += loss * len(batch)
            right += hits
            # Rounded: the C library's logarithm differs in its last digit from machine to machine.
            runyard.log("train/loss", round(loss, 9), step=step)
        test_loss, predicted = network.test(test_samples)
        hits = [guess == label for guess, (_, label) in zip(predicted, test_samples)]
        metrics = {
            "epoch/train_loss": round(loss_sum / len(samples), 9),
            "epoch/train_accuracy": right / len(samples),
            "epoch/test_loss": round(test_loss, 9),
            "epoch/test_accuracy": hits.count(True) / len(hits),
            "epoch/learning_rate": rate,
        }
        runyard.log_metrics(metrics, step=epoch)
        print("epoch %2d/%d  train loss %.4f  test loss %.4f  test accuracy %.2f %%" % (
            epoch, options.epochs, metrics["epoch/train_loss"], metrics["epoch/test_loss"],
            100 * metrics["epoch/test_accuracy"]))
        sys.stdout.flush()

    runyard.log_confusion_matrix("confusion", confusion_matrix([label for _, label in test_set], predicted),
                                 labels=[str(digit) for digit in range(10)])
    wrong = [(pixels, label, guess) for (pixels, label), guess in zip(test_set, predicted) if guess != label]
    if wrong:
        runyard.log_image("misread", sheet([pixels for pixels, _, _ in wrong[:40]]))
        runyard.log_table("misread", {"digit": [label for _, label, _ in wrong], "read as": [g for _, _, g in wrong]})
    os.makedirs("outputs", exist_ok=True)
    with open(os.path.join("outputs", "weights.json"), "w") as file:
        json.dump(network.weights(), file)
    print("%d of %d test pictures misread; weights in outputs/weights.json" % (len(wrong), len(test_set)))


if __name__ == "__main__":
    main()
