"""Settings with which every demonstration runs in a moment."""

QUICK = {
    "constructive-approximation": {
        "line_ratios": (5.0, 8.0),
        "plane_ratios": (5.0, 6.0),
        "training_steps": 1,
    },
    "curve-fit": {"points": 12, "steps": 20},
    "gradient-flow": {"hidden": 4, "rows": 5, "width": 3, "images": 4, "training_steps": 2},
    "linear-regression": {"examples": 20, "steps": 20},
    "low-rank": {"rows": 4, "columns": 3, "rank": 1, "starts": 2, "steps": 20},
    "shifted-relu": {"examples": 8, "hidden": 3, "steps": 5},
}
