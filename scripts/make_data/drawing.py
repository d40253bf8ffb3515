"""Draw the figure of the paper."""

from fonts import SANS
from reportlab.graphics.shapes import Drawing, Line, PolyLine, Rect, String
from typeset import BLUE, INK, PALE, RULE

# Mean difference between gauge and staff, in millimetres, for the months 0, 3, 6, ... 36.
DRIFT = [0.0, 0.2, 0.3, 0.5, 0.7, 3.4, 7.0, 7.1, 7.0, 6.9, 7.1, 7.0, 7.2]
CAPTION = "Figure 1. Mean drift of the gauges over three years."


def draw_drift(width: float) -> Drawing:
    """Plot the drift; its words are text in the PDF, as they are in most papers."""
    height, left, bottom = 165, 26, 44
    plot_width, plot_height = width - left - 8, height - bottom - 14

    def place(month: float, drift: float) -> tuple[float, float]:
        return left + plot_width * month / 36, bottom + plot_height * drift / 8

    drawing = Drawing(width, height)
    start, end = place(12, 0), place(17, 8)
    drawing.add(
        Rect(*start, end[0] - start[0], end[1] - start[1], fillColor=PALE, strokeColor=None)
    )
    for drift in range(0, 9, 2):
        x, y = place(0, drift)
        drawing.add(Line(x, y, x + plot_width, y, strokeColor=RULE, strokeWidth=0.4))
        drawing.add(write(f"{drift}", x - 5, y - 3, "end"))
    for month in range(0, 37, 6):
        x, y = place(month, 0)
        drawing.add(write(f"{month}", x, y - 11, "middle"))
    points = [place(3 * index, drift) for index, drift in enumerate(DRIFT)]
    drawing.add(PolyLine(points, strokeColor=BLUE, strokeWidth=1.6))
    drawing.add(write("drift in millimetres", left, height - 8, "start"))
    drawing.add(write("months after installation", left + plot_width / 2, bottom - 23, "middle"))
    drawing.add(write("second winter", end[0] + 4, bottom + 8, "start"))
    drawing.add(write(CAPTION, 0, 4, "start"))
    return drawing


def write(text: str, x: float, y: float, anchor: str) -> String:
    return String(x, y, text, textAnchor=anchor, fontName=SANS, fontSize=7.5, fillColor=INK)
