#!/usr/bin/env bash
# Installs KServe, as charts/dokuei needs it, into the cluster that kubectl talks to. cert-manager has to be there.
#
#     charts/kserve-install.sh HELM       # or: make kserve-install
set -euo pipefail
helm=$1
version=v0.20.0

kubectl get crd certificates.cert-manager.io >/dev/null 2>&1 || {
    echo "cert-manager is not installed, and KServe's webhooks need its certificates: https://cert-manager.io/docs/installation" >&2
    exit 2
}
# The charts come with KServe's Go module: the registry of Go modules is one that hospitals mirror.
charts=$(go mod download -json "github.com/kserve/kserve@$version" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')/charts

"$helm" upgrade --install kserve-crd "$charts/kserve-crd" --namespace kserve --create-namespace --wait
# Standard: Deployments, without Knative. No Ingress for a model: the router is the only door.
"$helm" upgrade --install kserve "$charts/kserve-resources" --namespace kserve --wait \
    --set kserve.controller.deploymentMode=Standard \
    --set kserve.controller.gateway.disableIngressCreation=true \
    --set kserve.controller.imagePullPolicy=IfNotPresent \
    --set kserve.storage.enableModelcar=true
