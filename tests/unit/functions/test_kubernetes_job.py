"""What the state of a Job and its pods tells of a bot."""

from typing import Any, cast

import pytest
from lightkube.resources.batch_v1 import Job
from lightkube.resources.core_v1 import Pod

from vexa_events.launch import LEAVE_LIMIT_S, AutomaticLeave
from vexa_functions.bots.launchers.choosing import job_shape
from vexa_functions.bots.launchers.kubernetes_job import job_of, seen
from vexa_functions.bots.launchers.launcher import Exited, NewBot, Observation, Running, Starting
from vexa_functions.bots.settings import BotsSettings

ENV = {
    "DATABASE_URL": "postgresql://localhost/vexa",
    "REDIS_URL": "redis://localhost",
    "TOKEN_SIGNING_KEY": "k" * 32,
    "K_SINK": "http://localhost",
    "BOT_RUN_DIR": "run",
    "BOT_MANAGER_URL": "http://localhost",
    "STREAM_URL": "ws://localhost",
}


def _job(condition: str | None = None, *, suspend: bool = False) -> Job:
    conditions = [{"type": condition, "status": "True", "reason": "BackoffLimitExceeded"}] if condition else []
    return cast(
        "Job", Job.from_dict({"spec": {"suspend": suspend, "template": {}}, "status": {"conditions": conditions}})
    )


def _pod(phase: str, *, reason: str | None = None, ended: dict[str, Any] | None = None) -> Pod:
    container = {"name": "bot", "image": "", "imageID": "", "ready": False, "restartCount": 0}
    statuses = [container | {"state": {"terminated": ended}}] if ended else []
    return cast("Pod", Pod.from_dict({"status": {"phase": phase, "reason": reason, "containerStatuses": statuses}}))


@pytest.mark.parametrize(
    ("job", "pods", "expected"),
    [
        (_job("Suspended", suspend=True), [], Exited(None, "was suspended")),
        (_job("Suspended", suspend=True), [_pod("Running")], Running()),
        (_job("Suspended"), [], Starting()),
        (_job("Suspended"), [_pod("Running")], Running()),
        (_job(), [_pod("Pending")], Starting()),
    ],
    ids=["stopped", "on its way out", "just launched", "just begun", "not yet"],
)
def test_a_bot_ends_with_its_pod_and_not_with_a_word_about_its_job(
    job: Job, pods: list[Pod], expected: Observation
) -> None:
    """A condition lags behind the order, and a pod has its time to end."""
    assert seen(job, pods) == expected


@pytest.mark.parametrize(
    ("pod", "expected"),
    [
        (_pod("Failed", ended={"exitCode": 137, "reason": "OOMKilled"}), Exited(137, "OOMKilled")),
        (_pod("Failed", reason="Evicted", ended={"exitCode": 137, "reason": "Error"}), Exited(137, "Evicted")),
        (_pod("Failed", reason="Evicted"), Exited(None, "Evicted")),
        (_pod("Failed", ended={"exitCode": 1, "reason": "Error"}), Exited(1, "BackoffLimitExceeded")),
    ],
    ids=["out of memory", "evicted", "evicted without a code", "failed"],
)
def test_what_ended_a_pod_is_told(pod: Pod, expected: Exited) -> None:
    """Rather than that its Job does not try again."""
    assert seen(_job("Failed"), [pod]) == expected


def test_a_bot_that_is_told_to_end_gets_the_time_that_its_limits_come_to() -> None:
    """To leave, to store and to report, however long an administrator lets that take."""
    settings = BotsSettings.from_env(ENV | {"BOT_TERMINATE_LIMIT_S": "60"})

    job = job_of(NewBot(session_uid="s", meeting_id=1, env={}), job_shape(settings))

    assert job.spec is not None
    assert job.spec.template.spec is not None
    assert (job.spec.template.spec.terminationGracePeriodSeconds or 0) > LEAVE_LIMIT_S + 2 * 60


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({}, {"type": "RuntimeDefault"}),
        ({"BOT_SECCOMP_PROFILE": "vexa/bot.json"}, {"type": "Localhost", "localhostProfile": "vexa/bot.json"}),
    ],
)
def test_a_pod_has_the_seccomp_profile_that_is_set(env: dict[str, str], expected: dict[str, str]) -> None:
    """Never none."""
    job = job_of(NewBot(session_uid="s", meeting_id=1, env={}), job_shape(BotsSettings.from_env(ENV | env)))

    assert job.to_dict()["spec"]["template"]["spec"]["securityContext"]["seccompProfile"] == expected


def test_no_job_is_ended_before_the_longest_stay_that_a_request_may_ask_for() -> None:
    """After the longest wait, and with the time to store what was heard last."""
    settings = BotsSettings.from_env(ENV)
    patient = AutomaticLeave(waiting_room_s=7_200, max_age_s=43_200)
    asked_s = sum(limit_s for limit_s in (patient.waiting_room_s, patient.max_age_s) if limit_s)

    job = job_of(NewBot(session_uid="s", meeting_id=1, env={}), job_shape(settings))

    assert job.spec is not None
    assert (job.spec.activeDeadlineSeconds or 0) > settings.join_limit_s + asked_s + settings.flush_limit_s
