#!/usr/bin/env bash
# Installs KServe, as charts/dokuei needs it, into the cluster that kubectl talks to.
#
#     charts/kserve-install.sh HELM [ARGUMENTS]       # or: make kserve-install
#
# ARGUMENTS go to Helm for KServe's own chart, as in --set kserve.controller.image=registry.hospital.example/kserve-controller.
# Where cert-manager is installed, it looks after the certificate of KServe's webhooks. Elsewhere one is made here that
# holds for ten years; it lies in the secret kserve-webhook-server-cert.
set -euo pipefail
version=v0.20.0
secret=kserve-webhook-server-cert

if [ "$1" = --without-cert-manager ]; then
    # Helm calls this as its post-renderer: leaves cert-manager's objects out, and has the webhooks' certificate trusted.
    exec awk -v bundle="$2" '
        function flush() { if (document !~ /(^|\n)apiVersion: cert-manager\.io\//) printf "---\n%s", document; document = "" }
        /^---/ { flush(); next }
        { document = document $0 "\n" }
        /^ *-? *clientConfig:$/ { match($0, /[a-z]/); document = document sprintf("%*s", RSTART + 1, "") "caBundle: " bundle "\n" }
        END { flush() }'
fi

helm=$1
shift
# The charts come with KServe's Go module: the registry of Go modules is one that hospitals mirror.
module=$(go mod download -json "github.com/kserve/kserve@$version") || { echo "KServe's Go module cannot be had: $module" >&2; exit 1; }
charts=$(sed -n 's/^\t"Dir": "\(.*\)",$/\1/p' <<<"$module")/charts

"$helm" upgrade --install kserve-crd "$charts/kserve-crd" --namespace kserve --create-namespace --wait

certificate=()
if ! kubectl get crd certificates.cert-manager.io >/dev/null 2>&1; then
    if ! kubectl --namespace kserve get secret "$secret" >/dev/null 2>&1; then
        folder=$(mktemp -d)
        trap 'rm -r "$folder"' EXIT
        name=kserve-webhook-server-service.kserve.svc
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 -subj "/CN=$name" \
            -addext "subjectAltName=DNS:$name" -keyout "$folder/key" -out "$folder/certificate" 2>/dev/null
        kubectl --namespace kserve create secret tls "$secret" --cert "$folder/certificate" --key "$folder/key"
    fi
    bundle=$(kubectl --namespace kserve get secret "$secret" --output 'jsonpath={.data.tls\.crt}')
    certificate=(--post-renderer "$0" --post-renderer-args --without-cert-manager --post-renderer-args "$bundle")
fi

# Standard: Deployments, without Knative. No Ingress for a model: the router is the only door.
"$helm" upgrade --install kserve "$charts/kserve-resources" --namespace kserve --wait "${certificate[@]}" \
    --set kserve.controller.deploymentMode=Standard \
    --set kserve.controller.gateway.disableIngressCreation=true \
    --set kserve.controller.imagePullPolicy=IfNotPresent \
    --set kserve.storage.enableModelcar=true \
    "$@"
