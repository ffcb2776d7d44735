"""A data set and a network of one's own, in plain torch, become a saved model and a picture."""

import argparse

import torch

import unnoise


class Circles(torch.utils.data.Dataset):
    def __len__(self):
        return 2000

    def __getitem__(self, i):
        angle, radius = torch.tensor(i * 0.7), 1 + i % 2
        return torch.stack([angle.cos(), angle.sin()]) * radius, i % 2


class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.label = torch.nn.Embedding(3, 8)  # two classes, and one row that stands for none
        self.net = torch.nn.Sequential(
            torch.nn.Linear(11, 64), torch.nn.SiLU(), torch.nn.Linear(64, 64), torch.nn.SiLU()
        )
        self.out = torch.nn.Linear(64, 2)

    def forward(self, x, clock, label):
        return self.out(self.net(torch.cat([x, clock[:, None] / 10, self.label(label)], 1)))


@unnoise.register("network", "net")  # with this a file can say how to make it
def net():
    return Net()


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--steps", type=int, default=600)
    steps = options.parse_args().steps
    model = unnoise.Diffusion(net(), shape=(2,), reads={"label"})
    unnoise.fit(model, Circles(), steps=steps, out="runs/circles")
    model.save("runs/circles.safetensors")
    x = model.sample(400, label="uniform")
    unnoise.show(x, model, label="uniform").save("runs/circles.png")
    print(model)


if __name__ == "__main__":
    main()
