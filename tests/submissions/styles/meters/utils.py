import copy
import time
from collections import namedtuple

HParams = namedtuple("HParams", "lr weight_decay epochs batch_size rank alpha warmup seed")


class AverageMeter:
    """Computes and stores the average and current value"""

    def __init__(self, name, fmt="{:.4f}"):
        self.name, self.fmt = name, fmt
        self.reset()

    def reset(self):
        self.val = self.sum = self.count = 0

    def update(self, val, n=1):
        self.val = val
        self.sum += val * n
        self.count += n

    @property
    def avg(self):
        return self.sum / max(self.count, 1)

    def __str__(self):
        return f"{self.name} " + self.fmt.format(self.avg)


class Stopwatch:
    def __enter__(self):
        self.t = time.time()
        return self

    def __exit__(self, *exc):
        self.seconds = time.time() - self.t


class Keeper:
    """keeps a copy of the weights with the lowest held-out loss"""

    def __init__(self):
        self.best = float("inf")
        self.weights = None

    def look(self, model, loss):
        if loss < self.best:
            self.best = loss
            self.weights = copy.deepcopy({k: p.data for k, p in model.named_parameters() if p.requires_grad})
            return True
        return False

    def restore(self, model):
        for k, p in model.named_parameters():
            if k in self.weights:
                p.data.copy_(self.weights[k])
