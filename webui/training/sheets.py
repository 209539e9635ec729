"""Contact sheets: rows of pictures in one PNG, to look at while a run goes on."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image


def to_uint8(pictures: torch.Tensor) -> np.ndarray:
    """[B, 3, H, W] in -1..1 to uint8 [B, H, W, 3]."""
    scaled = (pictures.detach().float().cpu().clamp(-1, 1) + 1) * 127.5
    array: np.ndarray = scaled.round().byte().permute(0, 2, 3, 1).numpy()
    return array


def to_tensor(pictures: np.ndarray) -> torch.Tensor:
    """uint8 [B, H, W, 3] to float [B, 3, H, W] in -1..1."""
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1


def save_sheet(path: Path, pictures: np.ndarray, columns: int) -> None:
    """Lay uint8 [B, H, W, 3] out in rows of `columns`; the last row is filled with grey."""
    count, height, width, _ = pictures.shape
    rows = -(-count // columns)
    sheet = np.full((rows * height, columns * width, 3), 128, np.uint8)
    for i, picture in enumerate(pictures):
        row, column = divmod(i, columns)
        sheet[row * height : (row + 1) * height, column * width : (column + 1) * width] = picture
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(sheet).save(path)
