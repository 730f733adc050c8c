#!/bin/sh
# The first process of the cluster's namespaces: prepares them, and becomes the supervisor.
#     init.sh ADDRESS SECOND-NAME SECOND-ADDRESS SECOND-POD-NETWORK SUPERVISOR-COMMAND...
set -e
address=$1 second=$2 second_address=$3 second_pods=$4
shift 4
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

ip netns add "$second"
ip link add "$second" type veth peer name eth0 netns "$second"
ip link set "$second" master node0 up
ip route add "$second_pods" via "$second_address"
ip -n "$second" link set lo up
ip -n "$second" address add "$second_address/24" dev eth0
ip -n "$second" link set eth0 up
ip -n "$second" route add default via "$address"
nsenter --net="/run/netns/$second" sh -c '
    echo 1 > /proc/sys/net/ipv4/ip_forward
    echo 1 > /proc/sys/net/bridge/bridge-nf-call-iptables'
exec "$@"
