"""A window that shows pictures, with what Python brings along: the headless OpenCV has none."""

from __future__ import annotations

import os
from typing import Any

import cv2
import numpy as np

from briskseg.core.errors import RequestError
from briskseg.core.types import Image

# A window's share of the screen, at most.
_SHARE = 0.9


class Window:
    """Shows one picture after the other; use it in the program's main thread alone.

    Raises RequestError where Python has no tkinter, or there is no display.
    """

    def __init__(self, title: str) -> None:
        try:
            import tkinter
        except ModuleNotFoundError:
            raise RequestError(
                "showing a window needs tkinter, which this Python lacks; install it "
                "(Debian and Ubuntu: python3-tk), or leave out --show"
            ) from None
        try:
            self._root = tkinter.Tk()
        except tkinter.TclError:
            raise RequestError(
                "showing a window needs a display, and there is none "
                f"(DISPLAY is '{os.environ.get('DISPLAY', '')}'); leave out --show"
            ) from None
        self._photo_of = tkinter.PhotoImage
        self._photo: tkinter.PhotoImage | None = None
        self._title = title
        self._root.title(title)
        self._place = tkinter.Label(self._root, borderwidth=0)
        self._place.pack()
        self.is_open = True
        self._root.protocol("WM_DELETE_WINDOW", self._ask_to_close)
        for key in ("<Escape>", "q"):
            self._root.bind(key, self._ask_to_close)

    def show(self, picture_hwc: Image, caption: str = "") -> bool:
        """Show a picture (H, W, 3) uint8 RGB, made smaller where the screen is; `caption` joins the
        title. False once the user has closed the window, or pressed q or Escape."""
        screen = self._root.winfo_screenheight(), self._root.winfo_screenwidth()
        height, width = picture_hwc.shape[:2]
        share = min(1.0, _SHARE * screen[0] / height, _SHARE * screen[1] / width)
        if share < 1:
            size = (max(1, int(width * share)), max(1, int(height * share)))
            smaller = cv2.resize(picture_hwc, size, interpolation=cv2.INTER_AREA)
            picture_hwc = np.asarray(smaller, dtype=np.uint8)
        head = f"P6 {picture_hwc.shape[1]} {picture_hwc.shape[0]} 255 ".encode()
        photo = self._photo_of(master=self._root, data=head + picture_hwc.tobytes(), format="PPM")
        self._place.configure(image=photo)
        self._photo = photo  # tkinter keeps none of its own
        self._root.title(f"{self._title}  {caption}")
        self._root.update()
        return self.is_open

    def close(self) -> None:
        """Take the window from the screen; it shows nothing afterwards."""
        self._place.configure(image="")
        self._root.destroy()
        # Tk must end in the thread that began it: left to the garbage collector, whichever thread
        # it runs in would wait for the main one, or abort.
        del self._photo, self._place, self._root

    def _ask_to_close(self, *_: Any) -> None:
        self.is_open = False
