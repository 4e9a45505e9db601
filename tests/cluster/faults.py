# SPDX-License-Identifier: Apache-2.0
"""SIGKILLs of what a cluster consists of, for tests: each is started again as it was, since the yardstick itself does not do
that. D and NAME are the cluster's, as cluster/env.sh knows them."""
import glob
import os
import signal
import subprocess
import time

D, NAME = os.environ["D"], os.environ["NAME"]


def command_of(pid):
    with open(f"/proc/{pid}/cmdline", "rb") as f:
        return [c.decode() for c in f.read().split(b"\0")[:-1]]


def parent_of(pid):
    with open(f"/proc/{pid}/stat") as f:
        return int(f.read().rsplit(") ", 1)[1].split()[1])


def start_of(pid):
    with open(f"/proc/{pid}/stat") as f:
        return f.read().rsplit(") ", 1)[1].split()[19]


def processes(node, program, word=None):
    """Of that program (and with that word among its arguments) below a node's cgroup, as this machine counts."""
    mount = next(line.split()[1] for line in open("/proc/self/mounts") if line.split()[2] == "cgroup2")
    found = []
    for f in glob.glob(f"{mount}/**/{NAME}-n{node}/**/cgroup.procs", recursive=True):
        try:
            for p in open(f).read().split():
                if os.path.basename(os.readlink(f"/proc/{p}/exe").split(" ")[0]) == program and (not word or word in command_of(p)):
                    found.append(int(p))
        except OSError:
            pass
    return found


class Faults:
    def __init__(self, cluster):
        self.cluster = cluster
        self.hyper = os.path.basename(os.path.realpath(os.environ["HYPER"]))

    def on_node(self, node, *command, **more):
        return subprocess.Popen([f"{self.cluster}/enter.sh", str(node), *command], **more)

    def agents(self, node):
        """(keepers, agents): an agent is the child of its keeper, which runs the same program."""
        all_ = processes(node, "meshd", "agent")
        agents = [p for p in all_ if parent_of(p) in all_]
        return [p for p in all_ if p not in agents], agents

    def kill_agent(self, node, keeper=False):
        keepers, agents = self.agents(node)
        for p in agents + (keepers if keeper else []):
            os.kill(p, signal.SIGKILL)

    def agent_ready(self, node):
        r = subprocess.run(["ip", "netns", "exec", f"{NAME}-n{node}", "curl", "-s", "-m", "1", "-o", "/dev/null", "-w", "%{http_code}", "http://127.0.0.1:9445/readyz"],
                           capture_output=True, text=True)
        return r.stdout == "200"

    def again_on_node(self, node, pid, name, pause):
        """As its node's first process started it: in the node's cgroups, too."""
        command, cwd = command_of(pid), os.readlink(f"/proc/{pid}/cwd")
        os.kill(pid, signal.SIGKILL)
        time.sleep(pause)
        log = open(f"{D}/log/n{node}-{name}-again.log", "a")
        self.on_node(node, "bash", "-c", 'for f in /sys/fs/cgroup/*/cgroup.procs; do echo $$ > $f; done 2> /dev/null; cd "$0" && exec setsid "$@"', cwd, *command,
                     stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def kill_containerd(self, node, pause=1):
        found = processes(node, "containerd")
        self.again_on_node(node, found[0], "containerd", pause)

    def kill_kubelet(self, node, pause=1):
        found = processes(node, self.hyper, "kubelet")
        self.again_on_node(node, found[0], "kubelet", pause)

    def kill_control(self, node):
        for p in processes(node, "meshd", "control"):
            os.kill(p, signal.SIGKILL)

    def pid_of(self, name):
        """The last one of that name (apiserver, controller-manager) that was started, by up.sh or here."""
        return [int(line.split()[0]) for line in open(D + "/pids") if line.split()[2].startswith(name)][-1]

    def start(self, command, name, lives_s=0):
        """lives_s: one that ends within that time (an API server that is not ready yet lets controllers end) is started again."""
        log = open(f"{D}/log/{name}.log", "a")
        while True:
            p = subprocess.Popen(command, cwd=D, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
            with open(D + "/pids", "a") as f:
                f.write(f"{p.pid} {start_of(p.pid)} {name}\n")  # down.sh ends it
            try:
                p.wait(lives_s)
            except subprocess.TimeoutExpired:
                return p.pid
            time.sleep(0.5)

    def kill(self, name):
        """Returns its command, for start()."""
        pid = self.pid_of(name)
        command = command_of(pid)
        os.kill(pid, signal.SIGKILL)
        try:
            os.waitpid(pid, 0)
        except ChildProcessError:
            pass
        return command
