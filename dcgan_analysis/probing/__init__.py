"""What probes of features share: the study of a network and its twin, few labels, classification, published rows."""

from __future__ import annotations
