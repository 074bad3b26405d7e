"""Writes a LIF file, for which no writer exists: XML that describes the image, then blocks of pixels."""

import struct

import numpy as np

COLOURS = ("Red", "Green", "Blue")


def lif_bytes(array, *, pixel_um):
    """A LIF file of version 2 with one image.

    Args:
        array: ``(C, Z, Y, X)`` uint8, of up to three channels, which are named by ``COLOURS``.
        pixel_um: Height and width of a pixel in micrometres.
    """
    channels, depth, height, width = array.shape
    described = "".join(
        f'<ChannelDescription DataType="0" ChannelTag="0" Resolution="8" NameOfMeasuredQuantity="" Min="0" Max="255" '
        f'Unit="" LUTName="{name}" IsLUTInverted="0" BytesInc="{number * width * height}" BitInc="0"/>'
        for number, name in zip(range(channels), COLOURS, strict=False)
    )
    sizes = ((width, pixel_um[1], 1), (height, pixel_um[0], width), (depth, 1.0, width * height * channels))
    axes = "".join(
        f'<DimensionDescription DimID="{axis}" NumberOfElements="{size}" Origin="0" Unit="m" '
        f'Length="{(size - 1) * um * 1e-6:.9e}" BitInc="0" BytesInc="{step}"/>'
        for axis, (size, um, step) in enumerate(sizes, start=1)
    )
    xml = (
        '<LMSDataContainerHeader Version="2"><Element Name="a" UniqueID="a"><Data><Experiment Path=""/></Data>'
        '<Memory Size="0" MemoryBlockID="MemBlock_0"/><Children><Element Name="scene 1" UniqueID="b"><Data><Image>'
        f"<ImageDescription><Channels>{described}</Channels><Dimensions>{axes}</Dimensions></ImageDescription></Image>"
        f'</Data><Memory Size="{array.size}" MemoryBlockID="MemBlock_1"/><Children/></Element></Children></Element>'
        "</LMSDataContainerHeader>"
    )
    blocks = {"MemBlock_0": b"", "MemBlock_1": np.ascontiguousarray(array.transpose(1, 0, 2, 3)).tobytes()}
    parts = [_chunk(b"\x2a" + _text(xml))]
    for name, pixels in blocks.items():
        parts += [_chunk(b"\x2a" + struct.pack("<Q", len(pixels)) + b"\x2a" + _text(name)), pixels]
    return b"".join(parts)


def _text(text):
    return struct.pack("<I", len(text)) + text.encode("utf-16-le")


def _chunk(body):
    return struct.pack("<II", 0x70, len(body)) + body
