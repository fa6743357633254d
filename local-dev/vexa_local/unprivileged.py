"""How a program that refuses to run as root is started by root; elsewhere commands stay as they are."""

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vexa_local.errors import StartFailed

NOBODY = 65534
_PROBE_TIMEOUT_S = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """A command prefix, and who must own the files that the prefixed command writes."""

    prefix: tuple[str, ...]
    owner: int
    """User and group id as the file system sees them."""


_USER_NAMESPACE = Identity(prefix=("unshare", "--user", "--map-user=1000", "--map-group=1000"), owner=0)
"""Root under another number: it still owns what root owns, so a checkout in a private directory works."""

_NOBODY_WITH_FILE_ACCESS = Identity(
    prefix=(
        "setpriv",
        f"--reuid={NOBODY}",
        f"--regid={NOBODY}",
        "--clear-groups",
        "--inh-caps=+dac_override",
        "--ambient-caps=+dac_override",
    ),
    owner=NOBODY,
)
"""Containers often forbid user namespaces; this needs only what their root may do anyway."""


def unprivileged_identity(program: Path) -> Identity:
    """Find a way to run `program` as somebody who is not root; raise StartFailed where there is none."""
    if os.geteuid() != 0:
        return Identity(prefix=(), owner=os.geteuid())
    for identity in (_USER_NAMESPACE, _NOBODY_WITH_FILE_ACCESS):
        if _works(identity.prefix, program):
            return identity
    raise StartFailed(
        f"{program.name} refuses to run as root, and neither unshare (user namespaces) nor setpriv works here; "
        "run as an ordinary user, or set DATABASE_URL to a Postgres that runs elsewhere"
    )


def give_to(identity: Identity, directory: Path) -> None:
    """Make the identity own a directory with all that is in it; does nothing where it does already."""
    if directory.stat().st_uid == identity.owner:
        return
    for path in (directory, *directory.rglob("*")):
        os.chown(path, identity.owner, identity.owner, follow_symlinks=False)


def _works(prefix: Sequence[str], program: Path) -> bool:
    try:
        probe = subprocess.run(
            [*prefix, program, "--version"],
            capture_output=True,
            timeout=_PROBE_TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return False
    return probe.returncode == 0
