"""
A bot as Kubernetes objects, and what their state tells: no client here.

Everything a bot is told lies in a Secret that belongs to the Job and is deleted
with it; the Job itself holds no secret. A Job is made suspended, so that no pod
starts before its Secret is there.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lightkube.models.batch_v1 import JobSpec
from lightkube.models.core_v1 import (
    Capabilities,
    ConfigMapVolumeSource,
    Container,
    ContainerStateTerminated,
    EmptyDirVolumeSource,
    EnvFromSource,
    PodSecurityContext,
    PodSpec,
    PodTemplateSpec,
    ResourceRequirements,
    SeccompProfile,
    SecretEnvSource,
    SecurityContext,
    Volume,
    VolumeMount,
)
from lightkube.models.meta_v1 import ObjectMeta, OwnerReference
from lightkube.resources.batch_v1 import Job
from lightkube.resources.core_v1 import Pod, Secret

from vexa_functions.bots.launchers.launcher import STOP_GRACE_S, Exited, NewBot, Observation, Running, Starting

SESSION_LABEL = "vexa.session"
MEETING_LABEL = "vexa.meeting"
DEPLOYMENT_LABEL = "vexa.deployment"
LABELS = {"app.kubernetes.io/name": "vexa-bot", "app.kubernetes.io/managed-by": "vexa"}
USER_ID = 10_001
"""The user that the bot's image makes."""
DEADLINE_GRACE_S = 3_600
"""A Job may take this much longer than the longest attendance: its node may have to be started, its image pulled."""
KEPT_AFTER_END_S = 3_600
"""Far longer than the time between two ticks, so that no exit code is missed."""
SAYS_NOTHING = frozenset({"Error", "Completed"})
"""What a container's end is called where the cluster knows no more than its code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class JobShape:
    """What every bot's Job is like."""

    image: str
    deployment: str
    """Whose bots these are, where several deployments share a namespace."""
    memory_mb: int
    cpus: float
    deadline_s: int
    """The longest that a bot may attend, from its launch until everything is stored."""
    stop_grace_s: int = STOP_GRACE_S
    """What a bot gets between SIGTERM and SIGKILL."""
    seccomp_profile: str | None = None
    """A profile that every node has; None is its container runtime's own."""
    recording: Path | None = None
    """Where the ConfigMap of the folder's name is laid: a recorded meeting to try bots with."""


def job_name(session_uid: str) -> str:
    """Return the name of a bot's Job, which its Secret shares."""
    return f"vexa-bot-{session_uid}"


def owner_labels(shape: JobShape) -> dict[str, str]:
    """Return the labels by which our bots are found again."""
    return {**LABELS, DEPLOYMENT_LABEL: shape.deployment}


def job_of(bot: NewBot, shape: JobShape) -> Job:
    """Describe the Job of a bot: one pod, tried once, suspended until its Secret is there."""
    labels = {**owner_labels(shape), SESSION_LABEL: bot.session_uid, MEETING_LABEL: str(bot.meeting_id)}
    return Job(
        metadata=ObjectMeta(name=job_name(bot.session_uid), labels=labels),
        spec=JobSpec(
            suspend=True,
            backoffLimit=0,
            completions=1,
            parallelism=1,
            podReplacementPolicy="Failed",
            activeDeadlineSeconds=shape.deadline_s + DEADLINE_GRACE_S,
            ttlSecondsAfterFinished=KEPT_AFTER_END_S,
            template=PodTemplateSpec(metadata=ObjectMeta(labels=labels), spec=_pod_of(bot, shape)),
        ),
    )


def secret_of(bot: NewBot, job: Job) -> Secret:
    """Describe the Secret that tells a bot everything; it goes when its Job goes."""
    meta = job.metadata or ObjectMeta()
    owner = OwnerReference(
        apiVersion="batch/v1", kind="Job", name=meta.name or "", uid=meta.uid or "", blockOwnerDeletion=False
    )
    return Secret(
        metadata=ObjectMeta(name=meta.name, labels=meta.labels, ownerReferences=[owner]),
        immutable=True,
        type="Opaque",
        stringData=dict(bot.env),
    )


def seen(job: Job, pods: Sequence[Pod]) -> Observation:
    """Read the state of a bot out of its Job, and of the pods that the Job made."""
    conditions = {found.type: found for found in (job.status and job.status.conditions) or [] if found.status == "True"}
    if "Complete" in conditions:
        return Exited(0, at=job.status.completionTime if job.status else None)
    if "Failed" in conditions:
        ended, why = _terminated(pods), _cause(pods) or conditions["Failed"].reason
        return Exited(None, why) if ended is None else Exited(ended.exitCode, why, at=ended.finishedAt)
    if any(_runs(pod) for pod in pods):
        return Running()
    # The condition outlives the order for a moment, since whoever writes it is told of the order later.
    if "Suspended" in conditions and job.spec and job.spec.suspend:
        return Exited(None, "was suspended")
    return Starting(_hindrance(pods))


def _pod_of(bot: NewBot, shape: JobShape) -> PodSpec:
    return PodSpec(
        restartPolicy="Never",
        terminationGracePeriodSeconds=shape.stop_grace_s,
        automountServiceAccountToken=False,
        enableServiceLinks=False,
        securityContext=PodSecurityContext(
            runAsNonRoot=True,
            runAsUser=USER_ID,
            runAsGroup=USER_ID,
            fsGroup=USER_ID,
            seccompProfile=_seccomp(shape),
        ),
        containers=[_container_of(bot, shape)],
        volumes=[
            Volume(name="tmp", emptyDir=EmptyDirVolumeSource(sizeLimit="1Gi")),
            Volume(name="shm", emptyDir=EmptyDirVolumeSource(medium="Memory", sizeLimit="256Mi")),
            *([_recording_of(shape.recording)] if shape.recording else []),
        ],
    )


def _seccomp(shape: JobShape) -> SeccompProfile:
    if shape.seccomp_profile is None:
        return SeccompProfile(type="RuntimeDefault")
    return SeccompProfile(type="Localhost", localhostProfile=shape.seccomp_profile)


def _container_of(bot: NewBot, shape: JobShape) -> Container:
    memory = f"{shape.memory_mb}Mi"
    return Container(
        name="bot",
        image=shape.image,
        envFrom=[EnvFromSource(secretRef=SecretEnvSource(name=job_name(bot.session_uid)))],
        resources=ResourceRequirements(
            requests={"cpu": f"{round(shape.cpus * 500)}m", "memory": memory, "ephemeral-storage": "256Mi"},
            limits={"cpu": f"{round(shape.cpus * 1_000)}m", "memory": memory, "ephemeral-storage": "2Gi"},
        ),
        securityContext=SecurityContext(
            allowPrivilegeEscalation=False, readOnlyRootFilesystem=True, capabilities=Capabilities(drop=["ALL"])
        ),
        volumeMounts=[
            VolumeMount(name="tmp", mountPath="/tmp"),  # noqa: S108 - the pod's own
            VolumeMount(name="shm", mountPath="/dev/shm"),  # noqa: S108
            *([VolumeMount(name="recording", mountPath=str(shape.recording))] if shape.recording else []),
        ],
    )


def _recording_of(folder: Path) -> Volume:
    """Lend the ConfigMap; bots start without it as well."""
    return Volume(name="recording", configMap=ConfigMapVolumeSource(name=folder.name, optional=True))


def _runs(pod: Pod) -> bool:
    return pod.status is not None and pod.status.phase == "Running"


def _terminated(pods: Sequence[Pod]) -> ContainerStateTerminated | None:
    for pod in pods:
        for container in (pod.status and pod.status.containerStatuses) or []:
            if container.state and container.state.terminated:
                return container.state.terminated
    return None


def _cause(pods: Sequence[Pod]) -> str | None:
    """Say what ended a pod where the cluster knows: a node that evicted it, or a limit that it broke."""
    ended = _terminated(pods)
    reasons = [pod.status.reason for pod in pods if pod.status and pod.status.reason]
    if ended is not None and ended.reason not in SAYS_NOTHING:
        reasons.append(ended.reason or "")
    return reasons[0] if reasons else None


def _hindrance(pods: Sequence[Pod]) -> str | None:
    """Say why a pod does not run: a container that waits, or a pod that no node takes."""
    for pod in pods:
        for container in (pod.status and pod.status.containerStatuses) or []:
            if container.state and container.state.waiting and container.state.waiting.reason != "ContainerCreating":
                waiting = container.state.waiting
                return ": ".join(part for part in (waiting.reason, waiting.message) if part)
        for condition in (pod.status and pod.status.conditions) or []:
            if condition.type == "PodScheduled" and condition.status == "False":
                return ": ".join(part for part in (condition.reason, condition.message) if part)
    return None
