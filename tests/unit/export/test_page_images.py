"""The exported page reads images exactly as they are stored, and writes PNG files that others read."""

import base64
import io

import cv2
import numpy as np
import pytest
import tifffile
from page_scripts import call, copy_scripts, needs_node
from PIL import Image

from unet_repro.export.npm import GEOTIFF, read_members
from unet_repro.stacks.reading import open_stack

pytestmark = needs_node
RNG = np.random.default_rng(0)
DECODE = """(async () => {
    globalThis.GeoTIFF = globalThis.GeoTIFF ?? (await import("./geotiff.js").catch(() => null));
    const results = [];
    for (const text of given) {
        try {
            const source = await openImage(new Blob([Buffer.from(text, "base64")]));
            const pages = [];
            for (let page = 0; page < source.pages; page++) {
                const { width, height, planes, names, alpha } = await source.read(page);
                pages.push({ width, height, names, alpha, planes: planes.map((plane) => Array.from(plane)) });
            }
            results.push(pages);
        } catch (error) {
            results.push(error.message);
        }
    }
    return results;
})()"""

# Where the package is in the cache of the person who runs the tests; their own home is replaced later.
TIFF_READER = read_members(GEOTIFF, ["dist-browser/geotiff.js"])[0] if GEOTIFF.cached.exists() else None


@pytest.fixture(scope="module")
def scripts(tmp_path_factory):
    folder = copy_scripts(tmp_path_factory.mktemp("scripts"))
    if TIFF_READER is not None:
        (folder / "geotiff.cjs").write_bytes(TIFF_READER)
        (folder / "geotiff.js").write_text(
            'import geotiff from "./geotiff.cjs";\nexport const { fromArrayBuffer } = geotiff;'
        )
    return folder


def decode(scripts, *contents):
    return call(scripts, "openImage from reading", DECODE, [base64.b64encode(each).decode() for each in contents])


def pillow_png(image, **options):
    file = io.BytesIO()
    image.save(file, "PNG", **options)
    return file.getvalue()


def opencv_png(shape, dtype=np.uint8):
    return cv2.imencode(".png", RNG.integers(0, np.iinfo(dtype).max, shape, dtype))[1].tobytes()


def palette_png():
    image = Image.fromarray(RNG.integers(0, 4, (13, 17), np.uint8))
    image.putpalette([0, 0, 0, 230, 159, 0, 86, 180, 233, 0, 158, 115])
    return pillow_png(image, bits=2)


def smooth_png():
    return cv2.imencode(".png", np.add.outer(np.arange(40), 2 * np.arange(50)).astype(np.uint8))[1].tobytes()


OPAQUE = np.dstack([RNG.integers(0, 256, (13, 17, 3), np.uint8), np.full((13, 17), 255, np.uint8)])
PNGS = {
    "grey 8": opencv_png((13, 17)),
    "grey 16": opencv_png((13, 17), np.uint16),
    "colour 8": opencv_png((13, 17, 3)),
    "colour 16": opencv_png((13, 17, 3), np.uint16),
    "opaque": pillow_png(Image.fromarray(OPAQUE)),
    "palette": palette_png(),
    "two values": pillow_png(Image.fromarray(RNG.integers(0, 2, (13, 17), np.uint8).astype(bool))),
    "smooth": smooth_png(),
}


@pytest.mark.parametrize("kind", PNGS)
def test_a_png_is_read_as_stored(kind, scripts, tmp_path):
    content = PNGS[kind]
    (tmp_path / "image.png").write_bytes(content)
    ((page,),) = decode(scripts, content)
    with open_stack(tmp_path / "image.png", channels=None) as stack:
        expected = stack.read(0, 0, 0, stack.height, stack.width)
    planes = page["planes"][: len(expected)]  # an opaque transparency is left out later
    np.testing.assert_array_equal(np.reshape(planes, expected.shape), expected)
    assert page["alpha"] == (kind == "opaque")


TIFFS = {
    "plain": ((31, 45), np.uint8, {}),
    "16 bit, LZW, predictor": ((31, 45), np.uint16, {"compression": "lzw", "predictor": True}),
    "16 bit, big-endian": ((31, 45), np.uint16, {"byteorder": ">"}),
    "RGB, Deflate, tiled": ((70, 45, 3), np.uint8, {"compression": "zlib", "tile": (32, 32), "photometric": "rgb"}),
    "RGB 16, separate": ((3, 31, 45), np.uint16, {"planarconfig": "separate", "photometric": "rgb"}),
    "float32": ((31, 45), np.float32, {"compression": "zlib"}),
    "white is zero": ((31, 45), np.uint8, {"photometric": "miniswhite"}),
    "PackBits": ((31, 45), np.uint8, {"compression": "packbits"}),
    "BigTIFF, strips": ((31, 45), np.uint16, {"bigtiff": True, "rowsperstrip": 4}),
    "stack": ((3, 31, 45), np.uint16, {"photometric": "minisblack"}),
}


@pytest.mark.skipif(TIFF_READER is None, reason=f"needs {GEOTIFF} in the cache: python -m unet_repro.export.npm")
@pytest.mark.parametrize("kind", TIFFS)
def test_a_tiff_is_read_as_stored(kind, scripts, tmp_path):
    shape, dtype, options = TIFFS[kind]
    options = dict(options)
    path = tmp_path / "image.tif"
    with tifffile.TiffWriter(
        path, bigtiff=options.pop("bigtiff", False), byteorder=options.pop("byteorder", "<")
    ) as tif:
        tif.write((RNG.random(shape) * 250).astype(dtype), **options)
    (pages,) = decode(scripts, path.read_bytes())
    with open_stack(path, channels=None) as stack:
        assert len(pages) == stack.num_planes
        for number, page in enumerate(pages):
            expected = stack.read(number, 0, 0, stack.height, stack.width)
            np.testing.assert_array_equal(np.reshape(page["planes"], expected.shape), expected)
            assert page["names"] == list(stack.channel_names)


@pytest.mark.skipif(TIFF_READER is None, reason=f"needs {GEOTIFF} in the cache: python -m unet_repro.export.npm")
def test_a_truncated_tiff_is_refused(scripts, tmp_path):
    tifffile.imwrite(tmp_path / "image.tif", RNG.integers(0, 256, (64, 64), np.uint8))
    content = (tmp_path / "image.tif").read_bytes()
    assert decode(scripts, content[:-100]) == ["The TIFF is truncated."]


def test_what_is_no_image_is_refused_with_the_reason(scripts):
    png = PNGS["grey 8"]
    damaged = bytearray(png)
    damaged[60] ^= 255
    found = decode(scripts, b"", b"%PDF-1.7", png[:-40], bytes(damaged))
    assert found[0] == "The file is empty."
    assert "PNG, JPEG and TIFF" in found[1]
    assert found[2] == "The file is truncated."
    assert "damaged" in found[3]


def test_a_jpeg_tells_its_channels(scripts):
    jpegs = [cv2.imencode(".jpg", np.zeros(shape, np.uint8))[1].tobytes() for shape in ((9, 9), (9, 9, 3))]
    given = [base64.b64encode(each).decode() for each in jpegs]
    expression = 'given.map((text) => jpegChannels(new Uint8Array(Buffer.from(text, "base64"))))'
    assert call(scripts, "jpegChannels from reading", expression, given) == [1, 3]


@pytest.mark.parametrize(
    ("dtype", "palette"), [(np.uint16, None), (np.uint8, [[0, 0, 0], [230, 159, 0], [86, 180, 233]])]
)
def test_a_written_png_has_the_values(dtype, palette, scripts):
    values = RNG.integers(0, 3 if palette else 65536, (21, 34)).astype(dtype)
    expression = f"""(async () => {{
        const values = Uint{8 * values.itemsize}Array.from(given.values);
        const file = await encodePng(34, 21, values, given.palette);
        return Buffer.from(await file.arrayBuffer()).toString("base64");
    }})()"""
    text = call(scripts, "encodePng from png", expression, {"values": values.ravel().tolist(), "palette": palette})
    with Image.open(io.BytesIO(base64.b64decode(text))) as image:
        np.testing.assert_array_equal(np.asarray(image), values)
        if palette:
            assert image.getpalette()[:9] == [value for colour in palette for value in colour]
