"""Which files of the models folders belong to Easel: git's own word, since .gitignore says it."""

import shutil
import subprocess

import pytest

from webui.settings import ROOT
from webui.training.parts import FOLDERS, NAMES

pytestmark = pytest.mark.skipif(
    shutil.which("git") is None or not (ROOT / ".git").exists(), reason="needs a git checkout"
)
OURS = [f"models/{FOLDERS[part]}/{NAMES[part]}.safetensors" for part in NAMES]
CONFIG = "models/ControlNet/easel-plan.json"


def ignored(path: str) -> bool:
    asked = ["git", "check-ignore", "--quiet", "--no-index", path]
    return subprocess.run(asked, cwd=ROOT, check=False).returncode == 0


@pytest.mark.parametrize("path", [*OURS, CONFIG, "models/starter/unet/config.json"])
def test_what_is_shipped_is_not_ignored(path):
    assert not ignored(path)


@pytest.mark.parametrize("path", OURS)
def test_a_users_file_beside_it_is_ignored(path):
    folder, name = path.rsplit("/", 1)
    for own in ("mine.safetensors", "easel-mine.safetensors", name + ".bak", "sub/" + name):
        assert ignored(f"{folder}/{own}"), own


@pytest.mark.parametrize("folder", ["Stable-diffusion", "VAE", "hypernetworks", "my-model"])
def test_other_folders_are_everybodys_own(folder):
    assert ignored(f"models/{folder}/easel-thermal.safetensors")
