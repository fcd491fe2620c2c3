"""Pictures: what is made of one is what it says, pixel by pixel, and nothing else changes."""

import random
from concurrent.futures import ThreadPoolExecutor

import png
import pytest

WIDTH, HEIGHT = 160, 120


@pytest.fixture
def rows():
    """Pixels that no other picture has: blocks of 8 by 8, each of one colour."""
    chance = random.Random()
    lines = []
    for _ in range(HEIGHT // 8):
        line = b"".join(bytes(chance.randrange(256) for _ in range(3)) * 8 for _ in range(WIDTH // 8))
        lines += [line] * 8
    return b"".join(lines)


@pytest.fixture
def picture(api, rows):
    """A picture that is kept while the test runs; its id."""
    answer = api.post("/pictures", content=png.write(WIDTH, HEIGHT, rows))
    assert answer.status_code == 201
    yield answer.json()["id"]
    api.delete(f"/pictures/{answer.json()['id']}")


def made(api, picture, operation, **query):
    """What is made of a picture: width, height, pixels."""
    answer = api.get(f"/pictures/{picture}/{operation}", params=query)
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "image/png")
    return png.read(answer.content)


def plain(api, colour, width=64, height=48):
    """A picture of one colour; its id."""
    return api.post("/pictures", content=png.write(width, height, bytes(colour) * (width * height))).json()["id"]


# -------------------------------------------------------------------------------------------------------------- keeping
def test_a_picture_comes_back(api, picture, rows):
    """Pixel by pixel."""
    assert made(api, picture, "whole") == (WIDTH, HEIGHT, rows)


def test_what_a_picture_is(api, picture):
    """Its size."""
    found = api.get(f"/pictures/{picture}").json()
    assert (found["id"], found["width"], found["height"]) == (picture, WIDTH, HEIGHT)


def test_the_same_picture_twice(api, picture, rows):
    """200 with the same id."""
    answer = api.post("/pictures", content=png.write(WIDTH, HEIGHT, rows))
    assert (answer.status_code, answer.json()["id"]) == (200, picture)


def test_one_pixel_makes_another_picture(api, picture, rows):
    """Another id."""
    other = bytes([rows[0] ^ 1]) + rows[1:]
    assert api.post("/pictures", content=png.write(WIDTH, HEIGHT, other)).json()["id"] != picture


def test_the_same_pixels_in_another_form(api):
    """A picture of 32 by 8 is none of 8 by 32."""
    assert plain(api, (1, 2, 3), 32, 8) != plain(api, (1, 2, 3), 8, 32)


def test_a_picture_is_removed(api, picture):
    """204, and it is gone; a second time it is not there."""
    assert [api.delete(f"/pictures/{picture}").status_code for _ in range(2)] == [204, 404]
    assert api.get(f"/pictures/{picture}/whole").status_code == 404


@pytest.mark.parametrize("body", [b"", b"\x89PNG\r\n\x1a\n" + b"0" * 40], ids=["empty", "damaged"])
def test_no_picture(api, body):
    """422."""
    assert api.post("/pictures", content=body).status_code == 422


def test_half_a_picture(api, rows):
    """422: what is cut off is not kept."""
    whole = png.write(WIDTH, HEIGHT, rows)
    assert api.post("/pictures", content=whole[: len(whole) // 2]).status_code == 422


def test_too_many_pixels(api):
    """422, by its head alone: a small file may be a large picture."""
    assert api.post("/pictures", content=png.write(4000, 1001, b"")).status_code == 422


@pytest.mark.parametrize("picture", ["0" * 32, "..%2F..%2Fetc%2Fpasswd", "x"], ids=["unknown", "elsewhere", "none"])
def test_an_unknown_picture(api, picture):
    """404, wherever its name would lead."""
    assert api.get(f"/pictures/{picture}/whole").status_code == 404


# --------------------------------------------------------------------------------------------------- what is made of it
def test_a_thumbnail_keeps_the_proportions(api, picture):
    """160 by 120 becomes 64 by 48."""
    assert made(api, picture, "thumbnail", size=64)[:2] == (64, 48)


def test_a_thumbnail_is_never_larger(api, picture):
    """What is smaller stays as it is."""
    assert made(api, picture, "thumbnail", size=1000)[:2] == (WIDTH, HEIGHT)


def test_a_thumbnail_of_one_colour(api):
    """Has that colour everywhere."""
    _, _, small = made(api, plain(api, (200, 100, 50)), "thumbnail", size=16)
    assert set(zip(small[::3], small[1::3], small[2::3], strict=True)) == {(200, 100, 50)}


@pytest.mark.parametrize("degrees", [90, 180])
def test_rotated_and_back(api, picture, rows, degrees):
    """The rest of a full turn brings it back."""
    width, height, turned = made(api, picture, "rotated", degrees=degrees)
    assert (width, height) == ((WIDTH, HEIGHT) if degrees == 180 else (HEIGHT, WIDTH))
    other = api.post("/pictures", content=png.write(width, height, turned)).json()["id"]
    assert made(api, other, "rotated", degrees=360 - degrees) == (WIDTH, HEIGHT, rows)


def test_rotated_by_a_quarter(api, picture, rows):
    """The upper right corner becomes the upper left one."""
    width, _, turned = made(api, picture, "rotated", degrees=90)
    assert png.pixel(turned, width, 0, 0) == png.pixel(rows, WIDTH, WIDTH - 1, 0)


def test_mirrored(api, picture, rows):
    """Each row backwards."""
    _, _, found = made(api, picture, "mirrored")
    assert png.pixel(found, WIDTH, 0, 5) == png.pixel(rows, WIDTH, WIDTH - 1, 5)


def test_cropped(api, picture, rows):
    """The pixels of the box, and its size."""
    width, height, found = made(api, picture, "cropped", box="10,20,50,40")
    assert (width, height) == (40, 20)
    assert found[: 40 * 3] == rows[(20 * WIDTH + 10) * 3 : (20 * WIDTH + 50) * 3]


@pytest.mark.parametrize("box", ["0,0,0,10", "0,0,161,10", "1,2,3"])
def test_a_wrong_box(api, picture, box):
    """422."""
    assert api.get(f"/pictures/{picture}/cropped", params={"box": box}).status_code == 422


def test_masked(api, picture, rows):
    """Black inside the box, unchanged beside it."""
    _, _, found = made(api, picture, "masked", box="16,16,32,32")
    assert png.pixel(found, WIDTH, 20, 20) == (0, 0, 0)
    assert png.pixel(found, WIDTH, 40, 20) == png.pixel(rows, WIDTH, 40, 20)


def test_grey(api, picture):
    """Red, green and blue are alike everywhere."""
    _, _, found = made(api, picture, "grey")
    assert found[::3] == found[1::3] == found[2::3]


def test_inverted(api, picture, rows):
    """Each value is 255 less what it was."""
    assert made(api, picture, "inverted")[2] == bytes(255 - value for value in rows)


def test_blurred_keeps_the_mean(api, picture):
    """A blur moves light about, and takes none away."""
    width, height, found = made(api, picture, "blurred", radius=3)
    other = api.post("/pictures", content=png.write(width, height, found)).json()["id"]
    before, after = (api.get(f"/pictures/{one}").json()["mean"] for one in (picture, other))
    assert all(abs(one - two) < 3 for one, two in zip(before, after, strict=True))


def test_the_original_stays(api, picture, rows):
    """Whatever is made of it."""
    for operation, query in (("masked", {"box": "0,0,80,80"}), ("grey", {}), ("thumbnail", {"size": 8})):
        made(api, picture, operation, **query)
    assert made(api, picture, "whole") == (WIDTH, HEIGHT, rows)


def test_a_jpeg(api, picture):
    """A picture is had as JPEG, too."""
    answer = api.get(f"/pictures/{picture}/whole", params={"format": "jpeg"})
    assert (answer.headers["Content-Type"], answer.content[:2], answer.content[-2:]) == (
        "image/jpeg",
        b"\xff\xd8",
        b"\xff\xd9",
    )


def test_an_unknown_operation(api, picture):
    """404."""
    assert api.get(f"/pictures/{picture}/improved").status_code == 404


def test_pictures_that_differ_in_a_box(api, picture, rows):
    """The box that holds all differences; no difference from itself."""
    _, _, found = made(api, picture, "masked", box="16,24,32,40")
    other = api.post("/pictures", content=png.write(WIDTH, HEIGHT, found)).json()["id"]
    assert api.get(f"/pictures/{picture}/compared/{other}").json()["box"] == [16, 24, 32, 40]
    assert api.get(f"/pictures/{picture}/compared/{picture}").json() == {"difference": 0, "box": None}


def test_many_at_once(api):
    """Twelve pictures worked on at once: each gets what is its own."""
    colours = [(20 * number, 255 - 20 * number, number) for number in range(12)]
    with ThreadPoolExecutor(12) as pool:
        small = list(pool.map(lambda colour: made(api, plain(api, colour), "thumbnail", size=8), colours))
    assert [png.pixel(rows, width, 0, 0) for width, _, rows in small] == colours


# -------------------------------------------------------------------------------------------------------------- sharing
def test_shares_of_three_pictures(api):
    """Each code leads to its own picture."""
    pictures = [plain(api, (number, 7, 9)) for number in (1, 2, 3)]
    codes = [api.post(f"/pictures/{one}/shares").json()["code"] for one in pictures]
    assert [api.get(f"/shares/{code}").json()["picture"] for code in codes] == pictures


def test_an_ended_share(api, picture):
    """404 for what is shared no more."""
    code = api.post(f"/pictures/{picture}/shares").json()["code"]
    assert [api.delete(f"/shares/{code}").status_code for _ in range(2)] == [204, 404]
    assert api.get(f"/shares/{code}").status_code == 404
