"""Makes images for tests, and reads their format, size and pixels, without libraries."""

import base64
import struct
import zlib


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(
        ">I", zlib.crc32(kind + data))


def png_header(width, height, color=2):
    return b"\x89PNG\r\n\x1a\n" + chunk(
        b"IHDR", struct.pack(">IIBBBBB", width, height, 8, color, 0, 0, 0))


def png(width, height, alpha=False, animated=False):
    """A gradient, so that positions differ: red grows to the right, green downwards."""
    rows = bytearray()
    for y in range(height):
        rows.append(0)
        for x in range(width):
            rows += bytes((x * 255 // width, y * 255 // height, 0))
            if alpha:
                rows.append(128)
    control = chunk(b"acTL", struct.pack(">II", 1, 0)) if animated else b""
    return (png_header(width, height, 6 if alpha else 2) + control
            + chunk(b"IDAT", zlib.compress(bytes(rows))) + chunk(b"IEND", b""))


def png_bomb(width, height):
    """A valid image, all black, that is very small when compressed."""
    z = zlib.compressobj(9)
    row = bytes(1 + width * 3)
    packed = b"".join(z.compress(row) for _ in range(height)) + z.flush()
    return png_header(width, height) + chunk(b"IDAT", packed) + chunk(b"IEND", b"")


def gif(width, height, frames=1):
    """Each frame has one color; LZW without compression."""
    out = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x81, 0, 0)
    out += bytes((255, 0, 0, 0, 255, 0, 0, 0, 255, 255, 255, 255))
    out += b"\x21\xff\x0bNETSCAPE2.0\x03\x01\x00\x00\x00"
    for f in range(frames):
        out += b"\x21\xf9\x04\x04\x0a\x00\x00\x00"
        out += b"\x2c" + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\x02"
        bits = size = 0
        packed = bytearray()
        codes = []
        for i in range(width * height):
            if i % 2 == 0:
                codes.append(4)  # clear, before the codes grow
            codes.append(f % 4)
        for code in [*codes, 5]:
            bits |= code << size
            size += 3
            while size >= 8:
                packed.append(bits & 255)
                bits >>= 8
                size -= 8
        packed.append(bits & 255)
        for i in range(0, len(packed), 255):
            out += bytes((len(packed[i:i + 255]),)) + packed[i:i + 255]
        out += b"\0"
    return out + b"\x3b"


def jpeg(width, height, orientation=None):
    """All of one grey: every block is a difference of zero and an end of block."""
    blocks = ((width + 7) // 8) * ((height + 7) // 8)
    exif = b""
    if orientation:
        tiff = b"MM\0\x2a\0\0\0\x08\0\1" + struct.pack(">HHIHH", 0x112, 3, 1, orientation, 0)
        data = b"Exif\0\0" + tiff + b"\0\0\0\0"
        exif = b"\xff\xe1" + struct.pack(">H", len(data) + 2) + data
    table = b"\xff\xdb\0\x43\0" + bytes([1] * 64)
    frame = b"\xff\xc0\0\x0b\x08" + struct.pack(">HH", height, width) + b"\1\1\x11\0"
    one_code = bytes([1] + [0] * 15) + b"\0"  # the code 0 means 0
    huffman = b"\xff\xc4\0\x14\0" + one_code + b"\xff\xc4\0\x14\x10" + one_code
    scan = b"\xff\xda\0\x08\1\1\0\0\x3f\0"
    return (b"\xff\xd8" + exif + table + frame + huffman + scan
            + bytes((blocks * 2 + 7) // 8) + b"\xff\xd9")


def size_of(image):
    """(format, width, height, is it animated?)"""
    if image[:4] == b"\x89PNG":
        return ("png", *struct.unpack(">II", image[16:24]), b"acTL" in image)
    if image[:3] == b"GIF":
        return ("gif", *struct.unpack("<HH", image[6:10]), image.count(b"\x21\xf9\x04") > 1)
    if image[:4] == b"RIFF" and image[12:16] == b"VP8X":
        w, h = (int.from_bytes(image[i:i + 3], "little") + 1 for i in (24, 27))
        return "webp", w, h, b"ANMF" in image
    if image[:2] == b"\xff\xd8":
        at = 2
        while image[at + 1] not in (0xC0, 0xC2):
            at += 2 + int.from_bytes(image[at + 2:at + 4], "big")
        h, w = struct.unpack(">HH", image[at + 5:at + 9])
        return "jpeg", w, h, False
    raise ValueError(f"no image: {image[:16]}")


def png_pixel(image, x, y):
    """A pixel of a PNG with 8-bit RGB or RGBA."""
    at, data, n = 8, b"", 4 if image[25] == 6 else 3
    while at < len(image):
        length, kind = struct.unpack(">I4s", image[at:at + 8])
        data += image[at + 8:at + 8 + length] if kind == b"IDAT" else b""
        at += length + 12
    width = struct.unpack(">I", image[16:20])[0]
    raw, before = zlib.decompress(data), bytearray(width * n)
    for row in range(y + 1):
        kind, line = raw[row * (width * n + 1)], bytearray(
            raw[row * (width * n + 1) + 1:(row + 1) * (width * n + 1)])
        for i in range(len(line)):
            a = line[i - n] if i >= n else 0
            b, c = before[i], before[i - n] if i >= n else 0
            p = a + b - c
            paeth = min((abs(p - v), k, v) for k, v in enumerate((a, b, c)))[2]
            line[i] = (line[i] + (0, a, b, (a + b) // 2, paeth)[kind]) & 255
        before = line
    return tuple(before[x * n:x * n + n])


# 400x300, all of one grey.
WEBP = base64.b64decode(
    "UklGRuABAABXRUJQVlA4WAoAAAAIAAAAjwEAKwEAVlA4IAABAACwHACdASqQASwBPpFIok0lpCMiICgAsBIJaW7h"
    "d2EbQAnsA99snIe+2TkPfbJyHvtk5D32ych77ZOQ99snIe+2TkPfbJyHvtk5D32ych77ZOQ99snIe+2TkPfbJyHv"
    "tk5D32ych77ZOQ99snIe+2TkPfbJyHvtk5D32ych77ZOQ99snIe+2TkPfbJyHvtk5D32ych77ZOQ99snIe+2TkPf"
    "bJyHvtk5D32ych77ZOQ99snIe+2TkPfbJyHvtk5D32ych77ZOQ99snIe+2TkPfbJyHvtk5D32ych77ZOQ99snIe+"
    "2TkPfbJyHvtk5D1gAP7/CaAAAAAAAAAAAAAAAAAARVhJRroAAABFeGlmAABJSSoACAAAAAYAEgEDAAEAAAABAAAA"
    "GgEFAAEAAABWAAAAGwEFAAEAAABeAAAAKAEDAAEAAAACAAAAEwIDAAEAAAABAAAAaYcEAAEAAABmAAAAAAAAADhj"
    "AADoAwAAOGMAAOgDAAAGAACQBwAEAAAAMDIxMAGRBwAEAAAAAQIDAACgBwAEAAAAMDEwMAGgAwABAAAA//8AAAKg"
    "BAABAAAAkAEAAAOgBAABAAAALAEAAAAAAAA="
)
AVIF = base64.b64decode(
    "AAAAHGZ0eXBhdmlmAAAAAGF2aWZtaWYxbWlhZgAAAOptZXRhAAAAAAAAACFoZGxyAAAAAAAAAABwaWN0AAAAAAAA"
    "AAAAAAAAAAAAAA5waXRtAAAAAAABAAAAImlsb2MAAAAAREAAAQABAAAAAAEOAAEAAAAAAAAAJAAAACNpaW5mAAAA"
    "AAABAAAAFWluZmUCAAAAAAEAAGF2MDEAAAAAamlwcnAAAABLaXBjbwAAABNjb2xybmNseAACAAIABoAAAAAMYXYx"
    "Q4EADAAAAAAUaXNwZQAAAAAAAAGQAAABLAAAABBwaXhpAAAAAAMICAgAAAAXaXBtYQAAAAAAAAABAAEEgYIDhAAA"
    "ACxtZGF0EgAKChgiMfK2CBAQNCAyFBMgAAAUAcBznSgjk9d60/ZqksbQ"
)
