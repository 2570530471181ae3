import torch


class EMA:
    """Running average of the trainable weights; young averages forget faster, or they would remember the start."""

    def __init__(self, parameters, decay=0.9):
        self.parameters = list(parameters)
        self.average = [p.detach().clone() for p in self.parameters]
        self.decay = decay
        self.updates = 0

    @torch.no_grad()
    def update(self):
        self.updates += 1
        decay = min(self.decay, self.updates / (self.updates + 9))
        for average, parameter in zip(self.average, self.parameters):
            average.lerp_(parameter, 1 - decay)

    @torch.no_grad()
    def copy_to_model(self):
        for average, parameter in zip(self.average, self.parameters):
            parameter.copy_(average)
