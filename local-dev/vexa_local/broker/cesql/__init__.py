"""The CloudEvents expression language, version 1.0, as Knative's `cesql` filters use it."""

from vexa_local.broker.cesql.evaluation import evaluate
from vexa_local.broker.cesql.parser import parse_expression
from vexa_local.broker.cesql.values import FailedExpression

__all__ = ["FailedExpression", "evaluate", "parse_expression"]
