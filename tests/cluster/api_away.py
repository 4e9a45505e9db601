#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""api_away.py CLUSTER DIR DO [WHAT]: an API server that goes and comes back. DO is
again FLAG...   the API server is started anew with these flags, too
away            it and the controllers are killed; their commands are kept in DIR
elsewhere PORT  an API server of the same state answers at another port, which nobody knows; prints its pid
back NAME       apiserver or controller-manager is started as it was
agent N, container N  node N's agent is killed, alone or with its keeper"""
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, "tests/cluster")
from faults import Faults  # noqa: E402

cluster, where, do, what = sys.argv[1], sys.argv[2], sys.argv[3], sys.argv[4:]
kill = Faults(cluster)


def kept(name):
    with open(f"{where}/{name}") as f:
        return f.read().split("\0")


if do == "again":
    kill.start(kill.kill("apiserver") + what, "apiserver-again", lives_s=1)
elif do == "away":
    for name in ("controller-manager", "apiserver"):
        with open(f"{where}/{name}", "w") as f:
            f.write("\0".join(kill.kill(name)))
elif do == "elsewhere":
    command = [c if not c.startswith("--secure-port=") else "--secure-port=" + what[0] for c in kept("apiserver")]
    print(kill.start(command, "elsewhere"))
elif do == "back":
    kill.start(kept(what[0]), what[0] + "-again", lives_s=4)
elif do in ("agent", "container"):
    kill.kill_agent(int(what[0]), keeper=do == "container")
else:
    sys.exit(f"api_away.py: {do} is none of what it does")
