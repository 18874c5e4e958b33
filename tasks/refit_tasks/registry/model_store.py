"""Storage of fitted models as skops files, which are loaded through an allow-list of types.

Nothing is ever unpickled, and the list of trusted types that MLflow stores beside a model is not read: whoever can
change the model can change that list, too. The allow-list adds to what skops itself trusts.

skops trusts public scikit-learn estimators, numpy's types and ufuncs, and plain values. A hostile file may call any
name on the list with arguments of its choice, so only types and functions belong here that neither run code they are
handed nor write anywhere. Boosting libraries are named without being imported.
"""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
from sklearn.base import BaseEstimator

from refit.errors import ModelError, UntrustedModel, describe_error
from refit.inference.feature_schema import feature_kinds
from refit.project import Project
from refit_tasks.model_files.model_structure import require_bounded_archive, require_sound_model
from refit_tasks.registry.model_signature import KINDS
from refit_tasks.registry.provenance import pin_requirements
from refit_tasks.registry.tracking import TrackedRun
from refit_tasks.scratch import scratch_area

FILE = "model.skops"
"""The file in a model's directory, by the name that MLflow gives it."""


def save_model(model: BaseEstimator, directory: Path) -> None:
    """Writes a fitted model.

    Args:
        model: The fitted estimator.
        directory: The directory to write to; created if it does not exist.

    Raises:
        ModelError: If the model has a part that skops cannot write.
    """
    from skops.io import dump

    directory.mkdir(parents=True, exist_ok=True)
    try:
        dump(model, directory / FILE)
    except (TypeError, ValueError, AttributeError) as error:
        raise ModelError(f"the model cannot be stored ({error}): build the estimator without that object") from error


def load_model(directory: Path, trusted_types: tuple[str, ...]) -> BaseEstimator:
    """Loads a model, and refuses a type outside the allow-list before any object is created.

    Args:
        directory: The directory that `save_model` or MLflow wrote to.
        trusted_types: Full names of further types that the project trusts.

    Returns:
        The fitted estimator.

    Raises:
        UntrustedModel: If the file has a type outside the allow-list, or a part that is not sound.
        ModelError: If there is no skops file, or it is damaged.
    """
    from skops.io import get_untrusted_types, load
    from skops.io.exceptions import UntrustedTypesFoundException

    file = directory / FILE
    if not file.is_file():
        raise ModelError(f"{directory} has no {FILE}, and no other format is loaded: retrain the project")
    trusted = [*TRUSTED, *trusted_types]
    try:
        require_bounded_archive(file)
        model: BaseEstimator = load(file, trusted=trusted)
    except UntrustedTypesFoundException as error:
        unknown = sorted(set(get_untrusted_types(file=file)) - set(trusted))
        raise UntrustedModel(
            f"the model has types outside the allow-list: {', '.join(unknown)}; if you know that they are harmless, "
            f"add trusted_types=({', '.join(map(repr, unknown))},) to the project file"
        ) from error
    except ModelError:
        raise
    except Exception as error:  # a file that is not a complete model makes skops, numpy and zipfile raise anything
        reason = describe_error(error)
        raise ModelError(f"{file} is damaged or cannot be loaded here ({reason}): retrain the project") from error
    require_sound_model(model)
    return model


def log_model(run: TrackedRun, definition: Project, model: BaseEstimator, sample: pd.DataFrame) -> str:
    """Stores a fitted model in MLflow, with its signature and the exact packages it needs.

    Args:
        run: The run that trained it.
        definition: The project, for its trusted types.
        model: The fitted estimator.
        sample: A few rows of features, for the signature.

    Returns:
        The artifact's URI.

    Raises:
        UntrustedModel: If the model has a type outside the allow-list, so that it could never be loaded.
        ModelError: If it has a part that cannot be stored.
    """
    import mlflow.sklearn

    logged = run.client.create_logged_model(run.experiment, "model", source_run_id=run.id)
    with _explain_refusals(definition, model), _silence_hints():
        options = _describe_model(definition, model, sample)
        mlflow.sklearn.log_model(model, model_id=logged.model_id, run_id=run.id, **options)
    return f"models:/{logged.model_id}"


def write_logged_model(definition: Project, model: BaseEstimator, sample: pd.DataFrame, directory: Path) -> None:
    """Writes a fitted model to a directory as `log_model` stores it, without a run or a registry.

    Args:
        definition: The project, for its trusted types.
        model: The fitted estimator.
        sample: A few rows of features, for the signature.
        directory: The directory to write to; it must not exist.

    Raises:
        UntrustedModel: If the model has a type outside the allow-list, so that it could never be loaded.
        ModelError: If it has a part that cannot be stored.
    """
    import mlflow.sklearn

    with _explain_refusals(definition, model), _silence_hints():
        mlflow.sklearn.save_model(model, str(directory), **_describe_model(definition, model, sample))


def _describe_model(definition: Project, model: BaseEstimator, sample: pd.DataFrame) -> dict[str, Any]:
    """Returns what MLflow stores with a model: its form, its signature, its packages and its feature schema."""
    from mlflow.models import infer_signature

    return {
        "serialization_format": "skops",
        "skops_trusted_types": [*TRUSTED, *definition.trusted_types],
        "signature": infer_signature(sample, model.predict(sample)),
        "pip_requirements": pin_requirements(model),
        "metadata": {KINDS: json.dumps(list(feature_kinds(sample).items()))},
    }


@contextmanager
def _explain_refusals(definition: Project, model: BaseEstimator) -> Iterator[None]:
    """Saves and loads a model that MLflow refuses: MLflow does not say what is wrong with it, and this does."""
    from mlflow.exceptions import MlflowException

    try:
        yield
    except MlflowException:
        with scratch_area(definition.name) as scratch:
            save_model(model, scratch)
            load_model(scratch, definition.trusted_types)
        raise


@contextmanager
def _silence_hints() -> Iterator[None]:
    """Silences hints that users cannot act on: integer columns with gaps, MLflow's own type hints, a missing pip."""
    logging.getLogger("mlflow.utils.environment").setLevel(logging.ERROR)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Hint: Inferred schema contains integer column", UserWarning)
        warnings.filterwarnings("ignore", ".*Any type hint is inferred as AnyType", UserWarning)
        yield


TRUSTED = (
    "catboost.core.CatBoostClassifier",
    "catboost.core.CatBoostRegressor",
    "collections.OrderedDict",
    "functools.partial",
    "lightgbm.basic.Booster",
    "lightgbm.sklearn.LGBMClassifier",
    "lightgbm.sklearn.LGBMRegressor",
    "numpy.dtype",
    "numpy.mean",
    "scipy._lib.array_api_compat.numpy._aliases.asarray",
    "scipy.interpolate._bsplines.BSpline",
    "sklearn._loss.loss.HalfTweedieLoss",
    "sklearn._loss.loss.HalfTweedieLossIdentity",
    "sklearn.calibration._CalibratedClassifier",
    "sklearn.calibration._SigmoidCalibration",
    "sklearn.calibration._TemperatureScaling",
    "sklearn.cluster._bisect_k_means._BisectingTree",
    "sklearn.cluster._kmeans._kmeans_single_lloyd",
    "sklearn.compose._column_transformer.make_column_selector",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
    "sklearn.feature_selection._mutual_info.mutual_info_classif",
    "sklearn.feature_selection._mutual_info.mutual_info_regression",
    "sklearn.feature_selection._univariate_selection.chi2",
    "sklearn.feature_selection._univariate_selection.f_classif",
    "sklearn.feature_selection._univariate_selection.f_regression",
    "sklearn.gaussian_process._gpc._BinaryGaussianProcessClassifierLaplace",
    "sklearn.gaussian_process.kernels.CompoundKernel",
    "sklearn.gaussian_process.kernels.ConstantKernel",
    "sklearn.gaussian_process.kernels.DotProduct",
    "sklearn.gaussian_process.kernels.ExpSineSquared",
    "sklearn.gaussian_process.kernels.Exponentiation",
    "sklearn.gaussian_process.kernels.Matern",
    "sklearn.gaussian_process.kernels.PairwiseKernel",
    "sklearn.gaussian_process.kernels.Product",
    "sklearn.gaussian_process.kernels.RBF",
    "sklearn.gaussian_process.kernels.RationalQuadratic",
    "sklearn.gaussian_process.kernels.Sum",
    "sklearn.gaussian_process.kernels.WhiteKernel",
    "sklearn.metrics._classification.accuracy_score",
    "sklearn.metrics._classification.balanced_accuracy_score",
    "sklearn.metrics._classification.brier_score_loss",
    "sklearn.metrics._classification.d2_brier_score",
    "sklearn.metrics._classification.d2_log_loss_score",
    "sklearn.metrics._classification.f1_score",
    "sklearn.metrics._classification.jaccard_score",
    "sklearn.metrics._classification.log_loss",
    "sklearn.metrics._classification.matthews_corrcoef",
    "sklearn.metrics._classification.precision_score",
    "sklearn.metrics._classification.recall_score",
    "sklearn.metrics._dist_metrics.EuclideanDistance64",
    "sklearn.metrics._dist_metrics.ManhattanDistance64",
    "sklearn.metrics._dist_metrics.MinkowskiDistance64",
    "sklearn.metrics._ranking.average_precision_score",
    "sklearn.metrics._ranking.roc_auc_score",
    "sklearn.metrics._ranking.top_k_accuracy_score",
    "sklearn.metrics._regression.d2_absolute_error_score",
    "sklearn.metrics._regression.explained_variance_score",
    "sklearn.metrics._regression.max_error",
    "sklearn.metrics._regression.mean_absolute_error",
    "sklearn.metrics._regression.mean_absolute_percentage_error",
    "sklearn.metrics._regression.mean_gamma_deviance",
    "sklearn.metrics._regression.mean_poisson_deviance",
    "sklearn.metrics._regression.mean_squared_error",
    "sklearn.metrics._regression.mean_squared_log_error",
    "sklearn.metrics._regression.median_absolute_error",
    "sklearn.metrics._regression.r2_score",
    "sklearn.metrics._regression.root_mean_squared_error",
    "sklearn.metrics._regression.root_mean_squared_log_error",
    "sklearn.metrics._scorer._CurveScorer",
    "sklearn.metrics._scorer._PassthroughScorer",
    "sklearn.metrics._scorer._Scorer",
    "sklearn.metrics._scorer.negative_likelihood_ratio",
    "sklearn.metrics._scorer.positive_likelihood_ratio",
    "sklearn.metrics.cluster._supervised.adjusted_mutual_info_score",
    "sklearn.metrics.cluster._supervised.adjusted_rand_score",
    "sklearn.metrics.cluster._supervised.completeness_score",
    "sklearn.metrics.cluster._supervised.fowlkes_mallows_score",
    "sklearn.metrics.cluster._supervised.homogeneity_score",
    "sklearn.metrics.cluster._supervised.mutual_info_score",
    "sklearn.metrics.cluster._supervised.normalized_mutual_info_score",
    "sklearn.metrics.cluster._supervised.rand_score",
    "sklearn.metrics.cluster._supervised.v_measure_score",
    "sklearn.model_selection._split.KFold",
    "sklearn.model_selection._split.StratifiedKFold",
    "sklearn.model_selection._split.TimeSeriesSplit",
    "sklearn.neighbors._ball_tree.BallTree",
    "sklearn.neighbors._kd_tree.KDTree",
    "sklearn.neural_network._stochastic_optimizers.AdamOptimizer",
    "sklearn.neural_network._stochastic_optimizers.SGDOptimizer",
    "sklearn.tree._tree.Tree",
    "sklearn.utils._bunch.Bunch",
    "sklearn.utils._metadata_requests.MetadataRequest",
    "sklearn.utils._metadata_requests.MethodMetadataRequest",
    "sklearn.utils.validation.check_array",
    "xgboost.core.Booster",
    "xgboost.sklearn.XGBClassifier",
    "xgboost.sklearn.XGBRFClassifier",
    "xgboost.sklearn.XGBRFRegressor",
    "xgboost.sklearn.XGBRegressor",
)
"""Full names of types, collected by storing common pipelines."""
