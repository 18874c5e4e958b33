"""An ONNX graph that is added to node by node, in doubles."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from refit_tasks.onnx_export.onnx_trees import Tree, ensemble

OPSETS = {"": 18, "ai.onnx.ml": 5}
"""The versions of the operators: the fifth of the second brought trees in doubles. No other domain is ever used."""
IR_VERSION = 9


class Graph:
    """What is added after a graph that skl2onnx has made, or to none."""

    def __init__(self, start: Any = None) -> None:  # noqa: ANN401 - onnx has no types
        """Begins.

        Args:
            start: The graph to go on from; a copy is changed.
        """
        self._nodes: list[Any] = list(start.node) if start else []
        self._constants: list[Any] = list(start.initializer) if start else []
        self._count = 0

    def add(self, operator: str, *sources: str, **attributes: Any) -> str:  # noqa: ANN401
        """Adds a node.

        Args:
            operator: Its name in ONNX.
            sources: What it takes.
            attributes: How it works.

        Returns:
            The name of what it gives.
        """
        from onnx import helper

        name = self._name()
        self._nodes.append(helper.make_node(operator, list(sources), [name], **attributes))
        return name

    def cast(self, source: str, kind: str) -> str:
        """Adds a change of type.

        Args:
            source: What to change.
            kind: numpy's name for the type.

        Returns:
            The name of the result.
        """
        from onnx import helper

        return self.add("Cast", source, to=helper.np_dtype_to_tensor_dtype(np.dtype(kind)))

    def constant(self, values: npt.NDArray[Any]) -> str:
        """Adds fixed numbers.

        Args:
            values: The numbers.

        Returns:
            Their name.
        """
        from onnx import numpy_helper

        name = self._name()
        self._constants.append(numpy_helper.from_array(values, name))
        return name

    def trees(self, trees: Iterable[Tree], targets: int, source: str) -> str:
        """Adds trees.

        Args:
            trees: The trees.
            targets: How many outputs they add to.
            source: The rows.

        Returns:
            The name of the sums.
        """
        name = self._name()
        self._nodes.append(ensemble(trees, targets, source, name))
        return name

    def model(self, inputs: dict[str, str], output: str) -> Any:  # noqa: ANN401
        """Closes the graph.

        Args:
            inputs: From name to `float64` or `str`, each a column.
            output: What it gives, a table of doubles.

        Returns:
            The ONNX model, checked.
        """
        from onnx import TensorProto, checker, helper

        kinds = {"float64": TensorProto.DOUBLE, "str": TensorProto.STRING}
        takes = [helper.make_tensor_value_info(name, kinds[kind], [None, 1]) for name, kind in inputs.items()]
        gives = [helper.make_tensor_value_info(output, TensorProto.DOUBLE, [None, None])]
        graph = helper.make_graph(self._nodes, "refit", takes, gives, self._constants)
        opsets = [helper.make_opsetid(domain, version) for domain, version in OPSETS.items()]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=IR_VERSION, producer_name="refit")
        checker.check_model(model)
        return model

    def _name(self) -> str:
        self._count += 1
        return f"refit_{self._count}"
