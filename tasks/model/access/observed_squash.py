"""Infer the squash of a server from an observation, without trust in mount options or settings.

Source of the rules: exports(5) "User ID Mapping": who makes a file shows whom the server took it for.
"""

from collections.abc import Iterator

from files.pods.nfs.protocol import Actor, ServerObservation
from tasks.model.access.choose_strategy import AccessError, StrategySetting, choose
from tasks.model.access.identity import NOBODY, ROOT, Ids, Squash

REFUSED = ("EACCES", "EPERM")
"""The errno of a refusal by permissions: any other errno shows nothing of ids."""


def mapping_is_broken(observed: ServerObservation, agent: Ids) -> bool:
    """Whether ids are lost between the two machines: chown(2) by name is EINVAL (idmapd.conf(5)).

    Or root may chown files, as only root may, and still all that anybody creates reads as nobody's.
    """
    uids = {ids[0] for ids in observed.made.values() if isinstance(ids, list)}
    chowned = observed.directory_made and observed.chown is None and agent.uid != NOBODY
    return observed.chown == "EINVAL" or (chowned and uids == {NOBODY})


def observed_squash(observed: ServerObservation, host: Ids, agent: Ids) -> Squash | None:
    """Infer the squash from owners of new entries; None where nothing was observed, or what no squash does.

    Only uids count: the group of what is made may be the directory's (a set-group-id directory, BSD, ZFS).
    """
    if observed.state != "seen" or mapping_is_broken(observed, agent):
        return None
    made = {actor: ids for actor in observed.made if (ids := observed.ids(actor))}
    own = {"host": host.uid, "agent": agent.uid, "root": 0}
    roots = [ids for actor, ids in made.items() if own[actor] == 0]
    mapped = [ids for actor, ids in made.items() if own[actor] not in (0, ids.uid)]
    one = len({ids.uid for ids in made.values()}) == 1
    if mapped:
        return Squash("all", mapped[0]) if one and not _root_refused(observed) else None
    if len({ids.uid for ids in roots}) > 1:
        return None
    if not roots:
        return Squash("root") if made and _root_refused(observed) else None
    if roots[0].uid == 0:
        return Squash("none")
    # The agent itself may be whom root is mapped to: then it makes no difference whether others are mapped too.
    return Squash("all" if one and "agent" in made else "root", roots[0])


def _root_refused(observed: ServerObservation) -> bool:
    return observed.made.get("root") in REFUSED


def contradiction(
    observed: ServerObservation, stated: Squash, host: Ids, agent: Ids, setting: StrategySetting = "auto"
) -> str | None:
    """Return how the observation differs from the stated squash, with the way out; None where it agrees."""
    difference = next(_differences(observed, stated, host, agent), None)
    if difference is None:
        return None
    text = f"with {','.join(stated.options())} {difference}"
    squash = observed_squash(observed, host, agent)
    if squash is None:
        return f"{text}: let the server export as pods_export_options states"
    try:
        choose(setting, host, agent, managed=False, squash=squash)
    except AccessError as error:
        return f"{text}: {error}"
    return f"{text}: set pods_export_options to what the server does, {list(squash.options())!r}"


def _differences(observed: ServerObservation, stated: Squash, host: Ids, agent: Ids) -> Iterator[str]:
    actors: dict[Actor, tuple[str, Ids]] = {
        "host": ("the host process", host),
        "agent": ("the agent", agent),
        "root": ("root", ROOT),
    }
    for name, (actor, ids) in actors.items():
        created_as = observed.ids(name)
        if created_as is not None and created_as.uid != stated.map_ids(ids).uid:
            yield f"the server would map {actor} to {stated.map_ids(ids)}, but it maps it to {created_as}"
    if stated.map_ids(ROOT).uid == 0:
        if _root_refused(observed):
            yield f"root could create entries, but the server refuses it ({observed.made['root']})"
        # Where root stays root and may chown nothing, the server restricts chown; that is no squash.
        if observed.directory_made and observed.chown == "EPERM" and observed.ids("root") is None:
            yield "root could chown files, but the server refuses it (EPERM)"


BROKEN_MAPPING = (
    "NFSv4 maps ids by name between this machine and the server, and their domains differ: chown(2) fails, "
    "and every id reads as nobody. Set nfs4_disable_idmapping=Y for the modules nfs here and nfsd there, or the same "
    "Domain in /etc/idmapd.conf. Then unmount and mount again: a mount that was refused a name still sends names"
)


def description(observed: ServerObservation) -> str:
    """Describe the observation for an operator."""
    if observed.state != "seen":
        return f"not observed: {observed.text or observed.state}{_left(observed)}"
    parts = [
        f"what {name} creates is {'refused (' + made + ')' if isinstance(made, str) else Ids(*made)}"
        for name, made in observed.made.items()
    ]
    if observed.directory_made:
        parts.append(f"root may {'' if observed.chown is None else 'not '}chown files")
    return "observed: " + ", ".join(parts) + _left(observed)


def _left(observed: ServerObservation) -> str:
    return f"; left there: {', '.join(observed.left)}" if observed.left else ""
