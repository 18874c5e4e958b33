"""The form in which a promoted model serves: where the setting asks for scikit-learn, no other is made."""

from __future__ import annotations

import pytest

from refit import Project
from refit.errors import DataError
from refit.gate.evaluations import Judgement
from refit.inference.onnx_choice import SKLEARN
from refit_tasks.evaluation.serving_runtime import choose_serving_form


def test_the_setting_has_no_onnx_form_made(rentals: Project, evidence, monkeypatch: pytest.MonkeyPatch) -> None:
    model, comparison, verdict, ingestion = evidence()
    judgement = Judgement(model, comparison, rentals.gate, verdict, None, ingestion)
    holdout = comparison.holdout
    with pytest.raises(DataError):  # whoever makes one reads the holdout first, which is not there
        choose_serving_form.fn(rentals, judgement, holdout)
    monkeypatch.setenv("REFIT_SERVING_FORM", "scikit-learn")
    form = choose_serving_form.fn(rentals, judgement, holdout).form
    assert form is not None
    assert (form.name, form.rows, form.sha256) == (SKLEARN, 0, "")
    assert form.why == "there is no ONNX form: REFIT_SERVING_FORM asks for scikit-learn"


def test_of_a_rejected_model_no_form_is_made(rentals: Project, evidence) -> None:
    model, comparison, verdict, ingestion = evidence(promote=False)
    judgement = Judgement(model, comparison, rentals.gate, verdict, None, ingestion)
    assert choose_serving_form.fn(rentals, judgement, comparison.holdout) is judgement
