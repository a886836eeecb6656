"""What people mark on generated samples: boxes around objects, exemplars of concepts; and boxes found by rules.

boxes       boxes of one object on samples, our JSON or COCO
cells       boxes -> positions of a feature map
rules       boxes of coloured or bright patches, found without a hand
exemplars   samples that stand for concepts, by seed and index
documents   reading and writing of such files, whole or not at all
"""

from __future__ import annotations

from dcgan_analysis.annotations.boxes import Box, Boxes, read_boxes
from dcgan_analysis.annotations.exemplars import Exemplars, find_exemplars, read_exemplars

__all__ = ["Box", "Boxes", "Exemplars", "find_exemplars", "read_boxes", "read_exemplars"]
