"""Places for the maps of a table accelerator in its activation memory."""

from dataclasses import replace

from downshift.hw.errors import DownshiftError
from downshift.sw.compile.free_places import lowest_places, map_lives
from downshift.sw.compile.word_map import WordMap
from downshift.sw.compile.word_plan import Plan
from downshift.sw.graph.integer_graph import INPUT

__all__ = ["place_maps"]


def place_maps(plan: Plan, *, capacity: int, what: str) -> Plan:
    """Give every map a place.

    Maps get places of their own while all of them fit, so that each can be read after a frame; else
    a map takes the lowest place that is free from the step that gives it to the last that takes it.

    Parameters
    ----------
    plan : Plan
    capacity : int
        Bytes of activation memory.
    what : str
        Network and width, for messages.

    Raises
    ------
    DownshiftError
        If the maps that live at once do not fit; names the layer, and says by how much.
    """
    maps: dict[str, WordMap] = {}
    if sum(entry.size for entry in plan.maps.values()) <= capacity:
        base = 0
        for name, entry in plan.maps.items():
            maps[name] = replace(entry, base=base)
            base = maps[name].end
        return replace(plan, maps=maps)

    lives = map_lives(INPUT, [(step.target, (step.source, step.residual)) for step in plan.steps])
    bases = lowest_places({name: entry.size for name, entry in plan.maps.items()}, lives)
    for name, entry in plan.maps.items():
        base = bases[name]
        if base + entry.size > capacity:
            layer = plan.steps[max(lives[name][0], 0)].layer
            raise DownshiftError(
                f"Layer {layer.name} of {what} needs {base + entry.size:,} bytes of activation "
                f"memory with the maps that live beside it, the accelerator has {capacity:,}: "
                f"{base + entry.size - capacity:,} too few; use a TableConfig with more "
                "activation_depth"
            )
        maps[name] = replace(entry, base=base)
    return replace(plan, maps=maps)
