"""Ask Helm's own engine: one order in JSON on the standard input, the answer on the output."""

import json
import sys

import helm_python


def answer(order):
    """Render, lint or check values."""
    if order["what"] == "lint":
        return helm_python.lint(order["chart"], order["values"], strict=True)
    with helm_python.Chart.load(order["chart"]) as chart:
        if order["what"] == "merge":
            return chart.merge_values(order["values"])
        try:
            chart.validate_schema(chart.merge_values(order["values"]))
            return chart.render(order["values"], name="hub", namespace="metering")
        except helm_python.HelmError as error:
            return f"refused: {error}"


if __name__ == "__main__":
    print(json.dumps(answer(json.load(sys.stdin))))
