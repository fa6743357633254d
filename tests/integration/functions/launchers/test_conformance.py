"""What every launcher promises, whatever it runs bots on."""

import asyncio
import contextlib
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any

import docker
import kubernetes_validate
import pytest
import yaml
from tests.waiting import DEADLINE_S

from vexa_events.errors import Unavailable
from vexa_functions.bots.launchers.docker import ContainerShape, DockerLauncher
from vexa_functions.bots.launchers.kubernetes import KubernetesLauncher
from vexa_functions.bots.launchers.kubernetes_job import job_of
from vexa_functions.bots.launchers.launcher import Exited, Launcher, NewBot, Observation, Running, Starting, Unknown
from vexa_functions.bots.launchers.process import ProcessLauncher

KNATIVE = Path(__file__).resolve().parents[4] / "knative" / "base"
SLEEP = "import time; time.sleep(60)"
OBEY = "import signal, sys; signal.signal(15, lambda *_: sys.exit(0)); " + SLEEP
IGNORE = "import signal; signal.signal(15, signal.SIG_IGN); " + SLEEP


class TestEveryLauncher:
    """Processes, containers and Jobs alike."""

    @pytest.mark.parametrize("code", [0, 3])
    async def test_an_end_is_seen_with_its_code(self, runtime: Any, code: int) -> None:
        """The code is the evidence for how a session ended."""
        launcher: Launcher = runtime.open()
        reference = await launcher.launch(a_bot(f"raise SystemExit({code})"))

        seen = await ended(launcher, reference)

        assert seen.code == code

    async def test_a_running_bot_is_seen_to_run_and_obeys(self, runtime: Any) -> None:
        """Stopping asks the bot's process to end, and what ran is gone."""
        launcher: Launcher = runtime.open()
        reference = await launcher.launch(a_bot(OBEY))
        await running(launcher, reference)

        async with asyncio.timeout(DEADLINE_S):
            while not isinstance(seen := await launcher.observe(reference), Exited):
                await launcher.stop(reference)
                await asyncio.sleep(0.1)

        assert seen.code in {0, 128 + 15, None}

    async def test_a_bot_that_does_not_obey_is_killed(self, runtime: Any) -> None:
        """Killing needs no consent."""
        launcher: Launcher = runtime.open()
        reference = await launcher.launch(a_bot(IGNORE))
        await running(launcher, reference)

        await launcher.kill(reference)

        assert (await ended(launcher, reference)).code in {128 + 9, None}

    async def test_another_instance_finds_ends_and_forgets_a_bot(self, runtime: Any) -> None:
        """What is known of a bot outlives the instance that started it, and nothing of it stays."""
        reference = await runtime.open().launch(a_bot(SLEEP, session_uid="orphan"))
        another: Launcher = runtime.open()
        await running(another, reference)

        found = await another.found()
        await another.kill(reference)
        await ended(another, reference)
        await another.remove(reference)

        assert [(bot.session_uid, bot.reference) for bot in found] == [("orphan", reference)]
        assert await another.observe(reference) == Unknown()
        assert await another.found() == []
        assert runtime.count() == 0

    async def test_a_session_has_one_bot_however_often_it_is_launched(self, runtime: Any) -> None:
        """Several instances may launch the same one, at once or later, and none is told of a second."""
        bot = a_bot(SLEEP, session_uid="one")
        instances: list[Launcher] = [runtime.open() for _ in range(3)]
        first = await instances[0].launch(bot)
        once = runtime.count()

        again = await asyncio.gather(*(instance.launch(bot) for instance in instances))

        assert set(again) == {first}
        await running(instances[1], first)
        assert runtime.count() in {once, once + 1}, "a pod counts once it runs"
        assert [found.session_uid for found in await instances[2].found()] == ["one"]

    async def test_a_bot_that_ended_is_not_launched_again(self, runtime: Any) -> None:
        """Its end is evidence, which a second bot would wipe out."""
        launcher: Launcher = runtime.open()
        bot = a_bot("raise SystemExit(3)")
        reference = await launcher.launch(bot)
        await ended(launcher, reference)

        again = await launcher.launch(bot)

        assert again == reference
        assert (await launcher.observe(again)) in {Exited(3), Exited(3, "BecauseFailed")}

    async def test_a_launch_that_broke_off_is_carried_on(self, runtime: Any) -> None:
        """An instance may vanish at any line."""
        bot = a_bot(SLEEP, session_uid="half")
        await runtime.break_off(bot)
        launcher: Launcher = runtime.open()

        reference = await launcher.launch(bot)

        await running(launcher, reference)
        assert [found.reference for found in await launcher.found()] == [reference]
        await launcher.remove(reference)
        async with asyncio.timeout(DEADLINE_S):
            while runtime.count():
                await asyncio.sleep(0.05)

    async def test_forgetting_a_running_bot_ends_it(self, runtime: Any) -> None:
        """A bot that nobody knows any more must not run on."""
        launcher: Launcher = runtime.open()
        reference = await launcher.launch(a_bot(SLEEP))
        await running(launcher, reference)

        await launcher.remove(reference)

        async with asyncio.timeout(DEADLINE_S):
            while runtime.count():
                await asyncio.sleep(0.05)

    async def test_a_bot_nobody_started_is_unknown(self, runtime: Any) -> None:
        """No record proves nothing; ending what is not there is no fault."""
        launcher: Launcher = runtime.open()
        reference = await launcher.launch(a_bot(SLEEP))
        await launcher.remove(reference)

        for action in (launcher.stop, launcher.kill, launcher.remove):
            await action(reference)

        assert await launcher.observe(reference) == Unknown()
        assert await launcher.observe("elsewhere:1") == Unknown()

    async def test_bots_run_side_by_side(self, runtime: Any) -> None:
        """Each has a record of its own; ending one leaves the other alone."""
        launcher: Launcher = runtime.open()
        first = await launcher.launch(a_bot(SLEEP, session_uid="first"))
        second = await launcher.launch(a_bot(SLEEP, session_uid="second"))
        await running(launcher, second)

        await launcher.remove(first)

        assert [bot.session_uid for bot in await launcher.found()] == ["second"]
        assert await launcher.observe(second) == Running()


async def test_a_missing_program_is_named(tmp_path: Any) -> None:
    """Nothing is written down for a process that did not start."""
    launcher = ProcessLauncher(tmp_path, ["/nowhere/bot"])

    with pytest.raises(Unavailable, match="/nowhere/bot: No such file"):
        await launcher.launch(a_bot(SLEEP))

    assert list(tmp_path.iterdir()) == []


async def test_a_missing_image_is_named(docker_runtime: Any) -> None:
    """The engine's word for it would tell a user nothing."""
    shape = ContainerShape(image="never-built:1", deployment="none", memory_mb=256, cpus=1.0)
    launcher = DockerLauncher(shape, {})

    with pytest.raises(Unavailable, match="never-built:1 is not on the Docker engine; build or pull it"):
        await launcher.launch(a_bot(SLEEP))

    await launcher.aclose()


async def test_a_container_that_does_not_start_is_removed(bot_image: str) -> None:
    """A network that does not exist shows only when the container starts."""
    name = f"broken-{uuid.uuid4().hex}"
    shape = ContainerShape(image=bot_image, network="no-such-network", deployment=name, memory_mb=256, cpus=1.0)
    launcher = DockerLauncher(shape, {})

    with pytest.raises(Unavailable, match="no-such-network"):
        await launcher.launch(a_bot(SLEEP, session_uid=name))
    left = await launcher.found()
    for bot in left:
        await launcher.remove(bot.reference)

    assert left == []
    await launcher.aclose()


async def test_an_engine_that_is_not_there_is_named(unused_tcp_port: int) -> None:
    """The address tells an administrator where to look."""
    shape = ContainerShape(image="vexa-bot", deployment="none", memory_mb=256, cpus=1.0)
    launcher = DockerLauncher(shape, {"DOCKER_HOST": f"tcp://127.0.0.1:{unused_tcp_port}"})

    with pytest.raises(Unavailable, match=f"does not answer at tcp://127.0.0.1:{unused_tcp_port}"):
        await launcher.launch(a_bot(SLEEP))

    await launcher.aclose()


async def test_a_container_is_locked_in(docker_runtime: Any) -> None:
    """No capability, no new privileges, a root that cannot be written, a bound on memory; seen from inside."""
    launcher: Launcher = docker_runtime.open()
    script = """
import os
facts = dict(line.split(":", 1) for line in open("/proc/self/status").read().splitlines())
assert os.getuid() != 0
assert int(facts["CapEff"], 16) == int(facts["CapBnd"], 16) == 0
assert facts["NoNewPrivs"].strip() == "1"
open("/tmp/writable", "w").close()
try:
    open("/var/tmp/writable", "w")
except OSError:
    raise SystemExit(7)
"""

    reference = await launcher.launch(a_bot(script))

    assert (await ended(launcher, reference)).code == 7


async def test_an_engine_that_stops_a_container_leaves_it_the_time_to_end(docker_runtime: Any) -> None:
    """Docker's own 10 s would cut off a bot that stores what it heard last."""
    launcher: Launcher = docker_runtime.open()

    reference = await launcher.launch(a_bot(SLEEP))
    with contextlib.closing(docker.DockerClient()) as engine:
        made = await asyncio.to_thread(engine.containers.get, reference.removeprefix("docker:"))

    assert made.attrs["Config"]["StopTimeout"] == 30


async def test_a_container_that_eats_its_memory_is_said_to(docker_runtime: Any) -> None:
    """The limit holds, and the evidence names it."""
    launcher: Launcher = docker_runtime.open()

    reference = await launcher.launch(a_bot("b'x' * 10**9"))

    assert await ended(launcher, reference) == Exited(137, "out of memory")


async def test_a_job_says_what_its_pod_waits_for(cluster: Any) -> None:
    """An image that cannot be pulled is seen only after the Job was taken."""
    launcher: KubernetesLauncher = cluster.launcher(image="registry.invalid/never-built:1")

    reference = await launcher.launch(a_bot(SLEEP))
    seen = await launcher.observe(reference)
    await launcher.remove(reference)

    assert seen == Starting("ErrImagePull: told by the node")
    assert (cluster.jobs, cluster.secrets) == ({}, {})
    await launcher.aclose()


async def test_a_job_holds_no_secret(cluster: Any) -> None:
    """Whoever may read Jobs sees neither token nor passcode; they go when the Job goes."""
    launcher: KubernetesLauncher = cluster.launcher()

    reference = await launcher.launch(a_bot(SLEEP, VEXA_SESSION_TOKEN="the-token"))

    assert "the-token" not in str(cluster.jobs)
    assert "the-token" in str(cluster.secrets)
    await launcher.remove(reference)
    assert cluster.secrets == {}
    await launcher.aclose()


async def test_a_job_finds_the_recording_that_everybody_may_try(cluster: Any) -> None:
    """The ConfigMap of its folder's name is laid there; bots start without it as well."""
    launcher: KubernetesLauncher = cluster.launcher(recording=Path("/recordings/smoke"))

    await launcher.launch(a_bot(SLEEP))
    (job,) = cluster.jobs.values()
    pod = job["spec"]["template"]["spec"]
    await launcher.aclose()

    assert {"name": "recording", "configMap": {"name": "smoke", "optional": True}} in pod["volumes"]
    assert {"name": "recording", "mountPath": "/recordings/smoke"} in pod["containers"][0]["volumeMounts"]


async def test_a_job_is_locked_in_bounded_and_labelled(cluster: Any) -> None:
    """As namespaces that enforce the restricted standard demand; what it may take, and for how long, is bounded."""
    launcher: KubernetesLauncher = cluster.launcher()
    reference = await launcher.launch(a_bot(SLEEP))

    (job,) = cluster.jobs.values()
    spec, pod = job["spec"], job["spec"]["template"]["spec"]
    (container,) = pod["containers"]

    assert (spec["backoffLimit"], pod["restartPolicy"], pod["automountServiceAccountToken"]) == (0, "Never", False)
    assert 3_600 < spec["activeDeadlineSeconds"] <= 2 * 3_600
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["runAsUser"] != 0
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    for bound in ("requests", "limits"):
        assert container["resources"][bound].keys() >= {"cpu", "memory", "ephemeral-storage"}
    for labels in (job["metadata"]["labels"], spec["template"]["metadata"]["labels"]):
        assert (labels["vexa.deployment"], labels["vexa.session"], labels["vexa.meeting"]) == ("test", "session", "7")
    await launcher.remove(reference)
    await launcher.aclose()


async def test_jobs_of_another_deployment_are_none_of_ours(cluster: Any) -> None:
    """Two may share a namespace, and neither ends the other's bots as strangers."""
    cluster.jobs["vexa-bot-theirs"] = job_of(
        a_bot(SLEEP, session_uid="theirs"), replace(cluster.shape(), deployment="another")
    ).to_dict()
    launcher: KubernetesLauncher = cluster.launcher()

    assert await launcher.found() == []
    await launcher.aclose()


async def test_a_job_without_its_secret_is_taken_back(cluster: Any) -> None:
    """What fails halfway leaves nothing, and never ran."""
    cluster.refuses_secrets = True
    launcher: KubernetesLauncher = cluster.launcher()

    with pytest.raises(Unavailable, match="Kubernetes refused: secrets is forbidden: exceeded quota"):
        await launcher.launch(a_bot(SLEEP))

    assert (cluster.jobs, cluster.pods) == ({}, {})
    await launcher.aclose()


async def test_the_role_in_the_manifests_allows_what_is_used_and_no_more(cluster: Any) -> None:
    """A launcher that needs another right would fail in a cluster only; one it does not need is a risk."""
    documents = list(yaml.safe_load_all((KNATIVE / "functions" / "bot-jobs.yaml").read_text()))
    launcher: KubernetesLauncher = cluster.launcher()

    cluster.refuses_pods = "exceeded quota"
    reference = await launcher.launch(a_bot(IGNORE))
    assert await launcher.observe(reference) == Starting("exceeded quota")
    cluster.refuses_pods = None
    await running(launcher, reference)
    await launcher.found()
    await launcher.kill(reference)
    await launcher.remove(reference)
    await launcher.aclose()

    (role,) = (document for document in documents if document["kind"] == "Role")
    granted = {(name, verb) for rule in role["rules"] for name in rule["resources"] for verb in rule["verbs"]}
    assert granted == cluster.used
    for document in documents:
        kubernetes_validate.validate(document, "1.33", strict=True)


async def test_a_cluster_that_is_not_there_is_named(cluster: Any, unused_tcp_port: int) -> None:
    """The reason is one that an administrator understands."""
    cluster.url = f"http://127.0.0.1:{unused_tcp_port}"
    launcher: KubernetesLauncher = cluster.launcher()

    with pytest.raises(Unavailable, match="Kubernetes does not answer"):
        await launcher.launch(a_bot(SLEEP))

    await launcher.aclose()


def a_bot(script: str, session_uid: str = "session", **env: str) -> NewBot:
    return NewBot(session_uid=session_uid, meeting_id=7, env={"SCRIPT": script, **env})


async def running(launcher: Launcher, reference: str) -> None:
    await _until(launcher, reference, Running)


async def ended(launcher: Launcher, reference: str) -> Exited:
    seen = await _until(launcher, reference, Exited)
    assert isinstance(seen, Exited)
    return seen


async def _until(launcher: Launcher, reference: str, kind: type[Observation]) -> Observation:
    async with asyncio.timeout(DEADLINE_S):
        while not isinstance(seen := await launcher.observe(reference), kind):
            await asyncio.sleep(0.05)
    return seen
