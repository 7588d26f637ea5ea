import gzip
import hashlib
import io
import tarfile

import numpy as np
import pytest
from image_arrays import arrays

from downshift.hw.errors import DownshiftError
from downshift.sw.data import cifar10, mnist
from downshift.sw.data.named import load_dataset


def idx(array):
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes()


@pytest.fixture
def tiny_mnist(tmp_path, monkeypatch):
    """Files as MNIST's servers give them, of thirty images."""
    content = {name: array.astype(np.uint8) for name, array in arrays((28, 28)).items()}
    (tmp_path / "mnist").mkdir()
    for name, array in content.items():
        payload = idx(array)
        (tmp_path / "mnist" / f"{mnist.PARTS[name]}.gz").write_bytes(gzip.compress(payload))
        monkeypatch.setitem(mnist.MNIST_DIGESTS, name, hashlib.sha256(payload).hexdigest())
    return content


def test_mnist_is_read_from_a_folder(tiny_mnist, tmp_path, monkeypatch):
    images = load_dataset("mnist", folder=tmp_path)
    assert np.array_equal(images.test.codes[:, 0].numpy(), tiny_mnist["test_x"])
    assert (len(images.train), images.classes) == (27, 10)
    monkeypatch.setenv("DOWNSHIFT_DATA", str(tmp_path))
    assert len(load_dataset("mnist").train) == 27


def test_public_files_that_are_not_what_they_were_are_refused(tiny_mnist, tmp_path):
    path = tmp_path / "mnist" / "t10k-images-idx3-ubyte.gz"
    for content in (b"", b"no gzip", gzip.compress(b"other"), path.read_bytes()[:-9]):
        path.write_bytes(content)
        with pytest.raises(DownshiftError, match=rf"^{path} is damaged or another file; delete it"):
            load_dataset("mnist", folder=tmp_path)


class Response(io.BytesIO):
    """What a server answers."""

    def __init__(self, content):
        super().__init__(content)
        self.length = len(content)


def test_public_files_are_fetched_once_and_checked(tiny_mnist, tmp_path, monkeypatch):
    path = tmp_path / "mnist" / "t10k-labels-idx1-ubyte.gz"
    content, asked, seen = path.read_bytes(), [], []
    path.unlink()

    def serve(answer):
        def urlopen(url, timeout):
            asked.append(url)
            return Response(answer)

        monkeypatch.setattr("downshift.sw.data.fetch.urlopen", urlopen)

    serve(b"<html>")
    with pytest.raises(DownshiftError, match=r"^https://.*/mnist/t10k-labels.* is not what it was"):
        load_dataset("mnist", folder=tmp_path)
    assert not path.exists()
    serve(content)
    for _ in range(2):
        load_dataset("mnist", folder=tmp_path, progress=lambda *call: seen.append(call))
    assert path.read_bytes() == content
    assert len(asked) == 2  # once for each answer
    assert seen == [(path.name, len(content), len(content))]


def test_without_data_and_network_one_sentence_says_what_to_do(tmp_path, monkeypatch):
    def urlopen(url, timeout):
        raise OSError("unreachable")

    monkeypatch.setattr("downshift.sw.data.fetch.urlopen", urlopen)
    message = (
        r"^There is no file .*, and https?://.* cannot be fetched \(unreachable\); put it ther"
    )
    for name in ("mnist", "fashion_mnist", "cifar10"):
        with pytest.raises(DownshiftError, match=message):
            load_dataset(name, folder=tmp_path)
    with pytest.raises(DownshiftError, match=r"mfcc.npz, and no address to fetch it from; name"):
        load_dataset("keywords", folder=tmp_path)
    with pytest.raises(DownshiftError, match=r"^There is no data set 'imagenet'; name a .npz file"):
        load_dataset("imagenet", folder=tmp_path)


def test_cifar10_is_read_from_its_archive(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    packed, digests, planes = io.BytesIO(), {}, {}
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name in cifar10.FILE.digests:
            batch = rng.integers(0, 256, (4, 1 + cifar10.PIXELS)).astype(np.uint8)
            batch[:, 0] = np.arange(4)
            digests[name], planes[name] = hashlib.sha256(batch.tobytes()).hexdigest(), batch[:, 1:]
            info = tarfile.TarInfo(name)
            info.size = batch.size
            archive.addfile(info, io.BytesIO(batch.tobytes()))
    (tmp_path / cifar10.FILE.name).write_bytes(packed.getvalue())
    monkeypatch.setattr(cifar10.FILE.__class__, "digests", digests, raising=False)
    object.__setattr__(cifar10.FILE, "digests", digests)
    images = load_dataset("cifar10", folder=tmp_path)
    expected = planes["cifar-10-batches-bin/test_batch.bin"].reshape(4, 3, 32, 32)
    assert np.array_equal(images.test.codes.numpy(), expected)
    assert (len(images.train), images.test.labels.tolist()) == (18, [0, 1, 2, 3])


def test_keywords_keep_their_official_split(tmp_path):
    rng = np.random.default_rng(0)
    x = rng.integers(-128, 128, (12, 49, 10)).astype(np.int8)
    split = (np.arange(12) % 3).astype(np.uint8)
    y = (np.arange(12) // 3).astype(np.uint8)
    np.savez(tmp_path / "speech_commands_mfcc.npz", words4_x=x, words4_y=y, words4_split=split)
    images = load_dataset("keywords", folder=tmp_path)
    assert images.input_shape == (49, 10, 1)
    for number, part in enumerate((images.train, images.validation, images.test)):
        expected = x[split == number].astype(int) + 128
        assert np.array_equal(part.codes[:, 0].numpy(), expected)
    np.savez(tmp_path / "speech_commands_mfcc.npz", words4_x=y, words4_y=y, words4_split=split)
    with pytest.raises(DownshiftError, match=r"holds arrays of other types or shapes; it holds wo"):
        load_dataset("keywords", folder=tmp_path)
