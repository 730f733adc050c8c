{{/* Values that contradict one another, each refused with a sentence. What a schema can say is in values.schema.yaml. */}}
{{- define "dokuei.checks" -}}
{{- with .Values }}
{{- if and (eq .database.kind "sqlite") (gt (int .router.replicas) 1) }}
{{- fail (printf "router.replicas is %d and database.kind is sqlite: a SQLite file serves one router; set router.replicas=1 or database.kind=postgresql" (int .router.replicas)) }}
{{- end }}
{{- if and (eq .database.kind "postgresql") (not .database.postgresql.existingSecret) }}
{{- fail "database.kind is postgresql: name the secret with the URL in database.postgresql.existingSecret" }}
{{- end }}
{{- if and .audit.syslog.enabled (not .audit.syslog.host) }}
{{- fail "audit.syslog.enabled is true: audit.syslog.host is the name of the syslog server" }}
{{- end }}
{{- if .llm.enabled }}
{{- if not (and .llm.baseUrl .llm.model) }}
{{- fail "llm.enabled is true: llm.baseUrl and llm.model say where the LLM is and which" }}
{{- end }}
{{- if not (hasKey .llm "sendImages") }}
{{- fail "llm.enabled is true: say llm.sendImages=true to send original, overlay and heat map (pixels without metadata) to the LLM, or llm.sendImages=false to send numbers and labels only" }}
{{- end }}
{{- end }}
{{- if .oidc.enabled }}
{{- if not (and .oidc.issuerUrl .oidc.clientId .oidc.existingSecret) }}
{{- fail "oidc.enabled is true: oidc.issuerUrl, oidc.clientId and oidc.existingSecret (keys client-secret and cookie-secret) are needed" }}
{{- end }}
{{- end }}
{{- if and .ingress.enabled (not .ingress.host) }}
{{- fail "ingress.enabled is true: ingress.host is the name that users open" }}
{{- end }}
{{- if and .httpRoute.enabled (not (and .httpRoute.host .httpRoute.parentRefs)) }}
{{- fail "httpRoute.enabled is true: httpRoute.host is the name that users open, httpRoute.parentRefs the Gateway that serves it" }}
{{- end }}
{{- if and (or .ingress.enabled .httpRoute.enabled) (not .oidc.enabled) }}
{{- fail (printf "%s would let whoever opens it see every study: set oidc.enabled, or reach the router by `kubectl port-forward` for a trial" (ternary "ingress.enabled" "httpRoute.enabled" .ingress.enabled)) }}
{{- end }}
{{- end }}
{{- $stable := dict }}
{{- range (fromYaml (include "dokuei.services" .)).services }}
{{- $card := fromYaml .card }}
{{- if eq .variant "stable" }}
{{- $_ := set $stable .model $card }}
{{- else }}
{{- $beside := index $stable .model }}
{{- /* While a candidate is promoted, it reads everything and the model becomes its equal. */}}
{{- if and (eq $card.version $beside.version) (lt (int .weight) 100) }}
{{- fail (printf "models.%s.canary.card is version %s, as the stable model is; a candidate has a version of its own" .model $card.version) }}
{{- end }}
{{- if and .shadow (eq $.Values.deploymentMode "Knative") }}
{{- fail (printf "models.%s.canary.shadow: with deploymentMode Knative the router does not see the candidate; leave it out" $card.name) }}
{{- end }}
{{- if and .shadow (eq $card.task "modality") }}
{{- fail (printf "models.%s.canary.shadow: only models that read images are compared; leave it out" $card.name) }}
{{- end }}
{{- range $field := list "task" "labels" "accepts" }}
{{- if ne (toJson (index $card $field)) (toJson (index $beside $field)) }}
{{- fail (printf "models.%s.canary.card: %s is not as in the stable model's, so its results would not mean the same; serve it as a model of its own" $card.name $field) }}
{{- end }}
{{- end }}
{{- end }}
{{- if and .pool (not (hasKey $.Values.gpuPools .pool)) }}
{{- fail (printf "models.%s.gpu.pool is %s; gpuPools has %s" .model .pool (keys $.Values.gpuPools | sortAlpha | join ", " | default "none")) }}
{{- end }}
{{- $scaling := .autoscaling.kind | default "none" }}
{{- if and (ne $scaling "none") (eq $.Values.deploymentMode "Knative") }}
{{- fail (printf "models.%s.autoscaling: with deploymentMode Knative, Knative scales; leave autoscaling out" .model) }}
{{- end }}
{{- if ne $scaling "none" }}
{{- if lt (int .autoscaling.maxReplicas) (int .replicas) }}
{{- fail (printf "models.%s: autoscaling.maxReplicas is %d, fewer than replicas, %d" .model (int .autoscaling.maxReplicas) (int .replicas)) }}
{{- end }}
{{- end }}
{{- if and .autoscaling.schedule (ne $scaling "keda") }}
{{- fail (printf "models.%s.autoscaling.schedule needs autoscaling.kind=keda" .model) }}
{{- end }}
{{- if and (hasPrefix "s3://" .storageUri) (not $.Values.modelStorage.s3.existingSecret) }}
{{- fail (printf "models.%s.storageUri is on S3: modelStorage.s3.existingSecret holds the credentials" .model) }}
{{- end }}
{{- end }}
{{- end -}}
