"""Checkpoints of the Hugging Face hub: the real client, asking a hub on this machine."""

from __future__ import annotations

import hashlib
import importlib
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

import dcgan_analysis as da
from dcgan_analysis.checkpoints import hub
from dcgan_analysis.errors import CheckpointError, ConfigError
from dcgan_analysis.runs.library import write_model_card

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def files():
    """What the repository ``user/net`` holds."""
    return {}


@pytest.fixture
def client(files, monkeypatch, tmp_path):
    """The constants of huggingface_hub, which is turned to a hub that knows one repository."""
    pytest.importorskip("huggingface_hub", reason="the extra 'hub' is needed")

    class Hub(BaseHTTPRequestHandler):
        def do_HEAD(self):
            name = self.path.removeprefix("/user/net/resolve/main/").removeprefix(f"/user/net/resolve/{COMMIT}/")
            self.send_response(200 if name in files else 404)
            if name in files:
                self.send_header("ETag", f'"{hashlib.sha256(files[name]).hexdigest()}"')
                self.send_header("X-Repo-Commit", COMMIT)
                self.send_header("Content-Length", str(len(files[name])))
            else:
                self.send_header("X-Error-Code", "EntryNotFound" if "/user/net/" in self.path else "RepoNotFound")
            self.end_headers()
            return files.get(name)

        def do_GET(self):
            self.wfile.write(self.do_HEAD() or b"")

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    url = f"http://127.0.0.1:{server.server_port}"
    constants = importlib.import_module("huggingface_hub.constants")
    monkeypatch.setattr(constants, "ENDPOINT", url)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", url + "/{repo_id}/resolve/{revision}/{filename}")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_PROGRESS_BARS", True)
    yield constants
    server.shutdown()
    server.server_close()


@pytest.fixture
def published(client, files, tiny_checkpoint, tmp_path):
    tiny_checkpoint.save(tmp_path / "tiny.safetensors")
    files["model.safetensors"] = (tmp_path / "tiny.safetensors").read_bytes()
    return tiny_checkpoint


def test_a_checkpoint_of_the_hub_is_loaded_with_its_commit(published):
    checkpoint = da.load_checkpoint("hf:user/net")
    assert checkpoint.name == "net"
    assert checkpoint.sha256() == published.sha256()
    assert checkpoint.metadata.provenance["downloaded"] == f"hf:user/net@{COMMIT}"


def test_a_run_records_the_commit_and_repeats_with_it(published, cli, tmp_path):
    words = ["run", "toy", "--checkpoint", "hf:user/net", "--out", tmp_path / "run"]
    result = cli(*words).assert_success().result
    assert result.checkpoint.downloaded == f"hf:user/net@{COMMIT}"
    assert f"--checkpoint hf:user/net@{COMMIT}" in result.command
    assert "dcgan32" in cli("show", "hf:user/net").assert_success().out


def test_no_card_is_written_into_the_cache(published, tmp_path):
    with pytest.raises(ConfigError, match=r"lies in the cache of huggingface_hub\. Say where its card goes \(out\)"):
        write_model_card("hf:user/net")
    assert write_model_card("hf:user/net", out=tmp_path / "card.md").is_file()
    assert not list((tmp_path / "hub").rglob("README.md"))


def test_weights_in_another_form_are_not_fetched(client, files):
    files["pytorch_model.bin"] = b"a pickle"
    with pytest.raises(CheckpointError, match=r"'hf:user/net': the repository holds no model\.safetensors; .* import"):
        da.load_checkpoint("hf:user/net")


def test_a_repository_that_is_not_there_is_one_line(client):
    with pytest.raises(CheckpointError, match=r"^Checkpoint 'hf:user/absent' cannot be fetched: [^\n]*$"):
        da.load_checkpoint("hf:user/absent")


def test_what_was_fetched_once_is_there_without_a_network(published, client, monkeypatch):
    da.load_checkpoint("hf:user/net")
    monkeypatch.setattr(client, "HF_HUB_OFFLINE", True)
    assert da.load_checkpoint("hf:user/net").name == "net"
    with pytest.raises(CheckpointError, match=r"'hf:user/other' is not in the cache, and .* cannot be reached"):
        da.load_checkpoint("hf:user/other")


@pytest.mark.parametrize("address", ["hf:", "hf:net", "hf:user/net/more", "hf:user/net@", "hf:user/../net"])
def test_an_address_is_a_user_and_a_name(address):
    with pytest.raises(CheckpointError, match=r"names no repository of the Hugging Face hub\. Write hf:USER/NAME"):
        da.load_checkpoint(address)


def test_without_the_library_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(CheckpointError, match=r"pip install 'dcgan-analysis\[hub\]'\. Or download model\.safetensors"):
        hub.download("hf:user/net", "model.safetensors")
