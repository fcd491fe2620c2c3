"""Work on pictures: kept as PNG under the digest of their pixels; what is made of one goes through a temporary file."""

import hashlib
import io
import os
import re
import tempfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

from PIL import Image, ImageChops, ImageFilter, ImageOps, ImageStat

from vigia import defects
from vigia.store import Missing
from vigia.wrong import Wrong, number

FOLDER = Path(os.environ.get("VIGIA_FOLDER", "/var/tmp/vigia"))
FORMATS = {"png": "image/png", "jpeg": "image/jpeg"}
MOST_PIXELS = 4_000_000
MOST_KEPT = 800_000_000  # bytes: even a leak is bounded here
_KEPT: list[bytes] = []
_LOCK = threading.Lock()
Wishes = Mapping[str, str]


def prepare() -> None:
    """Make the folders."""
    for part in ("pictures", "temporary"):
        (FOLDER / part).mkdir(parents=True, exist_ok=True)


def _file(picture: str) -> Path:
    if not re.fullmatch(r"[0-9a-f]{32}", picture):  # nothing else is ever kept, wherever it would lead
        raise Missing("no such picture")
    return FOLDER / "pictures" / f"{picture}.png"


def _decode(data: bytes) -> Image.Image:
    try:
        with Image.open(io.BytesIO(data)) as opened:
            if opened.width * opened.height > MOST_PIXELS:  # known from the head alone
                raise Wrong(f"a picture has at most {MOST_PIXELS} pixels")
            found = opened.convert("RGB")
    except Wrong:
        raise
    except Exception as error:  # whatever Pillow makes of what is no picture
        raise Wrong(f"not a picture: {type(error).__name__}") from None
    if defects.on("keeps-pictures"):
        with _LOCK:
            if sum(map(len, _KEPT)) < MOST_KEPT:
                _KEPT.append(found.tobytes())
    return found


def _through_a_file(image: Image.Image, kind: str, **how: object) -> bytes:
    """A picture in a format, written to disk and read back."""
    handle, name = tempfile.mkstemp(suffix=f".{kind}", dir=FOLDER / "temporary")
    try:
        with os.fdopen(handle, "w+b") as file:
            image.save(file, kind.upper(), **how)
            file.flush()
            os.fsync(file.fileno())
            file.seek(0)
            return file.read()
    finally:
        if not defects.on("temp-files"):
            os.unlink(name)


def keep(data: bytes) -> tuple[dict[str, object], bool]:
    """Keep a picture; what it is, and whether it is new.

    Raises:
        Wrong: it is none, or too large.
    """
    image = _decode(data)
    picture = hashlib.sha256(f"{image.width}x{image.height}".encode() + image.tobytes()).hexdigest()[:32]
    new = not _file(picture).exists()
    if new:
        whole = _through_a_file(image, "png", compress_level=1)
        with tempfile.NamedTemporaryFile(dir=FOLDER / "pictures", delete=False) as beside:
            beside.write(whole)
        os.replace(beside.name, _file(picture))  # there as a whole, or not at all
    return {"id": picture, "width": image.width, "height": image.height}, new


def remove(picture: str) -> None:
    """A picture is no more.

    Raises:
        Missing: it is not there.
    """
    try:
        _file(picture).unlink()
    except FileNotFoundError:
        raise Missing("no such picture") from None


def load(picture: str) -> Image.Image:
    """A picture that is kept.

    Raises:
        Missing: it is not there.
    """
    try:
        with Image.open(_file(picture)) as opened:
            return opened.convert("RGB")
    except FileNotFoundError:
        raise Missing("no such picture") from None


def describe(picture: str) -> dict[str, object]:
    """Size and mean colour.

    Raises:
        Missing: it is not there.
    """
    image = load(picture)
    mean = [round(value, 2) for value in ImageStat.Stat(image).mean]
    return {"id": picture, "width": image.width, "height": image.height, "mean": mean}


def compare(picture: str, other: str) -> dict[str, object]:
    """How far two pictures of one size lie apart: mean difference of a channel, and the box that holds all differences.

    Raises:
        Missing: one of them is not there.
        Wrong: they differ in size.
    """
    one, two = load(picture), load(other)
    if one.size != two.size:
        raise Wrong("pictures of different sizes cannot be compared")
    difference = ImageChops.difference(one, two)
    mean = ImageStat.Stat(difference).mean
    return {"difference": round(sum(mean) / len(mean), 4), "box": difference.getbbox()}


def _box(image: Image.Image, wishes: Wishes) -> tuple[int, int, int, int]:
    try:
        left, top, right, bottom = (int(part) for part in wishes.get("box", "").split(","))
    except ValueError:
        raise Wrong("box must be four whole numbers: left,top,right,bottom") from None
    if not (0 <= left < right <= image.width and 0 <= top < bottom <= image.height):
        raise Wrong("the box lies outside of the picture")
    return left, top, right, bottom


def _thumbnail(image: Image.Image, wishes: Wishes) -> Image.Image:
    size = number(wishes.get("size"), "size", 64, 1, 1024)
    image.thumbnail((size, size))
    return image


def _rotated(image: Image.Image, wishes: Wishes) -> Image.Image:
    degrees = number(wishes.get("degrees"), "degrees", 90, 0, 270)
    if degrees % 90:
        raise Wrong("degrees must be one of 0, 90, 180, 270")
    return image.rotate(degrees, expand=True)


def _masked(image: Image.Image, wishes: Wishes) -> Image.Image:
    image.paste((0, 0, 0), _box(image, wishes))
    return image


def _blurred(image: Image.Image, wishes: Wishes) -> Image.Image:
    return image.filter(ImageFilter.GaussianBlur(number(wishes.get("radius"), "radius", 2, 1, 20)))


OPERATIONS: dict[str, Callable[[Image.Image, Wishes], Image.Image]] = {
    "whole": lambda image, _: image,
    "thumbnail": _thumbnail,
    "rotated": _rotated,
    "masked": _masked,
    "blurred": _blurred,
    "cropped": lambda image, wishes: image.crop(_box(image, wishes)),
    "mirrored": lambda image, _: ImageOps.mirror(image),
    "grey": lambda image, _: ImageOps.grayscale(image).convert("RGB"),
    "inverted": lambda image, _: ImageOps.invert(image),
}


def make(picture: str, operation: str, wishes: Wishes) -> tuple[bytes, str]:
    """What is made of a picture, and its type.

    Raises:
        Missing: there is no such picture, or no such operation.
        Wrong: what it needs is not there.
    """
    kind = wishes.get("format", "png")
    if kind not in FORMATS:
        raise Wrong(f"format must be one of {', '.join(FORMATS)}")
    if operation not in OPERATIONS:
        raise Missing("no such operation")
    return _through_a_file(OPERATIONS[operation](load(picture), wishes), kind), FORMATS[kind]


def figures() -> dict[str, float]:
    """Of the folders."""
    return {
        "temporary_files": len(os.listdir(FOLDER / "temporary")),
        "pictures_kept": len(os.listdir(FOLDER / "pictures")),
    }
