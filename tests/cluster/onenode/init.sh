#!/bin/sh
# The first process of the cluster's namespaces: prepares them, and becomes the supervisor.
#     init.sh NODE_ADDRESS SUPERVISOR-COMMAND...
set -e
address=$1
shift
# What the parts would leave behind in the machine's folders vanishes with these.
mount -t tmpfs tmpfs /run
mount -t tmpfs tmpfs /var/log
mkdir -p /run/netns /run/lock
# Pods' mounts are seen by those who look after them.
mount --make-rshared /
ip link set lo up
ip link add node0 type bridge
ip address add "$address/24" dev node0
ip link set node0 up
# There is no way out; but without a default route no address of a Service could be reached either.
ip route add default via "$address" dev node0
echo 1 > /proc/sys/net/ipv4/ip_forward
echo 1 > /proc/sys/net/bridge/bridge-nf-call-iptables
exec "$@"
