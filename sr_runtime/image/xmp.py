"""XMP: the properties that stay true when an image is upscaled, as exif.py does for EXIF."""

from typing import Any
from xml.dom import Node, minidom

__all__ = ["PNG_KEYWORD", "descriptive_xmp"]

PNG_KEYWORD = b"XML:com.adobe.xmp"

LARGEST = 2**23
"""Bytes; a larger packet is left out, since taking it apart takes many times its size."""

TIFF, EXIF = "http://ns.adobe.com/tiff/1.0/", "http://ns.adobe.com/exif/1.0/"
# fmt: off
KEPT_OF_TIFF = {
    "Artist", "Copyright", "DateTime", "ImageDescription", "Make", "Model", "Software",
    "XResolution", "YResolution", "ResolutionUnit",
}
STALE_OF_EXIF = {"ColorSpace", "PixelXDimension", "PixelYDimension"}
# Thumbnails, and what describes data or settings that the new file does not have: gain maps and
# videos behind the photo, extended XMP, raw development, a panorama's size in pixels.
STALE_NAMESPACES = {
    "http://ns.adobe.com/xap/1.0/g/img/", "http://ns.adobe.com/hdr-gain-map/1.0/",
    "http://ns.apple.com/HDRGainMap/1.0/", "http://ns.google.com/photos/1.0/camera/",
    "http://ns.google.com/photos/1.0/container/", "http://ns.google.com/photos/1.0/image/",
    "http://ns.google.com/photos/1.0/depthmap/", "http://ns.google.com/photos/1.0/panorama/",
    "http://ns.adobe.com/xmp/note/", "http://ns.adobe.com/camera-raw-settings/1.0/",
}
STALE = {
    ("http://ns.adobe.com/xap/1.0/", "Thumbnails"),
    ("http://ns.adobe.com/photoshop/1.0/", "ICCProfile"),
    ("http://www.metadataworkinggroup.com/schemas/regions/", "AppliedToDimensions"),
}
# fmt: on


def descriptive_xmp(packet: bytes | str | None) -> bytes | None:
    """`packet` without what describes how the old file stores its pixels; None if it is damaged."""
    if isinstance(packet, str):
        packet = packet.encode()
    if not packet or len(packet) > LARGEST or b"<!" in packet.replace(b"<!--", b""):
        return None  # entities, which XMP does not have, can grow without bound
    try:
        document = minidom.parseString(packet.strip(b"\0 \r\n\t"))
        _remove_stale(document)
        kept = "".join(node.toxml() for node in document.childNodes).encode()
        document.unlink()
    except Exception:  # damaged XML raises nearly anything and must not cost the photo
        return None
    return kept


def _remove_stale(document: Any) -> None:
    waiting = list(document.childNodes)
    while waiting:
        node = waiting.pop()
        if node.nodeType != Node.ELEMENT_NODE:
            continue
        if _is_stale(node):
            node.parentNode.removeChild(node)
            continue
        for attribute in list(node.attributes.values()):
            if _is_stale(attribute):
                node.removeAttributeNode(attribute)
        waiting += node.childNodes


def _is_stale(node: Any) -> bool:
    space, name = node.namespaceURI, node.localName
    match space:
        case str() if space == TIFF:
            return name not in KEPT_OF_TIFF
        case str() if space == EXIF:
            return name in STALE_OF_EXIF
        case _:
            return space in STALE_NAMESPACES or (space, name) in STALE
