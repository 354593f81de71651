"""Stand-ins for exportfs(8) and nfsconf(8): what the role's programs rely on of them, and what can go wrong.

They were compared with nfs-utils 2.6.2 and 2.8.3: a directory that is missing stays in the table and gives status 1, a
line with an unknown option loses the rest of its file, links and slashes are resolved, -i reads no file, -ra takes what
is in no file.
"""

from __future__ import annotations

EXPORTFS = r"""
import glob, os, re, sys

ETAB = "/var/lib/nfs/etab"
DEFAULTS = "ro,sync,root_squash,no_all_squash,no_subtree_check,secure,anonuid=65534,anongid=65534,sec=sys"
WORDS = "(no_)?(root_squash|all_squash|subtree_check|wdelay|auth_nlm|acl|pnfs)|(in)?secure(_locks)?|a?sync|r[wo]"
WORDS += "|(no)?(hide|crossmnt)|security_label"
KNOWN = re.compile(WORDS + "|(anon[ug]id|fsid)=[0-9]+|sec=.+")
faults = set(open("/mnt/faults").read().split())
status, table = 0, {}


def complain(text):
    global status
    status = 1
    print("exportfs: " + text, file=sys.stderr)


def merged(text):
    stated = [option for option in text.split(",") if option]
    names = {option.partition("=")[0].removeprefix("no_").replace("insecure", "secure") for option in stated}
    rest = DEFAULTS.split(",")
    if {"rw", "ro"} & names:
        rest.remove("ro")
    if {"sync", "async"} & names:
        rest.remove("sync")
    return ",".join([o for o in rest if o.partition("=")[0].removeprefix("no_") not in names] + stated)


def add(path, client, options):
    real = os.path.realpath(path)
    if (real, client) in table and not in_force:
        complain("duplicated export entries:")
        return
    table[real, client] = merged(options)
    if not os.path.exists(real):
        complain(f"Failed to stat {real}: No such file or directory")


def read_file(name):
    for number, line in enumerate(open(name, errors="surrogateescape").read().splitlines(), start=1):
        fields = [word.replace('"', "") for word in re.findall(r'(?:"[^"]*"|\S)+', line.partition("#")[0])]
        for word in fields[1:]:
            client, _, options = word.rstrip(")").partition("(")
            if not all(KNOWN.fullmatch(option) for option in options.split(",") if option):
                complain(f"{name}:{number}: unknown keyword")
                return
            if not client:
                print(f"exportfs: No host name given with {fields[0]}", file=sys.stderr)
            if client.endswith(".lan"):
                print(f"exportfs: Failed to resolve {client}", file=sys.stderr)
                continue
            if "subtree_check" not in options:
                print(f"exportfs: {name} [{number}]: no subtree_check for {fields[0]}", file=sys.stderr)
            add(fields[0], client or "*", options)


args = sys.argv[1:]
rehearsal = os.path.exists("/etc/exports.d/nsswitch")
if not rehearsal:
    print(" ".join(args), file=open("/mnt/calls", "a"))
in_force = args != ["-ra"]
if in_force:
    for line in open(ETAB).read().splitlines():
        path, client, options = re.fullmatch(r"(.*)\t(.*)\((.*)\)", line).groups()
        table[path, client] = options
if args == ["-ra"]:
    if "hangs" in faults:
        import time
        time.sleep(60)
    for name in ["/etc/exports", *sorted(glob.glob("/etc/exports.d/*.exports"))]:
        if os.path.exists(name):
            read_file(name)
else:
    options = args[2] if args[:2] == ["-i", "-o"] else None
    for target in args[3 if options is not None else 1 :]:
        client, path = re.fullmatch(r"(\[.*\]|[^:]*):(/.*)", target).groups()
        key = os.path.realpath(path), client.strip("[]")
        if options is None and key not in table:
            complain(f"Could not find '{target}' to unexport.")
        elif options is None and "keeps" not in faults:
            del table[key]
        elif options is not None:
            add(*key, options.replace("all_squash", "root_squash") if "weakens" in faults else options)
            if "refuses" in faults:
                complain("Function not implemented")
            if "takes" in faults:
                table = {its: text for its, text in table.items() if its == key}
with open(ETAB, "w") as file:
    for (path, client), options in table.items():
        file.write(f"{path}\t{client}({options})\n")
sys.exit(status)
"""

NFSCONF = r"""
import configparser, glob, os, sys

args = sys.argv[1:]
names = ["/etc/nfs.conf", *sorted(glob.glob("/etc/nfs.conf.d/*.conf"))]
if args[0] == "--file":
    names, args = args[1:2], args[2:]
parser = configparser.ConfigParser()
parser.read([name for name in names if os.path.exists(name)])
if args == ["--dump"]:
    parser.write(sys.stdout)
elif parser.has_option(args[1], args[2]):
    print(parser.get(args[1], args[2]))
else:
    sys.exit(1)
"""
