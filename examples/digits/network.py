"""A small neural network in plain Python: one hidden layer (ReLU), softmax, gradient descent by mini-batches.

Sums of products are exact (`math.fsum`) or taken in a fixed order, and `exp` is computed here, so that a seed gives
the same network on every machine and with every Python: the C library's `exp` differs in its last digit, and
`sum` of Python 3.12 adds in another way than that of 3.11.
"""

import math
from operator import mul

_LOG2_E = 1.4426950408889634
_LN2_HIGH = 0.6931471803691238
_LN2_LOW = 1.9082149292705877e-10


def exp(x):
    """e to the power of x, for x <= 0."""
    if x < -700.0:
        return 0.0
    k = int(x * _LOG2_E - 0.5)
    r = x - k * _LN2_HIGH - k * _LN2_LOW
    total = 1.0
    for n in (13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1):
        total = 1.0 + total * r / n
    return math.ldexp(total, k)


class Network(object):
    """Weights of `inputs` -> `hidden` -> `outputs`; `random` is a random.Random."""

    def __init__(self, inputs, hidden, outputs, random):
        def layer(rows, columns):
            scale = (6.0 / (rows + columns)) ** 0.5
            return [[(random.random() * 2.0 - 1.0) * scale for _ in range(columns)] for _ in range(rows)]

        self.w1 = layer(inputs, hidden)  # one row for each input
        self.b1 = [0.0] * hidden
        self.w2 = layer(outputs, hidden)  # one row for each output
        self.b2 = [0.0] * outputs

    def forward(self, pixels):
        """(hidden activations, probabilities of the classes); `pixels` are the (index, value) that are not 0."""
        h = self.b1
        for index, value in pixels:
            h = [a + value * w for a, w in zip(h, self.w1[index])]
        h = [a if a > 0.0 else 0.0 for a in h]
        z = [math.fsum(map(mul, h, row)) + b for row, b in zip(self.w2, self.b2)]
        top = max(z)
        e = [exp(a - top) for a in z]
        total = math.fsum(e)
        return h, [a / total for a in e]

    def train(self, batch, rate):
        """One step of gradient descent on [(pixels, label)]; gives (mean loss, how many were right)."""
        g1, gb1 = {}, [0.0] * len(self.b1)
        g2, gb2 = [[0.0] * len(self.b1) for _ in self.b2], [0.0] * len(self.b2)
        losses, right = [], 0
        for pixels, label in batch:
            h, p = self.forward(pixels)
            losses.append(-math.log(max(p[label], 1e-300)))
            right += p[label] == max(p)
            dz = list(p)
            dz[label] -= 1.0
            dh = [0.0] * len(h)
            for k, d in enumerate(dz):
                g2[k] = [g + d * a for g, a in zip(g2[k], h)]
                dh = [x + d * w for x, w in zip(dh, self.w2[k])]
            gb2 = [g + d for g, d in zip(gb2, dz)]
            dh = [d if a > 0.0 else 0.0 for d, a in zip(dh, h)]
            gb1 = [g + d for g, d in zip(gb1, dh)]
            for index, value in pixels:
                row = g1.get(index)
                g1[index] = [value * d for d in dh] if row is None else [g + value * d for g, d in zip(row, dh)]
        step = rate / len(batch)
        for index, row in g1.items():
            self.w1[index] = [w - step * g for w, g in zip(self.w1[index], row)]
        for k, row in enumerate(g2):
            self.w2[k] = [w - step * g for w, g in zip(self.w2[k], row)]
        self.b1 = [b - step * g for b, g in zip(self.b1, gb1)]
        self.b2 = [b - step * g for b, g in zip(self.b2, gb2)]
        return math.fsum(losses) / len(batch), right

    def test(self, samples):
        """(mean loss, predicted labels) of [(pixels, label)]."""
        losses, predicted = [], []
        for pixels, label in samples:
            _, p = self.forward(pixels)
            losses.append(-math.log(max(p[label], 1e-300)))
            predicted.append(p.index(max(p)))
        return math.fsum(losses) / len(samples), predicted

    def weights(self):
        """Everything that was learned, for JSON."""
        return {"w1": self.w1, "b1": self.b1, "w2": self.w2, "b2": self.b2}
