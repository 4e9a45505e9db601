# shellcheck shell=bash
# SPDX-License-Identifier: Apache-2.0
# Flows to the echo service of a lab, byte by byte, and what a node's own rules make of them; for scripts that set $client,
# $client_ip and $echo_ip, and have on_node. Sourced after lib.sh.

# stream SECONDS: as many streams as an app has, each byte compared
stream() { in_pod coolapp "$client" python3 "$PWD/tests/cluster/streams.py" --l4 echo:9000 --streams 4 --seconds "$1"; }
export exact="l4 4 streams, 0 broken, 0 wrong bytes"
# hello NAMESPACE POD HOST: what it hears from there
hello() { in_pod "$1" "$2" timeout 5 bash -c 'exec 3<>/dev/tcp/'"$3"'/9000; echo hello >&3; timeout 3 head -1 <&3' 2> /dev/null; }
# The rules of a network plugin that lets the one client in, and counts what connection tracking takes for invalid;
# policy_closed and policy TABLE are nft's input, in the table's chain forward
policy_closed() {
	printf 'add table ip %s\nadd chain ip %s forward { type filter hook forward priority 0; }\nadd rule ip %s forward ip daddr %s tcp dport 9000 drop\n' \
		"$1" "$1" "$1" "$echo_ip"
}
policy() {
	cat << RULES
flush chain ip $1 forward
add counter ip $1 invalid
add rule ip $1 forward ct state invalid counter name invalid drop
add rule ip $1 forward ct state established,related accept
add rule ip $1 forward ip saddr $client_ip ip daddr $echo_ip tcp dport 9000 accept
add rule ip $1 forward ip daddr $echo_ip drop
RULES
}
# policy_cut TABLE: and no packet of any flow any more
policy_cut() { printf 'insert rule ip %s forward ip daddr %s drop\ninsert rule ip %s forward ip saddr %s drop\n' "$1" "$echo_ip" "$1" "$echo_ip"; }
