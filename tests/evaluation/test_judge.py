"""The judge against scikit-learn's, and its cache."""

from functools import cache
from pathlib import Path

import pytest
import torch
from sklearn.svm import SVC
from torch import Tensor

from unnoise.core.errors import DamagedFileError, InputError
from unnoise.core.noise import Noise, permutation
from unnoise.data import digits, moons
from unnoise.evaluation import Judge, cached_judge, features


@cache
def material() -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """The judge's half of the digits with labels, and the other one."""
    train, test = digits("train"), digits("test")
    found = (
        features(test.info, test[:].x),
        test.labels,
        features(test.info, train[:].x),
        train.labels,
    )
    assert found[1] is not None and found[3] is not None
    return found[0], found[1], found[2], found[3]


def share(a: Tensor, b: Tensor) -> float:
    return float((a == b).double().mean())


def test_as_right_as_svc():
    known, labels, asked, truth = material()
    judge = Judge.train(known, labels)
    # SVC on pixels 0 ... 16, as in the tables; ours are an eighth of those.
    svc = SVC(C=10, gamma=0.001).fit((known.numpy() + 1) * 8, labels.numpy())
    theirs = torch.from_numpy(svc.predict((asked.numpy() + 1) * 8))
    right = share(judge.predict(asked), truth)
    assert right >= 0.985
    assert right >= share(theirs, truth) - 0.002
    assert share(judge.predict(asked), theirs) >= 0.99
    # Canaries: it reads the labels, and it sees the pixels.
    assert share(Judge.train(known, (labels + 1) % 10).predict(asked), truth) < 0.05
    assert share(judge.predict(asked.flip(1)), truth) < 0.5


def test_deterministic_whatever_the_order():
    known, labels, asked, _ = material()
    judge = Judge.train(known, labels)
    assert torch.equal(judge.weights, Judge.train(known.clone(), labels).weights)
    order = permutation(Noise(0, [0]), len(known))
    mixed = Judge.train(known[order], labels[order])
    assert share(mixed.predict(asked), judge.predict(asked)) == 1
    assert torch.allclose(mixed.weights, judge.weights[order], atol=1e-8)


def test_other_data():
    train, test = moons(800), moons(800, split="test")
    assert train.labels is not None and test.labels is not None
    judge = Judge.train(train[:].x, 5 + 2 * train.labels)  # labels need not start at 0
    assert judge.predict(test[:].x).unique().tolist() == [5, 7]
    assert share(judge.predict(test[:].x), 5 + 2 * test.labels) >= 0.99
    far = Judge.train(1e4 * train[:].x, train.labels)  # the kernel's width is the data's own
    assert share(far.predict(1e4 * test[:].x), test.labels) >= 0.99
    one = Judge.train(torch.ones(3, 2), torch.tensor([4, 4, 4]))
    assert one.predict(torch.zeros(2, 2)).tolist() == [4, 4]


def test_many_examples(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("unnoise.evaluation.judge._MOST_CENTRES", 60)
    labels = torch.arange(600) % 10  # a stride of ten would see one class only
    spot = Noise(0, range(600)).normal(torch.empty(600, 2))
    x = 0.1 * spot + torch.stack([labels % 5, labels // 5], 1)
    judge = Judge.train(x, labels)
    assert judge.centres.shape == (60, 2)
    assert judge.classes.tolist() == list(range(10))
    assert share(judge.predict(x), labels) > 0.97


def test_file(tmp_path: Path):
    known, labels, asked, _ = material()
    judge = Judge.train(known, labels)
    judge.save(tmp_path / "judge", "abc")
    again = Judge.load(tmp_path / "judge", "abc")
    assert torch.equal(again.weights, judge.weights)
    assert again.gamma == judge.gamma
    assert torch.equal(again.predict(asked), judge.predict(asked))
    with pytest.raises(InputError, match="trained on data abc, asked for is abd"):
        Judge.load(tmp_path / "judge", "abd")
    content = bytearray((tmp_path / "judge").read_bytes())
    content[-5] ^= 1
    (tmp_path / "judge").write_bytes(content)
    with pytest.raises(DamagedFileError):
        Judge.load(tmp_path / "judge", "abc")


def test_cache(tmp_path: Path):
    known, labels, asked, truth = material()
    path = tmp_path / "deep" / "judge.safetensors"
    first = cached_judge(path, known, labels, "abc")
    written = path.read_bytes()
    # Read, not trained: other labels make no difference as long as the hash is the same.
    assert torch.equal(cached_judge(path, known, (labels + 1) % 10, "abc").weights, first.weights)
    assert path.read_bytes() == written
    # Another hash: trained anew, and kept.
    other = cached_judge(path, known, (labels + 1) % 10, "abd")
    assert share(other.predict(asked), truth) < 0.05
    assert path.read_bytes() != written
    # A damaged file, and one of another width: trained anew.
    path.write_bytes(written[:100])
    assert torch.equal(cached_judge(path, known, labels, "abc").weights, first.weights)
    assert path.read_bytes() == written
    assert cached_judge(path, known[:, :10], labels, "abc").centres.shape[1] == 10


def test_refused():
    known, labels, _, _ = material()
    with pytest.raises(InputError, match="whole number for each"):
        Judge.train(known, labels[:-1])
    with pytest.raises(InputError, match="whole number for each"):
        Judge.train(known, labels.float())
    with pytest.raises(InputError, match="knows examples of 64 features, these have 3"):
        Judge.train(known, labels).predict(known[:, :3])
