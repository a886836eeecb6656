"""The local page of ``dcgan-analyze annotate``: boxes, exemplars, exploring; needs the extra ``annotate``.

workspace   samples, boxes and exemplars of one folder, saved at once; no browser
explorer    one image from a walk or from arithmetic, with maps switched off; no browser
server      the loopback server and who may talk to it
*_view      what the browser shows
"""

from __future__ import annotations
