"""Files of tensors: what is written is read, damage and malice are refused with one message."""

import json
import pickle
import subprocess
import sys

import pytest
import torch
from safetensors.torch import save

from optrl.networks.tensor_file import (
    HEADER_LIMIT,
    TensorFileError,
    check_same_form,
    read_tensor_file,
    write_tensor_file,
)

KIND = "optrl test"
TENSORS = {
    "weight": torch.arange(12, dtype=torch.float32).reshape(3, 4),
    "step": torch.tensor(3.5, dtype=torch.float64),
    "empty": torch.zeros(0, 3),
    "bits": torch.tensor([True, False]),
    "state": torch.arange(5, dtype=torch.uint8),
}
DOCUMENT = {"counter": 2**127 + 1, "rate": 1e-3, "nothing": None, "texts": ["é", ""]}


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "a.safetensors"
    write_tensor_file(path, KIND, TENSORS, DOCUMENT)
    return path


def test_what_is_written_is_read(path):
    """Tensors to the bit with their kinds and shapes, the document as it was."""
    tensors, document = read_tensor_file(path, KIND)
    assert document == DOCUMENT
    assert tensors.keys() == TENSORS.keys()
    for name, tensor in TENSORS.items():
        assert tensors[name].dtype == tensor.dtype
        assert torch.equal(tensors[name], tensor)


def test_tensors_that_share_memory_are_kept_apart(tmp_path):
    """Views of one tensor are written each by itself, also where they are not contiguous."""
    shared = torch.arange(6.0).reshape(2, 3)
    path = tmp_path / "views"
    write_tensor_file(path, KIND, {"all": shared, "turned": shared.T}, {})
    tensors, _ = read_tensor_file(path, KIND)
    assert torch.equal(tensors["turned"], tensors["all"].T)


def test_the_same_content_gives_the_same_bytes_in_every_process(path, tmp_path):
    """Files are compared as bytes to show that two trainings ended alike."""
    other = tmp_path / "b.safetensors"
    code = (
        "import torch\n"
        "from optrl.networks.tensor_file import read_tensor_file, write_tensor_file\n"
        f"found = read_tensor_file({str(path)!r}, {KIND!r})\n"
        f"write_tensor_file({str(other)!r}, {KIND!r}, *found)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    assert other.read_bytes() == path.read_bytes()


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.9, 0.999])
def test_a_truncated_file_is_refused(path, share):
    """Wherever it is cut off."""
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    with pytest.raises(TensorFileError):
        read_tensor_file(path, KIND)


def test_every_single_bit_counts(path):
    """A flipped bit anywhere, in header, document or numbers, is refused and never passes."""
    data = path.read_bytes()
    for position in range(0, len(data), 7):
        damaged = bytearray(data)
        damaged[position] ^= 1 << (position % 8)
        path.write_bytes(damaged)
        try:
            tensors, document = read_tensor_file(path, KIND)
        except TensorFileError:
            continue
        # Spaces that pad the header mean nothing; all that has a meaning is as it was.
        assert document == DOCUMENT
        assert all(torch.equal(tensors[name], TENSORS[name]) for name in TENSORS)


def test_a_pickle_is_not_run(tmp_path):
    """A file that would run code when unpickled is refused unread."""

    class Attack:
        def __reduce__(self):
            return (open, (str(tmp_path / "was here"), "w"))

    for name, data in (
        ("plain", pickle.dumps(Attack())),
        ("torch", None),
    ):
        path = tmp_path / name
        if data is None:
            torch.save(Attack(), path)
        else:
            path.write_bytes(data)
        with pytest.raises(TensorFileError):
            read_tensor_file(path, KIND)
    assert not (tmp_path / "was here").exists()


def test_headers_of_an_attacker_are_refused(tmp_path):
    """Huge headers are not read, tensors past the end of the file are not made."""
    path = tmp_path / "a"
    for data, said in (
        ((2**62).to_bytes(8, "little") + b"{}", "says that its header"),
        ((HEADER_LIMIT + 1).to_bytes(8, "little") + b" " * (HEADER_LIMIT + 2), "at most"),
        (
            _with_header({"a": {"dtype": "F32", "shape": [2**40], "data_offsets": [0, 2**42]}}),
            "damaged",
        ),
        (
            _with_header({"a": {"dtype": "F32", "shape": [2**62, 8], "data_offsets": [0, 0]}}),
            "damaged",
        ),
        (_with_header({"__metadata__": {"optrl": "[" * 100_000}}), "damaged"),
        (_with_header({"__metadata__": {"optrl": "[]"}}), "damaged"),
        (save({"a": torch.zeros(2)}), "not written by optrl"),
    ):
        path.write_bytes(data)
        with pytest.raises(TensorFileError, match=said):
            read_tensor_file(path, KIND)
    path.unlink()
    with pytest.raises(TensorFileError, match="cannot be read"):
        read_tensor_file(path, KIND)


def test_another_kind_is_refused(path):
    """A policy is not read as a checkpoint."""
    with pytest.raises(TensorFileError, match="holds an optrl test"):
        read_tensor_file(path, "optrl other")


def test_numbers_that_json_lacks_are_not_written(tmp_path):
    """What could not be read again is refused when it is written."""
    with pytest.raises(ValueError, match="JSON"):
        write_tensor_file(tmp_path / "a", KIND, {}, {"rate": float("nan")})
    with pytest.raises(TensorFileError, match="not kept"):
        write_tensor_file(tmp_path / "a", KIND, {"a": torch.zeros(2, dtype=torch.complex64)}, {})
    assert list(tmp_path.iterdir()) == []


def test_other_forms_are_refused():
    """Names, shapes and kinds must be those expected; memory behind them is not asked for."""
    expected = {"a": torch.zeros(2, 3, device="meta")}
    check_same_form({"a": torch.zeros(2, 3)}, expected, "here")
    for found, said in (
        ({}, "'a' is missing"),
        ({"a": torch.zeros(2, 3), "b": torch.zeros(1)}, "'b' is not known"),
        ({"a": torch.zeros(3, 2)}, "shape"),
        ({"a": torch.zeros(2, 3, dtype=torch.float64)}, "float64"),
    ):
        with pytest.raises(TensorFileError, match=said):
            check_same_form(found, expected, "here")


def _with_header(header):
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text
