"""How much of an accelerator's memories a compiled network takes."""

from downshift.hw.region import Region
from downshift.sw.compile.image import Image

__all__ = ["memory_use"]


def memory_use(image: Image) -> dict[str, tuple[int, int]]:
    """Bytes that an image takes of each memory, and bytes that there are.

    Parameters
    ----------
    image : Image

    Returns
    -------
    dict of str to (int, int)
        By name of the region: "activations", "program", "weights", "parameters".
    """
    used = {Region(section): len(body) for section, body in image.sections().items()}
    used[Region.ACTIVATIONS] = max(entry.end for maps in image.maps.values() for entry in maps)
    there = {region: size * depth for region, (size, depth) in image.config.regions.items()}
    return {region.name.lower(): (used[region], there[region]) for region in Region}
